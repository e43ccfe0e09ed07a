"""Independent draws of exp(-E) and its integral from points of known volume: importance sampling."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from .._loops import over_points, value
from .._random import host_generator
from .._types import Array, Energy, Float, Int, RandomKey
from .pools import Estimate, PoolSource, log_integral

MAX_POOL = 1_000_000
FEWEST_CANDIDATES, LEAST_EFFECTIVE_SIZE = 4096, 500
"""Of a pool that even one point is taken from: from few candidates of uneven weights the law comes out flattened."""
NORMALIZER_ERROR = 0.003
MIN_NORMALIZER_DRAWS, MAX_NORMALIZER_DRAWS = 2**15, 2**20


class Resampled(NamedTuple):
    """points (count, n); effective_size of the candidates, (Σw)²/Σw²; flattened, the share of the points' probability
    that is lost where one candidate should have been kept more than once.
    """

    points: Float[np.ndarray, "count n"]
    effective_size: float
    flattened: float


def resampled(key: RandomKey, source: PoolSource, energy: Energy, count: int) -> Resampled:
    """`count` points of the density exp(-E) on M, drawn by `resample` from pools of the source.

    Raises ArithmeticError as `resample` does.
    """

    def candidates(key, size):
        pool = source.draw(key, size)
        # Weights are volumes over the number of draws, which differs between pools.
        return pool.points, np.log(size * pool.weights) - energies_at(energy, pool.points)

    return resample(key, candidates, count)


def resample(
    key: RandomKey, candidates: Callable[[RandomKey, int], tuple[np.ndarray, np.ndarray]], count: int
) -> Resampled:
    """`count` of fresh candidates, each kept once at most and with probability proportional to its weight.

    candidates(key, size) gives about `size` points (a, n) and the logs of their weights (a,); what is kept is chosen by
    `kept_once` (Madow 1949).

    This is rejection with a bound on the weights that is their largest: more are drawn until no point would have to be
    kept twice, and until there are enough for one draw to have the law, which does not depend on how many others are
    asked for. At `MAX_POOL` it stops, with a warning; points that still weigh more than one are kept for certain, and
    the density is flattened there. Raises ArithmeticError where candidates are fewer than `count`.
    """
    points: list[np.ndarray] = []
    logs: list[np.ndarray] = []
    size = max(int(2.5 * count), FEWEST_CANDIDATES)
    while True:
        found, log_weights = candidates(jax.random.fold_in(key, len(points)), size)
        points.append(found)
        logs.append(log_weights)
        joined = np.concatenate(logs)
        if np.isneginf(joined).all():
            raise ArithmeticError("the energy is finite nowhere on the manifold, so there is nothing to sample")
        weights = np.exp(joined - joined.max())
        effective_size = float(weights.sum() ** 2 / (weights**2).sum())
        lack = max(count / weights.sum(), LEAST_EFFECTIVE_SIZE / effective_size)
        if lack <= 1 or len(weights) >= MAX_POOL:
            break
        size = min(int(1.2 * len(weights) * (lack - 1)) + count, MAX_POOL)
    if np.count_nonzero(weights) < count:
        raise ArithmeticError("too few points of known volume; sample with method='chains'")
    flattened = float(np.maximum(weights / weights.sum() - 1 / count, 0).sum())
    if lack > 1:
        warnings.warn(
            f"{len(weights)} candidates are worth {effective_size:.0f}, too few for {count} samples, whose density is "
            f"flattened ({flattened:.1%} of it is lost where it peaks); sample with method='chains', or fewer",
            stacklevel=3,
        )
    return Resampled(np.concatenate(points)[kept_once(key, weights, count)], effective_size, flattened)


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


def log_normalizer(key: RandomKey, source: PoolSource, energy: Energy, target: float = NORMALIZER_ERROR) -> Estimate:
    """Log of the integral of exp(-E) over M, from fresh pools until its standard error is at most `target`.

    In the units of the pools, with respect to Riemannian volume. Gives up at 2²⁰ draws and reports the error reached.
    """
    draws = MIN_NORMALIZER_DRAWS
    while True:
        pool = source.draw(jax.random.fold_in(key, draws), draws)
        found = log_integral(pool, -energies_at(energy, pool.points))
        if found.standard_error <= target or draws >= MAX_NORMALIZER_DRAWS:
            return found
        draws *= 2


def energies_at(energy: Energy, points: Float[Array | np.ndarray, "points n"]) -> Float[np.ndarray, " points"]:
    """E at standardised points (N, n), in double for the sums that follow.

    Where it is no number or minus infinity it is taken for infinite, with a warning: such points have no mass.
    """
    found = over_points(value, energy, points).astype(np.float64)
    broken = ~(found > -np.inf)
    if broken.any():
        warnings.warn(f"the energy is no number at {broken.mean():.1%} of the points, which get no mass", stacklevel=3)
    return np.where(broken, np.inf, found)
