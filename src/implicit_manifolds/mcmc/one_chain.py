"""One chain from its start to its last sample inside jit, for pipelines of others."""

from typing import Any, NamedTuple

import jax

from .._types import Array, Float, Int, RandomKey, Vector
from .chains import added, nothing_like
from .sampler import Sampler


class Chain(NamedTuple):
    """What `sample_chain` returns.

    positions (num_samples, n), after every `thinning` steps; state, the chain's last; info, the sampler's Info averaged
    over all steps (what is not finite counts as 0), and in place of `reason` the shares of steps by `Reason`, (6,).
    """

    positions: Float[Array, "samples n"]
    state: Any
    info: Any


def sample_chain(
    key: RandomKey, sampler: Sampler, position: Vector, num_samples: int, thinning: Int[Array, ""] | int = 1
) -> Chain:
    """A whole chain of one start, inside jit: `vmap` it over keys and starts for many.

    Nothing is checked that needs the host: a start off M, or of infinite energy, is seen in `Chain.info` alone, by a
    chain that never moves. `run` looks before, tunes step sizes, and shows how far it is.

    Arguments:
        key: a JAX random key.
        sampler: any `init`/`step` pair as a pytree.
        position: start (n,), on M.
        num_samples: samples, static.
        thinning: steps between samples; may be traced.

    Returns:
        `Chain`: positions (num_samples, n), the last state, and what became of the steps.

    >>> energy = jax.tree_util.Partial(lambda x: -2 * x[0])
    >>> sampler = mcmc.ConstrainedHMC(circle.mdf, energy, step_size=0.5, num_steps=4)
    >>> draw = jax.jit(jax.vmap(lambda key, x: mcmc.sample_chain(key, sampler, x, 100)))
    >>> chains = draw(jax.random.split(jax.random.key(0), 4), circle.anchors)
    >>> chains.positions.shape, bool(abs((chains.positions**2).sum(axis=2) - 1).max() < 1e-5)
    ((4, 100, 2), True)
    """
    start_key, key = jax.random.split(key)
    state = sampler.init(position, start_key)
    totals = nothing_like(jax.eval_shape(sampler.step, key, state)[1])

    def step(index, carry):
        key, state, totals = carry
        state, info = sampler.step(jax.random.fold_in(key, index), state)
        return key, state, added(totals, info)

    def sample(carry, key):
        _, state, totals = jax.lax.fori_loop(0, thinning, step, (key, *carry))
        return (state, totals), state.position

    (state, totals), positions = jax.lax.scan(sample, (state, totals), jax.random.split(key, num_samples))
    mean = jax.tree.map(lambda total: total / (num_samples * thinning), totals)
    return Chain(positions, state, mean)
