"""Wasserstein distances between point sets, by POT."""

from collections.abc import Callable

import numpy as np


def wasserstein1(first: np.ndarray, second: np.ndarray) -> float:
    """Exact Wasserstein-1 distance between two point sets (N, n), (M, n) of equal weights, Euclidean, data units."""
    import ot  # three seconds to import

    return float(ot.emd2([], [], ot.dist(first, second, metric="euclidean"), numItermax=10_000_000))


def wasserstein1_floor(draw: Callable[[int], tuple[np.ndarray, np.ndarray]], pairs: int = 20) -> float:
    """What perfect samples would score: mean `wasserstein1` of `pairs` disjoint pairs of true samples.

    draw(i) gives the i-th pair. One pair is noise; the mean of twenty is not.
    """
    return float(np.mean([wasserstein1(*draw(index)) for index in range(pairs)]))


def disjoint_pair(points: np.ndarray, sizes: tuple[int, int], seed) -> tuple[np.ndarray, np.ndarray]:
    """Two random disjoint subsets of `points` (N, n): true samples for `wasserstein1_floor` on real data."""
    order = np.random.default_rng(seed).permutation(len(points))
    return points[order[: sizes[0]]], points[order[sizes[0] : sum(sizes)]]


def original_cost(
    points: np.ndarray,
    density: np.ndarray,
    truth: np.ndarray,
    truth_density: np.ndarray | None,
    limits: np.ndarray,
    granularity: int,
) -> float:
    """The metric of the authors' notebooks: a normalised squared cost, not Wasserstein-1; for comparison only.

    points (N, n) with density (N,) fill a grid of (granularity - 1)^n cells over limits (n, 2); a cell weighs the
    mean density of its points, so the manifold's volume inside it is ignored. truth is gridded likewise where
    truth_density is given (their density-to-density form, corners to corners) and otherwise taken as points of
    equal weight against cell centres. The cost is squared Euclidean over its largest entry between all cells (and
    points), so the result is W₂² over the squared diameter.
    """
    import ot

    cells, weights = _cells(points, density, limits, granularity)
    if truth_density is not None:
        others, other_weights = _cells(truth, truth_density, limits, granularity)
    else:
        others, other_weights = truth, np.full(len(truth), 1 / len(truth))
    cost = ot.dist(cells, others, metric="sqeuclidean")
    step = (limits[:, 1] - limits[:, 0]) / (granularity - 1)
    low, high = limits[:, 0] + step / 2, limits[:, 1] - step / 2
    if truth_density is not None:
        largest = np.sum((high - low) ** 2)
    else:
        largest = np.maximum((truth - low) ** 2, (truth - high) ** 2).sum(axis=1).max()
    return float(ot.emd2(weights, other_weights, cost / largest, numItermax=10_000_000))


def _cells(points, density, limits, granularity):
    """Centres (c, n) of the occupied cells and their weights (c,), the mean density in each, summing to one."""
    step = (limits[:, 1] - limits[:, 0]) / (granularity - 1)
    index = np.clip(((points - limits[:, 0]) / step).astype(int), 0, granularity - 2)
    cells, member, counts = np.unique(index, axis=0, return_inverse=True, return_counts=True)
    weights = np.bincount(member.ravel(), density) / counts
    return limits[:, 0] + (cells + 0.5) * step, weights / weights.sum()
