"""What the neighbours of each point tell: its tangent space, and whether the points end there."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from .._types import Float, Int

STEEPEST = 0.5
"""Of a chord to a neighbour, the share that may be normal."""
OUT, LONELY = 2.0, 0.8
"""How far beyond an edge the field is trained, in distances to a point's farthest neighbour; and of that, how far from
all others one must be there."""
FLAT = 0.25
"""Of the least spread of neighbours along M, the share that their spread across it may have at an edge. Steps out of a
fold or a tip lead away from all points, too."""
COMPANY = 2
"""How many neighbours of a point at an edge must be such points; of a curve one."""
RIM, FADED = 8, 1.2
"""How many points make an edge of a surface or more; and how far apart neighbours are there, in the median, over how
far they are around it, in a half ball each, up to which it is an edge and no density that fades."""


class Neighbourhoods(NamedTuple):
    """Projectors on normals of points (N, n, n), their neighbours (N, q), and how thick these are, (N,).

    Thickness is the greatest standard deviation of neighbours across M over the least along it.
    """

    projectors: Float[np.ndarray, "N n n"]
    near: Int[np.ndarray, "N q"]
    thickness: Float[np.ndarray, " N"]


def neighbourhoods(points: Float[np.ndarray, "N n"], codimension: int, neighbours: int) -> Neighbourhoods:
    """The normals of points (N, n), the k directions in which neighbours of each differ least, and those neighbours.

    A neighbour that lies rather off the tangent plane, on another sheet perhaps, is replaced by the point itself.
    """
    dimension = points.shape[1] - codimension
    count = min(max(neighbours, 4 * dimension), len(points) - 1)
    _, near = KDTree(points).query(points, count + 1)
    around = points[near] - points[near].mean(axis=1, keepdims=True)
    _, spreads, directions = np.linalg.svd(around, full_matrices=True)
    tangent = directions[:, :dimension]
    projectors = np.eye(points.shape[1]) - np.einsum("bki,bkj->bij", tangent, tangent)
    chords = points[near] - points[:, None]
    across = np.linalg.norm(np.einsum("bij,bqj->bqi", projectors, chords), axis=2)
    beside = across > STEEPEST * np.linalg.norm(chords, axis=2)
    spreads = np.pad(spreads, ((0, 0), (0, 1)))
    thickness = spreads[:, dimension] / np.maximum(spreads[:, dimension - 1], np.finfo(points.dtype).tiny)
    return Neighbourhoods(projectors, np.where(beside, near[:, :1], near), thickness)


def outward_steps(
    points: Float[np.ndarray, "N n"], around: Neighbourhoods
) -> tuple[Float[np.ndarray, "e n"], Float[np.ndarray, "e n"]]:
    """Of points (N, n) those at an edge, and a tangential step out of each, `OUT` times as far as its neighbours reach.

    A point is at an edge where so far from the mean of its neighbours there is no other point, and where some of its
    neighbours are such points too: one alone, or a few of a surface, may be at a hole between sparse points. Where
    neighbours are no thin layer, or a surface's points farther and farther apart outwards, nothing is known to end.
    """
    projectors, near, thickness = around
    chords = points[near] - points[:, None]
    mean = chords.mean(axis=1)
    away = np.einsum("bij,bj->bi", projectors, mean) - mean
    reach = np.linalg.norm(chords, axis=2).max(axis=1, keepdims=True)
    step = OUT * reach * away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), np.finfo(points.dtype).tiny)
    lonely = KDTree(points).query(points + step)[0] > LONELY * OUT * reach[:, 0]
    lonely &= thickness <= FLAT
    dimension = round(points.shape[1] - np.trace(projectors[0]))
    others = near != np.arange(len(points))[:, None]
    lonely &= (lonely[near] & others).sum(axis=1) >= min(dimension, COMPANY)
    if dimension > 1 and (lonely.sum() < RIM or _fades(reach[:, 0], near, lonely, dimension)):
        lonely[:] = False
    return points[lonely], step[lonely]


def _fades(reach: Float[np.ndarray, " N"], near: Int[np.ndarray, "N q"], lonely, dimension: int) -> bool:
    """Whether points are much farther apart at lonely ones, whose neighbours lie in half a ball, than around them."""
    around = np.quantile(reach[near[near[lonely]].reshape(lonely.sum(), -1)], 0.1, axis=1)
    return bool(
        np.median(reach[lonely] / np.maximum(around, np.finfo(reach.dtype).tiny)) > FADED * 2 ** (1 / dimension)
    )
