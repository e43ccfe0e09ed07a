"""What BlackJAX's users do about a level set: HMC on a thin layer about it, or in a chart of it."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.sampler_targets import (
    MAJOR_RADIUS,
    MINOR_RADIUS,
    Result,
    Target,
    distance_rms,
    gram_matrix,
    smallest_ess,
    starts,
    torus_point,
)

SOFT_DISTANCE = 0.01  # RMS distance of a soft draw from the set
PILOT_DRAWS, PILOT_STEPS = 150, 64


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
    logdensity = lambda x: program.density(x, scale)

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


def half_logdet(target: Target, x: Any) -> Any:
    """Half the log determinant of J Jᵀ: (n,) -> ()."""
    return 0.5 * jnp.linalg.slogdet(gram_matrix(target, x))[1]


def layer_logdensity(target: Target, x: Any, scale: Any) -> Any:
    """-U - |F|²/(2 s²): (n,) -> (). As s → 0 it tends to exp(-U) over det(J Jᵀ)^½ on the set."""
    return -target.energy(jnp, x) - 0.5 * jnp.sum((target.constraint(jnp, x) / scale) ** 2)


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
