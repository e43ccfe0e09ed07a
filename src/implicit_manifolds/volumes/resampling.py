"""Rows kept in proportion to their weights, inside jit."""

import jax
import jax.numpy as jnp

from .._loops import bounded_while
from .._types import Array, Float, Int, RandomKey

ROUNDS = 64
"""Of finding which rows weigh so much that they are kept for certain."""


def kept_once(key: RandomKey, weights: Float[Array, " a"], count: int) -> Int[Array, " count"]:
    """Indices of `count` rows in random order, each with probability `weights` over their sum times `count`, or 1.

    Systematic sampling of rows in random order (Madow 1949), as `importance.kept_once` does on the host. Where fewer
    than `count` rows weigh anything, some are kept more than once.
    """
    order_key, comb_key, last_key = jax.random.split(key, 3)

    def heavy(share):
        return jnp.any(share > 1 + 1e-6)

    def lighter(share):
        certain = share >= 1
        rest = jnp.where(certain, 0, share)
        total = jnp.sum(rest)
        return jnp.where(certain, 1, rest * (count - jnp.sum(certain)) / jnp.where(total > 0, total, 1))

    share = bounded_while(heavy, lighter, weights * (count / jnp.sum(weights)), ROUNDS)[0]
    order = jax.random.permutation(order_key, len(weights))
    ends = jnp.cumsum(share[order])
    teeth = (jnp.arange(count) + jax.random.uniform(comb_key, (), ends.dtype)) * (ends[-1] / count)
    found = jnp.minimum(jnp.searchsorted(ends, teeth, side="right"), len(ends) - 1)
    return jax.random.permutation(last_key, order[found])
