"""Step sizes by dual averaging (Nesterov 2009; Hoffman & Gelman 2014, §3.2), over all chains at once."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from .._devices import gathered, on_host, replicated
from .._loops import chunk_sizes
from .._types import Array, Float, Int, Points
from .chains import step_of_all
from .outcome import Reason
from .reparametrised import reparametrisation
from .unequal import Extendable, hurried_step_of_all

SHRINKAGE, DELAY, DECAY = 0.05, 10.0, 0.75
"""γ, t₀ and κ of Hoffman & Gelman 2014, §3.2.1."""
CHUNK = 100
SHORT = 4
"""Every fourth step of warm-up is a quarter as long, or chains in a steep place would wait there for ever."""


class Averages(NamedTuple):
    """Dual averages; what each chain did in the second half: moves squared, acceptances, reasons counted; moments.

    moments: sums of y - centre and of their squares or products over the chains and steps of the second half, y being
    the point before the scale; none where no metric is asked for. Made host arrays by `adapted`.
    """

    step: Int[Array, ""]
    gap: Any
    log_step_size: Any
    log_average: Any
    moved: Float[Array, " chains"]
    acceptance: Float[Array, " chains"]
    reasons: Float[Array, "chains reasons"]
    moments: Any


def adapted(key, sampler, states, num_steps: int, target: float, centre, products: bool, mesh: Mesh | None, bar):
    """Take `num_steps` steps of all chains while their step size is tuned to a mean acceptance.

    centre: (n,), about which moments are summed, or None for none of them; products: of all pairs of coordinates.
    Returns the last states and `Averages`, on the host, with the mean acceptance of each chain.
    """
    chains, dtype = len(states.position), states.position.dtype
    first = jnp.asarray(sampler.step_size, dtype)
    zero, each = jnp.zeros_like(first), jnp.zeros(chains, dtype)
    averages = Averages(
        jnp.zeros((), jnp.int32), zero, jnp.log(first), jnp.log(first), each, each, jnp.zeros((chains, len(Reason))),
        None if centre is None else _moments(jnp.zeros((1, len(centre)), dtype), products),
    )  # fmt: skip
    centre = None if centre is None else jnp.asarray(centre, dtype)
    fixed = replicated((sampler, key, jnp.log(10 * first), jnp.asarray(target, dtype), centre), mesh)
    averages = replicated(averages, mesh)
    for _, count in chunk_sizes(0, num_steps, CHUNK):
        states, averages = _adapt(*fixed, states, averages, count, num_steps // 2, products, mesh)
        bar.update(count)
    averages = on_host(averages)
    counted = sum(step % SHORT < SHORT - 1 for step in range(num_steps // 2, num_steps))
    return states, averages._replace(acceptance=averages.acceptance / max(counted, 1))


@partial(jax.jit, static_argnames=("products", "mesh"))
def _adapt(sampler, key, log_start, target, centre, states, averages, count, half, products, mesh):
    step_all = hurried_step_of_all(mesh) if isinstance(sampler, Extendable) else step_of_all(mesh)
    chains = averages.moved.shape[0]

    def body(_, carry):
        states, averages = carry
        keys = jax.random.split(jax.random.fold_in(key, averages.step), chains)
        short = averages.step % SHORT == SHORT - 1
        step_size = jnp.exp(averages.log_step_size) * jnp.where(short, 1 / SHORT, 1)
        moved, info = step_all(replace(sampler, step_size=step_size.astype(averages.gap.dtype)), keys, states)
        length = jnp.sum((moved.position - states.position) ** 2, axis=1)
        late = averages.step >= half
        acceptance = info.acceptance_probability
        averages = averages._replace(
            moved=averages.moved + late * length,
            acceptance=averages.acceptance + (late & ~short) * jnp.mean(acceptance.reshape(chains, -1), axis=1),
            reasons=averages.reasons + late * jax.nn.one_hot(info.reason, len(Reason)),
        )
        if centre is not None:
            new = _moments(gathered(_before_scale(sampler, moved), mesh) - centre[None], products)
            moments = jax.tree.map(lambda total, value: total + late * value, averages.moments, new)
            averages = averages._replace(moments=moments)
        error = target - jnp.mean(gathered(acceptance, mesh), axis=0)
        error = jnp.where(short, averages.gap, error)  # a short step teaches nothing
        return moved, _averaged(averages, error, log_start)

    return jax.lax.fori_loop(0, count, body, (states, averages))


def before_scale(sampler, states) -> np.ndarray:
    """Points y of all chains, which the scale makes of z, (chains, n) in double on the host."""
    return on_host(_before_scale(sampler, states)).astype(np.float64)


def _before_scale(sampler, states):
    inner, change = states.linearization.position, reparametrisation(sampler)
    return inner if change is None else jax.vmap(change.scaled)(inner)


def _moments(points: Points, products: bool):
    return jnp.sum(points, axis=0), points.T @ points if products else jnp.sum(points**2, axis=0)


def _averaged(averages: Averages, error: Any, log_start: Any) -> Averages:
    step = averages.step + 1
    rate = 1 / (step + DELAY)
    gap = (1 - rate) * averages.gap + rate * error
    log_step_size = log_start - jnp.sqrt(step) / SHRINKAGE * gap
    share = step**-DECAY
    log_average = share * log_step_size + (1 - share) * averages.log_average
    dtype = averages.gap.dtype
    return averages._replace(
        step=step,
        gap=gap.astype(dtype),
        log_step_size=log_step_size.astype(dtype),
        log_average=log_average.astype(dtype),
    )


def covariance(averages: Averages, num_steps: int) -> np.ndarray:
    """Variances (n,) or the covariance matrix (n, n) of y over the second half of a stage, in double."""
    total, squares = (np.asarray(value, np.float64) for value in averages.moments)
    count = len(averages.moved) * (num_steps - num_steps // 2)
    mean = total / count
    return squares / count - (np.outer(mean, mean) if squares.ndim == 2 else mean**2)
