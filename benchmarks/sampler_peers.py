"""Rivals of a constrained sampler: mici, BlackJAX on a thickened set, BlackJAX in a chart; and the targets.

A target is the set {x in R^n : F(x) = 0} with density exp(-U) with respect to its surface (Hausdorff) measure. Every
rival spends its tuning outside the timed sampling, as the sampler it is compared with does.
"""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MAJOR_RADIUS, MINOR_RADIUS = 1.0, 0.5
CONCENTRATION = 10.0
SOFT_DISTANCE = 0.01  # RMS distance of a soft draw from the set
PILOT_DRAWS, PILOT_STEPS = 100, 64
UPPER_TRIANGLE = np.triu_indices(3)


class Target(NamedTuple):
    """A set and a density on it: F: (n,) -> (k,), U: (n,) -> (), and a random point (n,) of the set."""

    name: str
    dimension: int
    constraint: Callable[[Any, Any], Any]
    energy: Callable[[Any, Any], Any]
    start: Callable[[np.random.Generator], np.ndarray]


class Result(NamedTuple):
    """Draws (chains, draws, n) and the seconds of making them; compilation and warm-up are apart."""

    draws: np.ndarray
    wall_seconds: float
    cpu_seconds: float
    compile_seconds: float
    warmup_seconds: float
    failures: int
    settings: dict[str, Any]


# The targets. `xp` is numpy, autograd.numpy or jax.numpy.


def no_energy(xp: Any, x: Any) -> Any:
    """Zero, of the type of x: (n,) -> ()."""
    return 0.0 * x[0]


def torus_constraint(xp: Any, x: Any) -> Any:
    """Tube of radius r about the circle of radius R: (3,) -> (1,)."""
    offset = xp.sqrt(x[0] ** 2 + x[1] ** 2) - MAJOR_RADIUS
    return xp.reshape(offset**2 + x[2] ** 2 - MINOR_RADIUS**2, (1,))


def torus_point(angles: Any, xp: Any = np) -> Any:
    """Point at the angles along and around the tube: (..., 2) -> (..., 3)."""
    along, around = angles[..., 0], angles[..., 1]
    radius = MAJOR_RADIUS + MINOR_RADIUS * xp.cos(around)
    return xp.stack([radius * xp.cos(along), radius * xp.sin(along), MINOR_RADIUS * xp.sin(around)], axis=-1)


def torus_start(rng: np.random.Generator) -> np.ndarray:
    """Point at uniform angles, (3,)."""
    return torus_point(rng.uniform(-np.pi, np.pi, 2))


def sphere_constraint(xp: Any, x: Any) -> Any:
    """|x|² - 1: (n,) -> (1,)."""
    return xp.reshape(xp.sum(x * x) - 1.0, (1,))


def sphere_energy(xp: Any, x: Any) -> Any:
    """Of the von Mises-Fisher law about the first axis: (n,) -> ()."""
    return -CONCENTRATION * x[0]


def sphere_start(rng: np.random.Generator) -> np.ndarray:
    """Uniform point of S⁹, (10,)."""
    direction = rng.normal(size=10)
    return direction / np.linalg.norm(direction)


def rotation_constraint(xp: Any, x: Any) -> Any:
    """Upper triangle of XᵀX - I: (9,) -> (6,)."""
    matrix = xp.reshape(x, (3, 3))
    return (xp.matmul(matrix.T, matrix) - np.eye(3, dtype=np.float32))[UPPER_TRIANGLE]


def rotation_start(rng: np.random.Generator) -> np.ndarray:
    """Orthogonal matrix of determinant one, row by row, (9,)."""
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix[:, 0] *= np.sign(np.linalg.det(matrix))
    return matrix.reshape(9)


def rotation_quadrics() -> tuple[np.ndarray, np.ndarray]:
    """Hessians (6, 9, 9) and gradients at zero (6, 9) of the rotations' constraint."""
    hessians = np.zeros((6, 3, 3, 3, 3))
    for index, (i, j) in enumerate(zip(*UPPER_TRIANGLE, strict=True)):
        for row in range(3):
            hessians[index, row, i, row, j] += 1.0
            hessians[index, row, j, row, i] += 1.0
    return hessians.reshape(6, 9, 9), np.zeros((6, 9))


def random_quadrics() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (5, 20, 20), b (5, 20), c (5,): |b| outweighs |A x| where exp(-|x|²/2) has its mass, so G is well conditioned."""
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.normal(size=(5, 20, 20))
    return (noise + noise.transpose(0, 2, 1)) / math.sqrt(2), rng.normal(size=(5, 20)), rng.normal(size=5)


HESSIANS, GRADIENTS, LEVELS = random_quadrics()


def poly_constraint(xp: Any, x: Any) -> Any:
    """x·A x/2 + b·x - c, five of them: (20,) -> (5,)."""
    return xp.dot(0.5 * xp.dot(HESSIANS, x) + GRADIENTS, x) - LEVELS


def poly_energy(xp: Any, x: Any) -> Any:
    """|x|²/2: (n,) -> ()."""
    return 0.5 * xp.sum(x * x)


def poly_start(rng: np.random.Generator) -> np.ndarray:
    """A normal point brought to the set by Gauss-Newton steps, (20,)."""
    x = rng.normal(size=20)
    for _ in range(50):
        x = x - np.linalg.pinv(HESSIANS @ x + GRADIENTS) @ poly_constraint(np, x)
    return x


TARGETS = {
    target.name: target
    for target in (
        Target("torus", 3, torus_constraint, no_energy, torus_start),
        Target("s9_vmf", 10, sphere_constraint, sphere_energy, sphere_start),
        Target("so3", 9, rotation_constraint, no_energy, rotation_start),
        Target("poly20", 20, poly_constraint, poly_energy, poly_start),
    )
}


def starts(target: Target, num_chains: int, seed: int) -> np.ndarray:
    """One point of the set for each chain, (chains, n) float64."""
    rng = np.random.default_rng(seed)
    return np.stack([target.start(rng) for _ in range(num_chains)])


# mici.


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


def mici_system(target: Target, backend: str) -> Any:
    """mici's constrained system with derivatives by `backend`: jax, autograd or numpy (by hand)."""
    from mici.systems import DenseConstrainedEuclideanMetricSystem

    if backend == "numpy":
        jacobian, gradient = NUMPY_DERIVATIVES[target.name]
        arrays, derivatives = np, {"jacob_constr": jacobian, "grad_neg_log_dens": gradient}
    else:
        arrays, derivatives = {"jax": jnp, "autograd": autograd_numpy()}[backend], {"backend": backend}
    # Plain functions, not partials: mici deep-copies the system, and a module in a partial cannot be copied.
    return DenseConstrainedEuclideanMetricSystem(
        lambda x: target.energy(arrays, x),
        lambda x: target.constraint(arrays, x),
        dens_wrt_hausdorff=True,
        **derivatives,
    )


def autograd_numpy() -> Any:
    """autograd's numpy."""
    import autograd.numpy

    return autograd.numpy


def run_mici(
    target: Target,
    backend: str,
    num_chains: int,
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

    with ExitStack() as contexts:
        contexts.enter_context(jax.enable_x64(True))
        # mici calls its derivatives point by point, where a GPU's launches would only slow it.
        contexts.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
        system = mici_system(target, backend)
        integrator = mici.integrators.ConstrainedLeapfrogIntegrator(
            system,
            projection_solver=getattr(mici.solvers, f"solve_projection_onto_manifold_{solver}"),
            projection_solver_kwargs=solver_options,
        )
        positions = starts(target, num_chains, seed)
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
    settings = {"step_size": float(integrator.step_size), "steps_per_draw": steps, "solver": solver, **failures}
    draws = np.stack(traces["position"])
    return Result(
        draws, wall_seconds, cpu_seconds, compiled - began, wall - compiled, sum(failures.values()), settings
    )
