"""When a trajectory has turned towards itself, with what little of it must be kept to know."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Bool, Float, Int, Vector

WRITTEN_OUT = 16
"""Dimensions up to which sums over them are written out."""


class Subtrees(NamedTuple):
    """Subtrees of a growing binary tree of leaves that are open, one a column: (n, depth), which vectorises better.

    firsts: momenta of their first leaves; lasts: of the leaves before those; sums: of all up to the first, with it.
    """

    firsts: Float[Array, "n depth"]
    lasts: Float[Array, "n depth"]
    sums: Float[Array, "n depth"]


def none_open(depth: int, momentum: Vector) -> Subtrees:
    """Room for the subtrees of a tree of 2^depth leaves."""
    columns = jnp.zeros((len(momentum), depth), momentum.dtype)
    return Subtrees(columns, columns, columns)


def with_leaf(subtrees: Subtrees, leaf: Int[Array, ""], before: Vector, momentum: Vector, total: Vector):
    """The subtrees with leaf number `leaf`, and whether one that it closes has turned.

    before, momentum: of the leaf before and of this one; total: of all leaves so far. Leaf i closes the subtrees of 2,
    4, ... leaves that end there; the first leaf of each is kept in the column that its binary digits name (the
    iterative tree of Phan, Pradhan & Jankowiak 2019), so that log₂ of the leaves is all that is kept.
    """
    columns = jnp.arange(subtrees.firsts.shape[1])
    last = jax.lax.population_count(leaf >> 1)
    closed = jax.lax.population_count(leaf ^ (leaf + 1)) - 1  # ones at the end of the leaf's number
    opens = (leaf % 2 == 0) & (columns == last)
    firsts, lasts, sums = subtrees = Subtrees(
        *(jnp.where(opens, new[:, None], old) for new, old in zip((momentum, before, total), subtrees, strict=True))
    )
    end, within = momentum[:, None], total[:, None] - sums + firsts
    # The second half of each subtree is the next column, but for those of two leaves.
    halves = within[:, :-1] - within[:, 1:], within[:, 1:]
    across = across_turned(firsts[:, :-1], lasts[:, 1:], firsts[:, 1:], end, *halves)
    checked = (columns <= last) & (columns > last - closed)
    turned = jnp.any(checked & has_turned(firsts, end, within))
    return subtrees, turned | jnp.any((checked & (columns < last))[:-1] & across)


def has_turned(first: Any, last: Any, total: Any) -> Bool[Array, "*columns"]:
    """Whether the ends of a path move towards each other; momenta (n, ...) point the way of the path."""
    along = total - 0.5 * (first + last)
    return (_dot(first, along) <= 0) | (_dot(last, along) <= 0)


def _dot(a: Any, b: Any) -> Float[Array, "*columns"]:
    """Sums over the first axis, written out where it is short: XLA's reductions there are not vectorised."""
    if len(b) > WRITTEN_OUT:
        return jnp.sum(a * b, axis=0)
    return sum((a[i] * b[i] for i in range(1, len(b))), a[0] * b[0])


def across_turned(first: Any, last: Any, next_: Any, end: Any, total: Any, next_total: Any) -> Bool[Array, "*columns"]:
    """Whether of two halves, `first` to `last` and `next_` to `end`, one with the nearest leaf of the other has turned.

    A path that comes round between two doublings looks straight by its ends alone (as in Stan since 2.21).
    """
    return has_turned(first, next_, total + next_) | has_turned(last, end, last + next_total)
