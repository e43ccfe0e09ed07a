"""mici on the level sets of `sampler_targets`: dynamic constrained HMC, derivatives by hand, autograd or JAX."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.sampler_targets import (
    CONCENTRATION,
    GRADIENTS,
    HESSIANS,
    MAJOR_RADIUS,
    Result,
    Target,
    rotation_quadrics,
    starts,
)


def torus_jacobian(x: np.ndarray) -> np.ndarray:
    """∇F by hand: (3,) -> (1, 3)."""
    radius = math.sqrt(x[0] * x[0] + x[1] * x[1])
    factor = 2.0 * (1.0 - MAJOR_RADIUS / radius)
    return np.array([[factor * x[0], factor * x[1], 2.0 * x[2]]])


def quadrics_jacobian(hessians: np.ndarray, gradients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """∇F of quadrics by hand: (k, n, n), (k, n), (n,) -> (k, n)."""
    return hessians @ x + gradients


# Jacobian of F and gradient of U by hand. No second derivatives: mici needs them only for densities of another measure.
NUMPY_DERIVATIVES: dict[str, tuple[Callable, Callable]] = {
    "torus": (torus_jacobian, np.zeros_like),
    "s9_vmf": (lambda x: 2.0 * x[None], lambda x: -CONCENTRATION * np.eye(1, 10)[0]),
    "so3": (partial(quadrics_jacobian, *rotation_quadrics()), np.zeros_like),
    "poly20": (partial(quadrics_jacobian, HESSIANS, GRADIENTS), lambda x: x),
}


def array_module(backend: str) -> Any:
    """The module that a backend of mici differentiates."""
    if backend == "autograd":
        import autograd.numpy

        return autograd.numpy
    return np if backend == "numpy" else jnp


def mici_system(target: Target, backend: str) -> Any:
    """The constrained system with derivatives by `backend`: jax, autograd or numpy (by hand)."""
    from mici.systems import DenseConstrainedEuclideanMetricSystem

    arrays: Any = array_module(backend)
    derivatives: dict[str, Any] = {"backend": backend}
    if backend == "numpy":
        jacobian, gradient = NUMPY_DERIVATIVES[target.name]
        derivatives = {"jacob_constr": jacobian, "grad_neg_log_dens": gradient}
    # Plain functions, not partials: mici deep-copies the system, and a module in a partial cannot be copied.
    return DenseConstrainedEuclideanMetricSystem(
        lambda x: target.energy(arrays, x),
        lambda x: target.constraint(arrays, x),
        dens_wrt_hausdorff=True,
        **derivatives,
    )


def run_mici(
    target: Target, backend: str, num_chains: int, num_warmup: int, num_samples: int, seed: int, **choices: Any
) -> Result:
    """mici on one of the level sets of `sampler_targets`, with one of its backends."""
    positions = starts(target, num_chains, seed)
    return sample_mici(lambda: mici_system(target, backend), positions, num_warmup, num_samples, seed, **choices)


def sample_mici(
    make_system: Callable[[], Any],
    positions: np.ndarray,
    num_warmup: int,
    num_samples: int,
    seed: int,
    *,
    accept_target: float = 0.8,
    solver: str = "newton",
    solver_options: dict[str, Any] | None = None,
) -> Result:
    """Dynamic multinomial constrained HMC of mici in float64, chains one after the other in this process."""
    import mici
    from mici.states import ChainState

    num_chains = len(positions)
    with ExitStack() as contexts:
        contexts.enter_context(jax.enable_x64(True))
        # mici calls its derivatives point by point, where a GPU's launches would only slow it.
        contexts.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
        system = make_system()
        integrator = mici.integrators.ConstrainedLeapfrogIntegrator(
            system,
            projection_solver=getattr(mici.solvers, f"solve_projection_onto_manifold_{solver}"),
            projection_solver_kwargs=solver_options,
        )
        began = time.perf_counter()
        state = ChainState(pos=positions[0], mom=None, dir=1)
        system.constr(state), system.jacob_constr(state.copy()), system.neg_log_dens(state), system.dh1_dpos(state)
        compiled = time.perf_counter()

        # Two samplers: mici derives the chains' streams from the seed at every call, so one would repeat its numbers.
        def sample(stage: int, warmup: int, main: int, states: list, adapters: list | None) -> Any:
            rng = np.random.default_rng([seed, stage])
            return mici.samplers.DynamicMultinomialHMC(system, integrator, rng).sample_chains(
                warmup,
                main,
                states,
                adapters=adapters,
                trace_funcs=[lambda state: {"position": state.pos}],
                n_process=1,
                display_progress=False,
                monitor_stats=None,
            )

        adapter = mici.adapters.DualAveragingStepSizeAdapter(accept_target)
        states, _, _ = sample(0, num_warmup, 0, list(positions), [adapter])
        wall, cpu = time.perf_counter(), time.process_time()
        _, traces, statistics = sample(1, 0, num_samples, states, None)
        wall_seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    kinds = ("convergence_error", "non_reversible_step", "diverging")
    failures = {kind: int(sum(np.sum(chain) for chain in statistics[kind])) for kind in kinds}
    steps = float(np.mean([np.mean(chain) for chain in statistics["n_step"]]))
    lost = {"lost_chains": num_chains - len(states)}  # those whose first step size was not found
    settings = {"step_size": float(integrator.step_size), "steps_per_draw": steps, "solver": solver} | failures | lost
    draws = np.stack(traces["position"])
    return Result(draws, wall_seconds, cpu_seconds, compiled - began, wall - compiled, sum(failures.values()), settings)
