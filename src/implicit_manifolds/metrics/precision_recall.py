"""Precision and recall of samples by nearest neighbours (Kynkäänniemi et al. 2019)."""

from typing import NamedTuple

import numpy as np

from .._types import Float

BLOCK = 1000


class PrecisionRecall(NamedTuple):
    """precision: share of samples near some true point. recall: share of true points near some sample."""

    precision: float
    recall: float


def precision_recall(
    samples: Float[np.ndarray, "N n"], truth: Float[np.ndarray, "M n"], neighbours: int = 3
) -> PrecisionRecall:
    """Near a point is what lies no farther from it than the `neighbours`-th nearest of its own set.

    Rows are features, any number of them; a set against itself has precision and recall 1.
    """
    return PrecisionRecall(_covered(samples, truth, neighbours), _covered(truth, samples, neighbours))


def _covered(points, centres, neighbours: int) -> float:
    """The share of points (N, n) within the reach of some centre (M, n)."""
    reach = np.concatenate([np.partition(rows, neighbours)[:, neighbours] for rows in _squares(centres, centres)])
    return float(np.concatenate([(rows <= reach).any(axis=1) for rows in _squares(points, centres)]).mean())


def _squares(points, others):
    """Blocks of rows of squared distances, (block, M) each; by products of matrices, not below zero."""
    points, others = np.asarray(points, np.float64), np.asarray(others, np.float64)
    sizes = (others**2).sum(axis=1)
    for first in range(0, len(points), BLOCK):
        rows = points[first : first + BLOCK]
        yield np.maximum((rows**2).sum(axis=1)[:, None] + sizes - 2 * rows @ others.T, 0)
