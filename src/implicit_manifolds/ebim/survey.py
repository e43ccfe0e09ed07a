"""What is known of M and of the data on it before any energy is: charts, folds, kernel densities."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from .._random import derived_keys, host_generator
from .._types import RandomKey
from ..manifold.tangent import FramedMDF
from ..volumes.atlas import charts_of
from ..volumes.cover import cover, focused
from ..volumes.manifold import Manifold
from .kernels import (
    LEAST_WEIGHT,
    MAX_CENTRES,
    MULTIPLES,
    NEIGHBOUR,
    FoldDensities,
    bandwidths,
    fold_densities,
    mixture_weights,
)

WORST_SHARE = 0.01
OVERLAP = 16
DISC = 3.0
"""Radius of a chart's disc in bandwidths of the kernel it is drawn for."""


class Survey(NamedTuple):
    """M with charts, half of whose draws fall near data, and the data in folds with kernel densities."""

    manifold: Manifold
    data: FoldDensities


def has_pools(dimension: int, codimension: int) -> bool:
    """Whether points of known volume, and with them Z, can be had.

    Up to five constraints in up to ten dimensions, or any number where M has at most four.
    """
    return (codimension <= 5 and dimension <= 10) or dimension - codimension <= 4


def survey(key: RandomKey, manifold: Manifold, points, starts, members: int, fold=None) -> Survey:
    """Charts of M, found from points (a, n) and starts (s, n) on it, and the points' densities, in folds (a,) if given.

    Draws near data come from kernels as wide as held-out points ask for. Raises ArithmeticError where no chart is
    found.
    """
    cover_key, focus_key = derived_keys(key, 2)
    points = np.asarray(points)
    # A ridge is what is connected with data: others that noise leads to lie beyond its edges.
    known = [points] if isinstance(manifold.mdf, FramedMDF) else [points, np.asarray(starts)]
    manifold = cover(cover_key, manifold, np.concatenate(known))
    dimension = manifold.dimension
    random = host_generator(key)
    data = fold_densities(random, points, dimension, members, fold)
    centres = points[:MAX_CENTRES]
    widest = float(charts_of(manifold).radii.max())
    base, radii, share = _focus(random, centres, mixture_weights(data.densities), dimension, widest)
    if len(base):
        manifold = focused(focus_key, manifold, centres[base], share, radii)
    atlas = charts_of(manifold)
    for share_of, what in ((atlas.uncovered, "is on no chart"), (atlas.inconsistent, "is on charts that disagree")):
        if share_of > WORST_SHARE:
            warnings.warn(f"{share_of:.1%} of the manifold {what}: densities are off by as much", stacklevel=2)
    return Survey(manifold, data)


def _focus(random, centres, weights, dimension: int, widest: float):
    """Charts for a kernel density of the given weights (s,): centre, radius and probability of each.

    Where kernels are wide, many hold any point; of these only as many get a chart as leaves about `OVERLAP` that do.
    Kernels wider than the `widest` chart of M get none: even draws serve them, and their discs would lie over other
    sheets of M beyond an edge.
    """
    widths = DISC * bandwidths(centres)
    charts = [(np.zeros(0, int), np.zeros(0), np.zeros(0))]
    for row in np.flatnonzero(weights >= LEAST_WEIGHT):
        around = NEIGHBOUR * (DISC * MULTIPLES[row]) ** dimension
        count = math.ceil(len(centres) * min(1, OVERLAP / around))
        base = random.choice(len(centres), count, replace=False)
        base = base[widths[row, base] <= widest]
        charts.append((base, widths[row, base], np.full(len(base), weights[row] / count)))
    base, radii, share = (np.concatenate(parts) for parts in zip(*charts, strict=True))
    return base, radii, share / max(share.sum(), np.finfo(float).tiny)
