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
