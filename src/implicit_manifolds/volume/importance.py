"""Independent draws of exp(-E) and its integral from points of known volume: importance sampling."""

from typing import NamedTuple

import jax
import numpy as np

from .._loops import in_blocks
from .._random import host_generator
from .._types import Array, Energy, Float, Int, RandomKey
from .pools import PoolSource, log_integral

BLOCK = 4096
MAX_POOL = 1_000_000
NORMALIZER_ERROR = 0.003
MIN_NORMALIZER_DRAWS, MAX_NORMALIZER_DRAWS = 2**15, 2**20


class LogNormalizer(NamedTuple):
    """log Z, Z the integral of exp(-E) over M in the box by its volume, and the standard error of the estimate."""

    value: float
    standard_error: float


def resampled(
    key: RandomKey, source: PoolSource, energy: Energy, count: int
) -> tuple[Float[np.ndarray, "count n"], float]:
    """`count` of a fresh pool's points, each kept once at most and with probability proportional to V exp(-E).

    Returns them with the effective size of the pool, (Σw)²/Σw².

    The pool grows until no point would have to be kept twice and its effective size is three times `count`. At
    `MAX_POOL` it stops; points that still weigh more than one are kept for certain, and the density is flattened there.
    """
    points: list[np.ndarray] = []
    logs: list[np.ndarray] = []
    size = 5 * count
    while True:
        pool = source.draw(jax.random.fold_in(key, len(points)), size)
        points.append(pool.points)
        # Weights are volumes over the number of draws, which differs between pools.
        logs.append(np.log(size * pool.weights) - energies_at(energy, pool.points))
        joined = np.concatenate(logs)
        weights = np.exp(joined - joined.max())
        effective_size = float(weights.sum() ** 2 / (weights**2).sum())
        lack = max(count / weights.sum(), 3 * count / effective_size)
        if lack <= 1 or len(weights) >= MAX_POOL:
            break
        size = min(int(1.2 * len(weights) * (lack - 1)) + count, MAX_POOL)
    if len(weights) < count:
        raise ArithmeticError("too few points of known volume; sample with method='chains'")
    return np.concatenate(points)[kept_once(key, weights, count)], effective_size


def kept_once(key: RandomKey, weights: Float[np.ndarray, " a"], count: int) -> Int[np.ndarray, " count"]:
    """Indices of `count` rows in random order, each with probability `weights` over their sum times `count`, or 1.

    Systematic sampling of rows in random order (Madow 1949).
    """
    random = host_generator(key)
    share = weights * count / weights.sum()
    while (share > 1 + 1e-9).any():
        certain = share >= 1
        rest = weights * ~certain
        share = np.where(certain, 1.0, rest * (count - certain.sum()) / rest.sum())
    order = random.permutation(len(weights))
    ends = np.cumsum(share[order])
    teeth = (np.arange(count) + random.random()) * ends[-1] / count
    return random.permutation(order[np.searchsorted(ends, teeth)])


def log_normalizer(
    key: RandomKey, source: PoolSource, energy: Energy, target: float = NORMALIZER_ERROR
) -> LogNormalizer:
    """Log of the integral of exp(-E) over M, from fresh pools until its standard error is at most `target`.

    In the units of the pools, with respect to Riemannian volume. Gives up at 2²⁰ draws and reports the error reached.
    """
    draws = MIN_NORMALIZER_DRAWS
    while True:
        pool = source.draw(jax.random.fold_in(key, draws), draws)
        found = log_integral(pool, -energies_at(energy, pool.points))
        if found.standard_error <= target or draws >= MAX_NORMALIZER_DRAWS:
            return LogNormalizer(*found)
        draws *= 2


def energies_at(energy: Energy, points: Float[Array | np.ndarray, "points n"]) -> Float[np.ndarray, " points"]:
    """E at standardised points (N, n), in double for the sums that follow."""
    return in_blocks(lambda rows: _energies(energy, rows), points, BLOCK).astype(np.float64)


@jax.jit
def _energies(energy, points):
    return jax.vmap(energy)(points)
