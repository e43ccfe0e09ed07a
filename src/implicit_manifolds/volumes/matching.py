"""Charts drawn from as often as a density on M asks for them."""

import numpy as np

from .._types import Energy, Float, RandomKey
from .atlas import charts_of, disc_density, draw_pool, normals_at, overlaps
from .importance import energies_at
from .manifold import Atlas, Manifold

DRAWS, ROUNDS = 2**15, 5
KEPT = 1 / 3
"""Share of the draws that goes as before."""


def matched(key: RandomKey, manifold: Manifold, energy: Energy) -> Manifold:
    """M with the same charts, two thirds of whose draws go by exp(-E): importance weights are nearly even.

    The rest go as before. Probabilities are those of the mixture of charts that is nearest to exp(-E), by a few
    rounds of expectation maximisation over weighted points (population Monte Carlo, Cappé et al. 2008, §3).
    """
    atlas = charts_of(manifold)
    pool = draw_pool(key, manifold, DRAWS)
    logs = np.log(pool.weights) - energies_at(energy, pool.points)
    weights = np.exp(logs - logs.max())
    shares = _nearest_mixture(atlas, pool.points, normals_at(manifold.mdf, pool.points), weights / weights.sum())
    mixed = KEPT * np.asarray(atlas.probabilities, np.float64) + (1 - KEPT) * shares
    return manifold.charted(atlas._replace(probabilities=mixed))


def _nearest_mixture(atlas: Atlas, points, normals, weights: Float[np.ndarray, " c"]) -> Float[np.ndarray, " b"]:
    """Shares of the charts, (b,), whose draws are likeliest to be points (c, n) of these weights."""
    pairs = [np.empty((3, 0))]
    for point, chart in overlaps(atlas, points):
        value, inside = disc_density(atlas, chart, points[point], normals[point])
        pairs.append(np.stack([point[inside], chart[inside], value[inside]]))
    joined = np.concatenate(pairs, axis=1)
    point, chart, value = joined[0].astype(int), joined[1].astype(int), joined[2]
    shares = np.asarray(atlas.probabilities, np.float64)
    for _ in range(ROUNDS):
        terms = shares[chart] * value
        total = np.bincount(point, terms, minlength=len(points))
        # A share may come down to nothing, and then a point may be met by no chart.
        met = np.divide(weights[point] * terms, total[point], out=np.zeros_like(terms), where=total[point] > 0)
        found = np.bincount(chart, met, minlength=len(shares))
        if not 0 < found.sum() < np.inf:
            break
        shares = found / found.sum()
    return shares
