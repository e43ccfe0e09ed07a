"""Many chains as one program: scan over vmap(step), in chunks that the host can watch."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._loops import chunk_sizes, collect, progress_bar
from .._types import Array, Float, Int, RandomKey


class Chains(NamedTuple):
    """What `run` returns, as host arrays.

    positions (num_samples, chains, n), after every `thinning` steps; state, the chains' last, to go
    on from; info, the sampler's Info averaged over all steps of each chain, fields (chains,); num_steps
    taken by each chain; non_finite, chains whose last position is not finite.
    """

    positions: Any
    state: Any
    info: Any
    num_steps: int
    non_finite: Any


@jax.jit
def initial_states(sampler, positions: Float[Array, "chains n"]):
    """States of chains that start at `positions` (chains, n)."""
    return jax.vmap(sampler.init)(positions)


def advance(sampler, key: RandomKey, states, num_steps: Int[Array, ""] | int):
    """Take `num_steps` steps of all chains inside jit; returns states and each chain's summed Info.

    What of Info is not finite, such as the residual of a step that diverged and was not taken, adds nothing.

    `num_steps` may be traced, so a new count compiles nothing.
    """
    chains = jax.tree.leaves(states)[0].shape[0]
    step_all = jax.jit(lambda sampler, keys, states: jax.vmap(sampler.step)(keys, states))  # traced once

    def body(index, carry):
        states, totals = carry
        keys = jax.random.split(jax.random.fold_in(key, index), chains)
        states, info = step_all(sampler, keys, states)
        totals = jax.tree.map(lambda total, value: total + jnp.where(jnp.isfinite(value), value, 0), totals, info)
        return states, totals

    one = jax.eval_shape(step_all, sampler, jax.random.split(key, chains), states)[1]
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.result_type(leaf.dtype, jnp.float32)), one)
    return jax.lax.fori_loop(0, num_steps, body, (states, zero))


@partial(jax.jit, static_argnames="size")
def _run_chunk(sampler, key, states, first, count, thinning, size):
    """Up to `size` samples, `thinning` steps apart, numbered from `first` so chunks change no draw."""

    def sample(index, states):
        states, totals = advance(sampler, jax.random.fold_in(key, index), states, thinning)
        return states, (states.position, totals)

    return collect(sample, states, first, count, size)


def run(
    sampler,
    key: RandomKey,
    positions: Float[Array | np.ndarray, "chains n"],
    num_samples: int,
    thinning: int = 1,
    *,
    chunk_size: int = 100,
    progress: bool = False,
) -> Chains:
    """Run every chain from `positions` (chains, n) until each has `num_samples` samples.

    sampler: any `init`/`step` pair as a pytree; it travels as an argument, so new parameters do not
    recompile. thinning: steps between samples. progress: show a bar, moved once a chunk. Chunking does not change a
    draw. Memory is num_samples x chains x n.
    """
    states = initial_states(sampler, jnp.asarray(positions))
    pieces, infos = [], []
    with progress_bar("sampling", num_samples, progress) as bar:
        for first, count in chunk_sizes(0, num_samples, chunk_size):
            states, (drawn, summed) = _run_chunk(sampler, key, states, first, count, thinning, chunk_size)
            pieces.append(np.asarray(drawn)[:count])
            infos.append(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64).sum(axis=0), summed))
            bar.update(count)
    num_steps = num_samples * thinning
    mean = jax.tree.map(lambda *totals: sum(totals) / num_steps, *infos)
    last = np.asarray(states.position)
    non_finite = ~np.isfinite(last).all(axis=tuple(range(1, last.ndim)))
    return Chains(np.concatenate(pieces), states, mean, num_steps, non_finite)
