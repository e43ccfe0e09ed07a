"""Rivals of a constrained sampler: mici, BlackJAX on a thickened set, BlackJAX in a chart; and the targets.

A target is the set {x in R^n : F(x) = 0} with density exp(-U) with respect to its surface (Hausdorff) measure. Every
rival spends its tuning outside the timed sampling, as the sampler it is compared with does.
"""

import importlib
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
PILOT_DRAWS, PILOT_STEPS = 150, 64
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
    return (xp.matmul(matrix.T, matrix) - np.eye(3))[UPPER_TRIANGLE]


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
    """A (5, 20, 20), b (5, 20), c (5,): |b| outweighs |A x| where exp(-|x|²/2) has its mass, so J Jᵀ is tame."""
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
    """The constrained system with derivatives by `backend`: jax, autograd or numpy (by hand)."""
    from mici.systems import DenseConstrainedEuclideanMetricSystem

    derivatives: dict[str, Any] = {"backend": backend}
    arrays: Any = np
    if backend == "numpy":
        jacobian, gradient = NUMPY_DERIVATIVES[target.name]
        derivatives = {"jacob_constr": jacobian, "grad_neg_log_dens": gradient}
    elif backend == "autograd":
        arrays = importlib.import_module("autograd.numpy")
    else:
        arrays = jnp
    # Plain functions, not partials: mici deep-copies the system, and a module in a partial cannot be copied.
    return DenseConstrainedEuclideanMetricSystem(
        lambda x: target.energy(arrays, x),
        lambda x: target.constraint(arrays, x),
        dens_wrt_hausdorff=True,
        **derivatives,
    )


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
    lost = {"lost_chains": num_chains - len(states)}  # those whose first step size was not found
    settings = {"step_size": float(integrator.step_size), "steps_per_draw": steps, "solver": solver} | failures | lost
    draws = np.stack(traces["position"])
    return Result(draws, wall_seconds, cpu_seconds, compiled - began, wall - compiled, sum(failures.values()), settings)


# BlackJAX.


class Program(NamedTuple):
    """What HMC runs on: the density whose gradient drives it, a log factor added on acceptance, a map of the draws."""

    density: Callable[[Any, Any], Any]
    log_factor: Callable[[Any], Any]
    wrap: Callable[[Any], Any]


class Tuning(NamedTuple):
    """What a chain runs with: step size (), inverse mass (m,), trajectories of 1 to 2 * steps - 1 leapfrog steps."""

    step_size: Any
    inverse_mass: Any
    steps: Any


@partial(jax.jit, static_argnames=("program", "draws"))
def hmc_draws(
    key: Any, positions: Any, tuning: Tuning, scale: Any, *, program: Program, draws: int
) -> tuple[Any, Any, Any]:
    """HMC from positions (chains, m): last positions, draws (draws, chains, m), acceptance rates (draws, chains).

    A trajectory's length is drawn once for all chains: under vmap they would all wait for the longest anyway.
    """
    import blackjax
    from blackjax.mcmc.hmc import hmc_proposal
    from blackjax.mcmc.proposal import static_binomial_sampling

    def accept(key: Any, log_ratio: Any, state: Any, proposal: Any) -> Any:
        log_ratio = log_ratio + program.log_factor(proposal.position) - program.log_factor(state.position)
        return static_binomial_sampling(key, jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio), state, proposal)

    kernel = blackjax.hmc.build_kernel(build_proposal=partial(hmc_proposal, sample_proposal=accept))
    logdensity = lambda x: program.density(x, scale)  # noqa: E731

    def one(key: Any, state: Any, steps: Any) -> tuple[Any, Any]:
        state, info = kernel(key, state, logdensity, tuning.step_size, tuning.inverse_mass, steps)
        return state._replace(position=program.wrap(state.position)), info.acceptance_rate

    def all_chains(states: Any, key: Any) -> tuple[Any, tuple[Any, Any]]:
        length_key, key = jax.random.split(key)
        steps = jax.random.randint(length_key, (), 1, 2 * tuning.steps)
        states, rates = jax.vmap(one, (0, 0, None))(jax.random.split(key, len(positions)), states, steps)
        return states, (states.position, rates)

    states = jax.vmap(lambda x: blackjax.hmc.init(x, logdensity))(positions)
    states, (trace, rates) = jax.lax.scan(all_chains, states, jax.random.split(key, draws))
    return states.position, trace, rates


@partial(jax.jit, static_argnames=("density", "num_warmup", "steps", "accept_target"))
def adapted(
    key: Any, positions: Any, scale: Any, *, density: Callable, num_warmup: int, steps: int, accept_target: float
) -> tuple[Tuning, Any]:
    """Window adaptation of every chain, pooled: the tuning, and the last positions (chains, m)."""
    import blackjax
    from blackjax.adaptation.base import get_filter_adapt_info_fn

    adaptation = blackjax.window_adaptation(
        blackjax.hmc,
        partial(density, scale=scale),
        target_acceptance_rate=accept_target,
        num_integration_steps=steps,
        adaptation_info_fn=get_filter_adapt_info_fn(),
    )
    run = jax.vmap(lambda key, position: adaptation.run(key, position, num_steps=num_warmup)[0])
    results = run(jax.random.split(key, len(positions)), positions)
    step_size = jnp.exp(jnp.mean(jnp.log(results.parameters["step_size"])))
    inverse_mass = jnp.mean(results.parameters["inverse_mass_matrix"], axis=0)
    return Tuning(step_size, inverse_mass, jnp.int32(steps)), results.state.position


def smallest_ess(draws: np.ndarray) -> float:
    """Least bulk effective sample size of the coordinates of draws (chains, draws, n)."""
    from arviz_stats.base import array_stats

    columns = np.moveaxis(np.asarray(draws, np.float64), -1, 0)
    return min(float(array_stats.ess(column, chain_axis=0, draw_axis=1, method="bulk")) for column in columns)


def fastest(
    key: Any, positions: Any, tuning: Tuning, scale: Any, embed: Callable, program: Program
) -> tuple[Tuning, Any]:
    """The tuning of most effective samples of embed(x) per second in pilot runs, and last positions (chains, m).

    The length is doubled till that pays no more. Then come equal masses, since a layer bends too much for the diagonal
    of a covariance to serve everywhere, and steps about the adapted one at the same length.
    """
    positions, _, _ = hmc_draws(key, positions, tuning, scale, program=program, draws=PILOT_DRAWS)

    def rate(trial: Tuning) -> float:
        nonlocal positions, key
        seconds: list[float] = []
        traces = []
        while len(seconds) < 3 and sum(seconds) < 0.5:  # a short run is timed again: the least is what it takes
            key, pilot_key = jax.random.split(key)
            began = time.perf_counter()
            run = hmc_draws(pilot_key, positions, trial, scale, program=program, draws=PILOT_DRAWS)
            positions, trace, _ = jax.block_until_ready(run)
            seconds.append(time.perf_counter() - began)
            traces.append(np.swapaxes(embed(trace), 0, 1))
        draws = np.concatenate(traces, axis=1)
        effective = smallest_ess(draws) / (draws.shape[0] * draws.shape[1])
        # Chains that never left their starts look like one effective sample each.
        return effective / min(seconds) if effective > 0.05 else 0.0

    best, best_rate = tuning, 0.0
    for exponent in range(13):
        trial = tuning._replace(steps=jnp.int32(2**exponent))
        if (trial_rate := rate(trial)) > best_rate:
            best, best_rate = trial, trial_rate
        elif trial_rate < 0.7 * best_rate:
            break
    equal = jnp.full_like(best.inverse_mass, jnp.exp(jnp.mean(jnp.log(best.inverse_mass))))
    if (trial_rate := rate(best._replace(inverse_mass=equal))) > best_rate:
        best, best_rate = best._replace(inverse_mass=equal), trial_rate
    middle = best
    for factor in (0.7, 1.4, 2.0):
        steps = jnp.int32(max(1, round(int(middle.steps) / factor)))
        trial = middle._replace(step_size=factor * middle.step_size, steps=steps)
        if (trial_rate := rate(trial)) > best_rate:
            best, best_rate = trial, trial_rate
    return best, positions


def timed_hmc(
    key: Any, positions: Any, tuning: Tuning, scale: Any, embed: Callable, began: float, sizes: tuple, program: Program
) -> Result:
    """Warm up every chain with the tuning, compile, and time the draws of embed(x); sizes are (warm-up, draws)."""
    warm_key, key = jax.random.split(key)
    positions, _, _ = hmc_draws(warm_key, positions, tuning, scale, program=program, draws=sizes[0])
    jax.block_until_ready(positions)
    warm = time.perf_counter()
    sample = hmc_draws.lower(key, positions, tuning, scale, program=program, draws=sizes[1]).compile()
    compiled, cpu = time.perf_counter(), time.process_time()
    _, trace, rates = jax.block_until_ready(sample(key, positions, tuning, scale))
    wall_seconds, cpu_seconds = time.perf_counter() - compiled, time.process_time() - cpu
    settings = {
        "step_size": float(tuning.step_size),
        "inverse_mass": np.asarray(tuning.inverse_mass).round(6).tolist(),
        "steps_per_draw": int(tuning.steps),
        "accept_rate": float(jnp.mean(rates)),
    }
    draws = np.swapaxes(np.asarray(embed(trace)), 0, 1)
    return Result(draws, wall_seconds, cpu_seconds, compiled - warm, warm - began, 0, settings)


def gram_matrix(target: Target, x: Any) -> Any:
    """J Jᵀ at x: (n,) -> (k, k)."""
    jacobian = jax.jacrev(partial(target.constraint, jnp))(x)
    return jacobian @ jacobian.T


def half_logdet(target: Target, x: Any) -> Any:
    """Half the log determinant of J Jᵀ: (n,) -> ()."""
    return 0.5 * jnp.linalg.slogdet(gram_matrix(target, x))[1]


def layer_logdensity(target: Target, x: Any, scale: Any) -> Any:
    """-U - |F|²/(2 s²): (n,) -> (). As s → 0 it tends to exp(-U) over det(J Jᵀ)^½ on the set."""
    return -target.energy(jnp, x) - 0.5 * jnp.sum((target.constraint(jnp, x) / scale) ** 2)


def distance_rms(target: Target, points: Any) -> float:
    """Root mean square of the first-order distance (F·G⁻¹F)^½ of points (..., n)."""

    def squared(x: Any) -> Any:
        residual = target.constraint(jnp, x)
        return residual @ jnp.linalg.solve(gram_matrix(target, x), residual)

    return float(jnp.sqrt(jnp.mean(jax.vmap(squared)(points.reshape(-1, target.dimension)))))


def run_soft(target: Target, num_chains: int, num_warmup: int, num_samples: int, seed: int) -> Result:
    """HMC in the ambient space on a layer about the set, of RMS distance `SOFT_DISTANCE`.

    HMC of jittered length, not NUTS: the stiff layer asks for tens to hundreds of leapfrog steps a draw, and under vmap
    every chain pays for the deepest tree of all; at the same step NUTS gave a tenth of the effective samples a second
    or less. The factor det(J Jᵀ)^½, which makes the limit the surface measure, enters the acceptance alone: that is
    exact, and with several constraints its gradient costs ten to thirty times that of the rest.
    """
    began = time.perf_counter()
    program, key = (
        Program(partial(layer_logdensity, target), partial(half_logdet, target), lambda x: x),
        jax.random.key(seed),
    )
    positions = jnp.asarray(starts(target, num_chains, seed), float)
    gram = jax.vmap(partial(gram_matrix, target))(positions)
    scale = SOFT_DISTANCE / jnp.sqrt(jnp.mean(jnp.trace(jnp.linalg.inv(gram), axis1=-2, axis2=-1)))
    adapt = partial(adapted, density=program.density, num_warmup=num_warmup, steps=PILOT_STEPS, accept_target=0.8)
    for attempt in range(4):
        keys = jax.random.split(jax.random.fold_in(key, attempt))
        tuning, positions = adapt(keys[0], positions, scale)
        positions, trace, _ = hmc_draws(keys[1], positions, tuning, scale, program=program, draws=PILOT_DRAWS)
        distance = distance_rms(target, trace[PILOT_DRAWS // 2 :])
        if abs(distance / SOFT_DISTANCE - 1.0) < 0.04:
            break
        scale = scale * SOFT_DISTANCE / distance
    tuning, positions = fastest(jax.random.fold_in(key, 10), positions, tuning, scale, lambda x: x, program)
    sizes = (num_warmup, num_samples)
    result = timed_hmc(jax.random.fold_in(key, 11), positions, tuning, scale, lambda x: x, began, sizes, program)
    layer = {"scale": float(scale), "distance_rms": distance_rms(target, jnp.asarray(result.draws))}
    return result._replace(settings=result.settings | layer)


def chart_logdensity(angles: Any, scale: Any) -> Any:
    """Log area element of the torus at (along, around): (2,) -> ()."""
    del scale
    return jnp.log(MAJOR_RADIUS + MINOR_RADIUS * jnp.cos(angles[1]))


def wrap_angles(angles: Any) -> Any:
    """The same angles in [0, 2π): left alone they would drift till float32 cannot resolve them."""
    return jnp.mod(angles, 2.0 * jnp.pi)


def run_chart(target: Target, num_chains: int, num_warmup: int, num_samples: int, seed: int) -> Result | None:
    """HMC of jittered length in the torus's two angles, mapped to R³; None for the sets without a global chart.

    NUTS would not do: along a flat periodic angle a trajectory never turns back.
    """
    if target.name != "torus":
        return None
    began = time.perf_counter()
    program, key, scale = Program(chart_logdensity, lambda _: 0.0, wrap_angles), jax.random.key(seed), jnp.ones(())
    positions = jnp.asarray(np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, (num_chains, 2)))
    embed = jax.jit(partial(torus_point, xp=jnp))
    # Acceptance hardly falls to 0.8 here, however long the step: the density varies too little.
    adapt = partial(adapted, density=chart_logdensity, num_warmup=num_warmup, steps=2, accept_target=0.9)
    tuning, positions = adapt(key, positions, scale)
    tuning, positions = fastest(jax.random.fold_in(key, 10), positions, tuning, scale, embed, program)
    sizes = (num_warmup, num_samples)
    return timed_hmc(jax.random.fold_in(key, 11), positions, tuning, scale, embed, began, sizes, program)
