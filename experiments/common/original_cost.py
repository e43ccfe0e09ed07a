"""The metric of Ross et al.'s code: transport between densities on a grid, of points all over a learned manifold."""

import jax
import numpy as np

from experiments.common.problem import OriginalGrid
from implicit_manifolds import EBIM
from implicit_manifolds.ebim.anchors import points_on_manifold
from implicit_manifolds.volumes.importance import energies_at

SPREAD = 4000
"""Points all over a learned manifold."""


def spread(key: jax.Array, model: EBIM, count: int = SPREAD) -> tuple[np.ndarray, np.ndarray]:
    """Noise projected to the learned manifold, (count, n) in data units, and -E there."""
    manifold = model.manifold
    assert manifold.anchors is not None
    _, points, _ = points_on_manifold(key, manifold.mdf, manifold.anchors, manifold.box, count)
    return model.scaling.restore(points), -energies_at(model.energy, points)


def grid_cost(grid: OriginalGrid | None, points: np.ndarray, log_density: np.ndarray) -> dict[str, float]:
    """The authors' metric of points (N, n) all over a learned manifold, weighed by its density there."""
    if grid is None:
        return {}
    density = np.exp(log_density - log_density.max())
    cost = original_cost(points, density, grid.truth, grid.truth_density, grid.limits, grid.granularity)
    return {"original_cost": cost}


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
