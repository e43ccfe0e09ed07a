"""What is known of M and of the data on it before any energy is: charts, folds, kernel densities."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from .._random import Box, derived_keys, host_generator
from .._types import MDF, Float, Int, RandomKey
from ..volume.atlas import Atlas
from ..volume.cover import cover, focused
from .kernels import LEAST_WEIGHT, MULTIPLES, NEIGHBOUR, bandwidths, held_out_densities, mixture_weights
from .members import folds

WORST_SHARE = 0.01
MAX_CENTRES = 20_000
OVERLAP = 16
DISC = 3.0
"""Radius of a chart's disc in bandwidths of the kernel it is drawn for."""


class Judged(NamedTuple):
    """Points of M to train on, judged by kernels before any energy is there.

    points (a, n) and fold (a,) of each. densities (c, s): at the first c points, kernel densities of the other folds
    for each multiple of `bandwidths`. dimension: m.
    """

    points: Float[np.ndarray, "a n"]
    fold: Int[np.ndarray, " a"]
    densities: Float[np.ndarray, "c s"]
    dimension: int


class Survey(NamedTuple):
    """What is known of M and of the data on it before any energy is; half of the atlas's draws fall near data."""

    atlas: Atlas
    data: Judged


def has_pools(dimension: int, codimension: int) -> bool:
    """Whether points of known volume, and with them Z, can be had: up to five constraints in up to ten dimensions."""
    return codimension <= 5 and dimension <= 10


def survey(key: RandomKey, mdf: MDF, points, starts, box: Box, members: int) -> Survey:
    """Charts of {F = 0} in the box, found from points (a, n) and starts (s, n) on it, and the points' densities.

    Draws near data come from kernels as wide as held-out points ask for. Raises ArithmeticError where no chart is
    found.
    """
    cover_key, focus_key = derived_keys(key, 2)
    points = np.asarray(points)
    atlas = cover(cover_key, mdf, box, np.concatenate([points, np.asarray(starts)]))
    dimension = atlas.bases.shape[1] - atlas.normals.shape[1]
    random = host_generator(key)
    data = judged(random, points, dimension, members)
    centres = points[:MAX_CENTRES]
    base, radii, share = _focus(random, centres, mixture_weights(data.densities), dimension)
    atlas = focused(focus_key, mdf, atlas, centres[base], share, radii)
    for share_of, what in ((atlas.uncovered, "is on no chart"), (atlas.inconsistent, "is on charts that disagree")):
        if share_of > WORST_SHARE:
            warnings.warn(f"{share_of:.1%} of the manifold {what}: densities are off by as much", stacklevel=2)
    return Survey(atlas, data)


def judged(random: np.random.Generator, points: Float[np.ndarray, "a n"], dimension: int, members: int) -> Judged:
    """Points (a, n) of an m-dimensional M in random folds, with what kernels say of them."""
    fold = folds(random, points, members)
    densities = held_out_densities(points[:MAX_CENTRES], fold[:MAX_CENTRES], dimension)
    return Judged(points, fold, densities, dimension)


def _focus(random, centres, weights, dimension: int):
    """Charts for a kernel density of the given weights (s,): centre, radius and probability of each.

    Where kernels are wide, many hold any point; of these only as many get a chart as leaves about `OVERLAP` that do.
    """
    widths, charts = bandwidths(centres), []
    for row in np.flatnonzero(weights >= LEAST_WEIGHT):
        around = NEIGHBOUR * (DISC * MULTIPLES[row]) ** dimension
        count = math.ceil(len(centres) * min(1, OVERLAP / around))
        base = random.choice(len(centres), count, replace=False)
        charts.append((base, DISC * widths[row, base], np.full(count, weights[row] / count)))
    base, radii, share = (np.concatenate(parts) for parts in zip(*charts, strict=True))
    return base, radii, share / share.sum()
