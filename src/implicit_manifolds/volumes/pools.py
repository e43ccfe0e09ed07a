"""Volumes of level sets and integrals over them, from weighted points."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats.qmc import Sobol

from .._random import host_generator
from .._types import Float, Int, RandomKey
from ..box import Box

SETS = 16
"""Independent sets that lines and charts are drawn in, for standard errors."""


class Pool(NamedTuple):
    """Points of M that are uniform when weighted, and what they say of volume.

    points (c, n) on M in the box; weights (c,), the volume each stands for; groups (c,), which of `num_groups`
    independent sets of draws each came from: draws of one set are dependent, and errors are computed by set.
    doubt: what the method may have missed, as a share of the volume. From lines, the relative change of the volume
    when the `cells` that each line is searched in were last halved; from charts (cells 0), `Atlas.inconsistent`.
    """

    points: Float[np.ndarray, "c n"]
    weights: Float[np.ndarray, " c"]
    groups: Int[np.ndarray, " c"]
    num_groups: int
    cells: int
    doubt: float


@dataclass(frozen=True)
class PoolSource:
    """draw(key, count) gives a fresh pool from at most `count` draws.

    Host code alone reads it: to `jit` all are equal, so that an atlas of another size compiles nothing again.
    """

    draw: Callable[[RandomKey, int], Pool]

    def __eq__(self, other):
        """True for any other source."""
        return isinstance(other, PoolSource)

    def __hash__(self):
        """The same for all sources."""
        return hash(PoolSource)


def even_points(random: np.random.Generator, pool: Pool, size: int) -> Float[np.ndarray, "c n"]:
    """`size` of the pool's points, or all where they are fewer, drawn by weight without replacement."""
    order = np.log(pool.weights) + random.gumbel(size=len(pool.weights))
    return pool.points[np.argsort(-order)[:size]]


def box_source(box: Box) -> PoolSource:
    """Fresh uniform points of a box (low, high), each (n,): the pools of a density of all of R^n in it.

    Each set is a scrambled Sobol sequence of its own, more even than chance (Owen 1997).
    """
    low, high = np.asarray(box[0]), np.asarray(box[1])
    extent = (high - low).astype(np.float64)

    def draw(key: RandomKey, count: int) -> Pool:
        random, each = host_generator(key), max(1, count // SETS)
        with warnings.catch_warnings():  # sizes that are no power of two are a little less even
            warnings.simplefilter("ignore", UserWarning)
            uniform = np.concatenate([Sobol(len(low), rng=random).random(each) for _ in range(SETS)])
        weights = np.full(len(uniform), np.prod(extent) / len(uniform))
        return Pool((low + extent * uniform).astype(low.dtype), weights, np.repeat(np.arange(SETS), each), SETS, 0, 0.0)

    return PoolSource(draw)


class Estimate(NamedTuple):
    """A number, such as an integral over M or log Z, and its standard error."""

    value: float
    standard_error: float


def integrate(pool: Pool, values: Float[np.ndarray, " c"]) -> Estimate:
    """The integral over M of a function with `values` (c,) at the pool's points; standard error by groups."""
    terms = pool.weights * np.asarray(values, np.float64) * pool.num_groups
    totals = np.bincount(pool.groups, terms, minlength=pool.num_groups)
    return Estimate(float(totals.mean()), float(totals.std(ddof=1) / math.sqrt(pool.num_groups)))


def volume(pool: Pool) -> Estimate:
    """The m-dimensional volume of M in the box (length of a curve, area of a surface).

    Arguments:
        pool: weighted points of M, as `draw_pool` gives them.

    Returns:
        `Estimate`: the volume, in the units of the pool's points to the power m, and its standard error.

    >>> pool = im.draw_pool(jax.random.key(1), im.cover(jax.random.key(0), circle), 10_000)
    >>> found = im.volume(pool)
    >>> bool(abs(found.value - 2 * np.pi) < 4 * found.standard_error + 0.01)
    True
    """
    return integrate(pool, np.ones(len(pool.points)))


def log_integral(pool: Pool, logarithms: Float[np.ndarray, " c"]) -> Estimate:
    """Log of the integral over M of exp(`logarithms`) (c,), and its standard error by the delta method.

    Raises ArithmeticError where all are minus infinity.
    """
    top = logarithms.max()
    if np.isneginf(top):
        raise ArithmeticError("the energy is finite nowhere on the manifold, so it has no density")
    found = integrate(pool, np.exp(logarithms - top))
    return Estimate(top + math.log(found.value), found.standard_error / found.value)


def combined(pools: Sequence[Pool]) -> Pool:
    """One pool from independent ones of the same level set: weights averaged, groups kept apart."""
    offsets = np.cumsum([0, *(pool.num_groups for pool in pools)])
    return Pool(
        np.concatenate([pool.points for pool in pools]),
        np.concatenate([pool.weights for pool in pools]) / len(pools),
        np.concatenate([pool.groups + offset for pool, offset in zip(pools, offsets, strict=False)]),
        int(offsets[-1]),
        min(pool.cells for pool in pools),
        max(pool.doubt for pool in pools),
    )
