"""Of points: those that reach no M, groups that lie far from it, places where it is torn between them."""

import math

import numpy as np
from scipy.spatial import KDTree

from .._loops import over_points
from .._types import Bool, Float
from ..ebim import pointwise
from ..ebim.model import EBIM
from ..ebim.verbs import SEARCHED, bare
from ..findings import Finding, at_most
from ..pieces import Pieces
from ..volumes.atlas import normals_at

MISSED, REPEATED, UNSTABLE = 0.01, 0.1, 0.01
"""Shares of points that are told: without a nearest point, the same as others, nearly at a centre of curvature."""
CURVATURE = 0.1
"""Below this the nearest point moves more than ten times as far as what it is nearest to."""
GROUP, FAR, FINE = 10, 6.0, 0.01
"""Points that together are a group; how much farther from M than usual one may be on average; and in standardised units
the spacing of points above which M is not expected to be the less exact for it."""
DIRECTIONS, STEEPEST, CONE, REACH = 8, 0.5, 0.7, 2.0
"""Directions in which each point's neighbours are sought; of a chord, the share that may be normal to M and the least
along the direction; and how many times its expected longest length it may have."""
PAIRS, TORN_FROM, TESTED = 2048, 0.25, 2000
"""Pairs whose middle is looked at, how far from M in their distance it may be, and points that pairs are made of."""


def of_points(model: EBIM, points: Float[np.ndarray, "N n"]) -> tuple[Float[np.ndarray, "c n"], list[Finding]]:
    """The nearest points of M to points (N, n) in data units, where there are, and what is wrong about these and M."""
    standard = np.asarray(model.scaling.standardize(points))
    seen = pointwise.views(model, points)
    near, away, converged, curvature = over_points(pointwise.nearest_standard, bare(model), seen, SEARCHED)
    unstable = converged & (curvature < CURVATURE)
    repeated = 1 - len(np.unique(points, axis=0)) / len(points)
    known, on, away = (rows[converged].astype(np.float64) for rows in (standard, near, away))
    if isinstance(model.scaling, Pieces):  # standardised points tell no distances from one part to another
        away = away / model.scaling.lengths_at(on)
    else:
        away = np.linalg.norm(known - on, axis=1)
    return near[converged], [
        at_most("points without a nearest one", 1 - converged.mean(), MISSED, "the manifold misses them; train longer"),
        at_most(
            "farthest group of points",
            _farthest_group(known, away),
            FAR,
            f"{GROUP} neighbours lie so many times farther from the manifold than is usual, so it misses them; fit "
            "with more width, another seed, or to each part alone",
        ),
        at_most(
            "gaps between neighbours",
            int(_apart(model, on).sum()),
            0,
            "the manifold stops between points that are neighbours along it; give more points, or fit with another "
            "seed, unless there is an edge",
        ),
        at_most(
            "points near a centre of curvature",
            unstable.mean(),
            UNSTABLE,
            "their nearest points, and what is read off there, hang on the last digits; they are too far away",
        ),
        at_most("points that repeat others", repeated, REPEATED, "a density has no atoms; undo their rounding"),
    ]


def _farthest_group(points: Float[np.ndarray, "c n"], distance: Float[np.ndarray, " c"]) -> float:
    """The largest mean distance of a point's neighbours from M, in units of what is usual, or of a fine spacing."""
    if len(points) <= GROUP:
        return math.nan
    away, near = KDTree(points).query(points, GROUP)
    usual = max(np.median(distance), min(np.median(away[:, 1]), FINE), np.finfo(np.float32).tiny)
    return float(distance[near].mean(axis=1).max() / usual)


def _apart(model: EBIM, on: Float[np.ndarray, "c n"]) -> Bool[np.ndarray, " p"]:
    """Of neighbours along M, among its points (c, n), whether there is no M half-way between the two."""
    distinct = np.unique(on, axis=0)  # in order, so that the first of them would be those on one side
    first, second = _neighbours(model, np.random.default_rng(0).permutation(distinct)[:TESTED])
    middle = ((first + second) / 2).astype(np.asarray(model.manifold.box.low).dtype)
    found, _, converged, _ = over_points(pointwise.nearest_standard, bare(model), middle, SEARCHED)
    far = np.linalg.norm(found - middle, axis=1) > TORN_FROM * np.linalg.norm(first - second, axis=1)
    return ~converged | far


def _neighbours(model: EBIM, on: Float[np.ndarray, "c n"]) -> Float[np.ndarray, "2 p n"]:
    """Pairs of points of M, (2, p, n), each next to the other in a direction along M, those far apart first.

    Of N points by chance on a curve the longest gap is about log N times the mean one; longer ones may be an end.
    """
    count, dimension = len(on), model.manifold.dimension
    if count < 3:
        return np.zeros((2, 0, on.shape[1]))
    normals = normals_at(model.manifold.mdf, on.astype(np.asarray(model.manifold.box.low).dtype)).astype(np.float64)
    ranks = min(GROUP, count - 1)
    ball = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
    spacing = KDTree(on).query(on, ranks + 1)[0][:, -1] * (ball / ranks) ** (1 / dimension)
    reach = REACH * spacing * math.log(count) ** (1 / dimension)
    found = {pair for row in range(count) for pair in _around(row, on, normals, reach[row])}
    pairs = np.array(sorted(found), int).reshape(-1, 2)
    length = np.linalg.norm(on[pairs[:, 0]] - on[pairs[:, 1]], axis=1) / spacing[pairs].mean(axis=1)
    return on[pairs[np.argsort(-length)[:PAIRS]].T]


def _around(row: int, on, normals, reach: float) -> list[tuple[int, int]]:
    """The nearest other point of M in each of some directions along it, as pairs of rows, where it is within reach."""
    chords = on - on[row]
    lengths = np.linalg.norm(chords, axis=1)
    near = np.flatnonzero((lengths > 0) & (lengths <= reach))
    units = chords[near] / lengths[near, None]
    steepest = np.maximum(
        np.linalg.norm(units @ normals[row].T, axis=1),
        np.linalg.norm(np.einsum("pkn,pn->pk", normals[near], units), axis=1),
    )
    near, units = near[steepest < STEEPEST], units[steepest < STEEPEST]
    directions = np.random.default_rng(row).normal(size=(DIRECTIONS, on.shape[1]))
    directions -= directions @ normals[row].T @ normals[row]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ahead = np.where(units @ directions.T >= CONE, lengths[near][:, None], np.inf)
    best = [near[column.argmin()] for column in ahead.T if len(near) and np.isfinite(column.min())]
    return [(min(row, int(other)), max(row, int(other))) for other in best]
