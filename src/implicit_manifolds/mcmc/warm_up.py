"""Step sizes by dual averaging (Nesterov 2009; Hoffman & Gelman 2014, §3.2), over all chains at once."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from .._devices import automatic, gathered, on_host, replicated
from .._loops import chunk_sizes, progress_bar
from .._types import Array, Float, Int, RandomKey, Scalar, relative_tolerance
from ..errors import ChainsStuck
from .chains import start_chains, step_of_all
from .outcome import Reason
from .sampler import AdjustedSampler, Sampler

SHRINKAGE, DELAY, DECAY = 0.05, 10.0, 0.75
"""γ, t₀ and κ of Hoffman & Gelman 2014, §3.2.1."""
CHUNK = 100
SHORT = 4
"""Every fourth step of warm-up is a quarter as long, or chains in a steep place would wait there for ever."""
FEWEST = 50
STILL = 10
"""A chain whose root mean square move is below this many times the accuracy of a position stands still."""


class WarmUp(NamedTuple):
    """sampler with its step size, the chains' last state, and their mean acceptance (chains,) in the second half."""

    sampler: Any
    state: Any
    acceptance: Any


class _Averages(NamedTuple):
    """Dual averages, and what each chain did in the second half: moves squared, acceptances, reasons counted."""

    step: Int[Array, ""]
    gap: Scalar
    log_step_size: Scalar
    log_average: Scalar
    moved: Float[Array, " chains"]
    acceptance: Float[Array, " chains"]
    reasons: Float[Array, "chains reasons"]


def warm_up(
    key: RandomKey,
    sampler: Sampler,
    positions: Float[Array | np.ndarray, "chains n"],
    num_steps: int,
    target_acceptance: float = 0.8,
    *,
    progress: bool = False,
    mesh: Mesh | None = None,
) -> WarmUp:
    """Tune the one step size that all chains share to a mean acceptance, and let them forget their starts.

    A proposal that cannot be made or undone counts as acceptance 0. Raises `ChainsStuck` where a chain stood still,
    although acceptance looked fine or because every proposal was refused; ValueError for starts as in `run`, under 50
    steps, and for samplers without a Metropolis step.

    Arguments:
        key: a `jax.random` key.
        sampler: one with a Metropolis step; its step size is where the search begins.
        positions: starts (chains, n), on M.
        num_steps: at least 50, better 300.
        target_acceptance: about 0.8 for several leapfrog steps, 0.65 for one.
        progress: show a bar.
        mesh: devices to share the chains among, as in `run`.

    Returns:
        `WarmUp`: the sampler with its step size, the chains' last state, and their acceptance (chains,).

    >>> energy = jax.tree_util.Partial(lambda x: -2 * x[0])
    >>> slow = mcmc.ConstrainedHMC(circle.mdf, energy, step_size=0.01)
    >>> tuned = mcmc.warm_up(jax.random.key(0), slow, circle.anchors, 200)
    >>> bool(tuned.sampler.step_size > 0.3)
    True
    """
    mesh = automatic(mesh)
    if not isinstance(sampler, AdjustedSampler):
        raise ValueError("warm-up tunes samplers with a Metropolis step; give this one its step size")
    if num_steps < FEWEST:
        raise ValueError(f"{num_steps} steps tune nothing; warm up for at least {FEWEST}, better 300")
    start_key, step_key = jax.random.split(key)
    states = start_chains(start_key, sampler, positions, mesh)
    first = jnp.asarray(sampler.step_size, states.position.dtype)
    zero, each = jnp.zeros_like(first), jnp.zeros(len(positions), first.dtype)
    averages = _Averages(
        jnp.zeros((), jnp.int32), zero, jnp.log(first), jnp.log(first), each, each, jnp.zeros((len(each), len(Reason)))
    )
    fixed = replicated((sampler, step_key, jnp.log(10 * first), jnp.asarray(target_acceptance, first.dtype)), mesh)
    averages = replicated(averages, mesh)
    with progress_bar("warming up", num_steps, progress) as bar:
        for _, count in chunk_sizes(0, num_steps, CHUNK):
            states, averages = _adapt(*fixed, states, averages, count, num_steps // 2, mesh)
            bar.update(count)
    averages, last = on_host((averages, states.position))
    step_size = np.exp(averages.log_average)
    counted = sum(step % SHORT < SHORT - 1 for step in range(num_steps // 2, num_steps))
    averages = averages._replace(acceptance=averages.acceptance / counted)
    _refuse_stuck(averages, last, num_steps - num_steps // 2, float(step_size))
    tuned = replace(cast(Any, sampler), step_size=jnp.asarray(step_size))
    return WarmUp(tuned, states, averages.acceptance)


@partial(jax.jit, static_argnames="mesh")
def _adapt(sampler, key, centre, target, states, averages, count, half, mesh):
    step_all, chains = step_of_all(mesh), averages.moved.shape[0]

    def body(_, carry):
        states, averages = carry
        keys = jax.random.split(jax.random.fold_in(key, averages.step), chains)
        short = averages.step % SHORT == SHORT - 1
        step_size = jnp.exp(averages.log_step_size) * jnp.where(short, 1 / SHORT, 1)
        moved, info = step_all(replace(sampler, step_size=step_size.astype(averages.gap.dtype)), keys, states)
        length = jnp.sum((moved.position - states.position) ** 2, axis=1)
        late = averages.step >= half
        averages = averages._replace(
            moved=averages.moved + late * length,
            acceptance=averages.acceptance + (late & ~short) * info.acceptance_probability,
            reasons=averages.reasons + late * jax.nn.one_hot(info.reason, len(Reason)),
        )
        every = gathered(info.acceptance_probability, mesh)
        error = jnp.where(short, averages.gap, target - jnp.mean(every))  # a short step teaches nothing
        return moved, _averaged(averages, error, centre)

    return jax.lax.fori_loop(0, count, body, (states, averages))


def _averaged(averages: _Averages, error: Scalar, centre: Scalar) -> _Averages:
    step = averages.step + 1
    rate = 1 / (step + DELAY)
    gap = (1 - rate) * averages.gap + rate * error
    log_step_size = centre - jnp.sqrt(step) / SHRINKAGE * gap
    share = step**-DECAY
    log_average = share * log_step_size + (1 - share) * averages.log_average
    dtype = averages.gap.dtype
    return averages._replace(
        step=step,
        gap=gap.astype(dtype),
        log_step_size=log_step_size.astype(dtype),
        log_average=log_average.astype(dtype),
    )


def _refuse_stuck(averages: _Averages, positions, num_steps: int, step_size: float) -> None:
    reach = np.maximum(1, np.linalg.norm(positions, axis=1))
    moved = np.sqrt(averages.moved / num_steps)
    stuck = np.flatnonzero(~(moved > STILL * relative_tolerance(positions.dtype) * reach))
    if not len(stuck):
        return
    told = f"{len(stuck)} of {len(positions)} chains (first: {stuck[0]}) stand still"
    acceptance = float(averages.acceptance[stuck].mean())
    if averages.reasons[stuck, Reason.ACCEPTED].any():
        raise ChainsStuck(
            f"{told} although acceptance reads {acceptance:.2f}: in {positions.dtype} steps of size {step_size:.0e} "
            "are lost in rounding; rescale the energy or turn on float64"
        )
    cause = Reason(int(averages.reasons[stuck].sum(axis=0)[1:].argmax()) + 1).name.lower().replace("_", " ")
    raise ChainsStuck(
        f"{told}, their proposals refused (mostly: {cause}); start them on M where F and the energy are smooth, or "
        "from a smaller step size"
    )
