"""What the graph of charts tells of a manifold: whether it can be oriented, and how many boundaries it has."""

import math

import jax
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .._types import Bool, Float, Int
from ..volumes.atlas import draw_pool, neighbours, normals_at
from ..volumes.manifold import Atlas, Manifold
from ..volumes.pools import even_points

AROUND = 100
"""Points in a neighbourhood, on average."""
LOPSIDED = 0.6
"""Share of the offset of a half ball's centroid that marks a boundary: five standard deviations away from one."""
LEAST_POINTS = 5
DRAWS, EVEN = 20_000, 6000


def orientable(atlas: Atlas, part: Int[np.ndarray, " b"]) -> Bool[np.ndarray, " p"]:
    """Whether each part of M, numbered by charts (b,), can be oriented.

    Normals are carried from chart to chart by the sign of det(N_i N_jᵀ), that is, the first Stiefel-Whitney class of
    the normal bundle is read off loops of charts, which in R^n is that of M. A part is orientable where its twofold
    cover by charts and signs falls in two.
    """
    base, chart = neighbours(atlas)
    turned = np.linalg.det(np.einsum("pkn,pjn->pkj", atlas.normals[base], atlas.normals[chart])) < 0
    return two_sided(base, chart, turned, part)


def two_sided(
    base: Int[np.ndarray, " e"],
    other: Int[np.ndarray, " e"],
    turned: Bool[np.ndarray, " e"],
    part: Int[np.ndarray, " b"],
) -> Bool[np.ndarray, " p"]:
    """Whether each part, numbered (b,), can be given signs that differ across pairs that are turned, and no others."""
    size = len(part)
    rows = np.concatenate([base, base + size])
    columns = np.concatenate([other + size * turned, other + size * ~turned])
    _, label = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), (2 * size,) * 2), directed=False)
    first = np.unique(part, return_index=True)[1]
    return label[first] != label[first + size]


def boundaries(
    points: Float[np.ndarray, "c n"], normals: Float[np.ndarray, "c k n"], volume: float
) -> list[Int[np.ndarray, " e"]]:
    """The boundaries of a manifold of known volume that even points (c, n) fill, as rows of the points near each.

    Of a surface these are circles, of a curve its ends. Near a boundary the tangential mean of a point's neighbours is
    off it, at the boundary itself by the centroid of half a ball. Boundaries, and what they bound, that are smaller
    than a neighbourhood of `AROUND` points are not seen.
    """
    dimension = points.shape[1] - normals.shape[1]
    ball, reach = _ball(dimension), neighbourhood(len(points), dimension, volume)
    face = math.pi ** ((dimension - 1) / 2) / math.gamma((dimension + 1) / 2)
    lopsided_by = LOPSIDED * 2 * face / ((dimension + 1) * ball) * reach
    first, second = KDTree(points).query_pairs(reach, output_type="ndarray").T
    first, second = np.concatenate([first, second]), np.concatenate([second, first])
    offset = points[second] - points[first]
    height = np.einsum("pkn,pn->pk", normals[first], offset)
    beside = np.linalg.norm(height, axis=1) <= reach / 2
    along = (offset - np.einsum("pk,pkn->pn", height, normals[first]))[beside]
    first, second = first[beside], second[beside]
    total = np.stack([np.bincount(first, column, minlength=len(points)) for column in along.T], axis=1)
    count = np.bincount(first, minlength=len(points))
    lopsided = np.linalg.norm(total, axis=1) > lopsided_by * np.maximum(count, 1)
    links = lopsided[first] & lopsided[second]
    graph = coo_array((np.ones(links.sum()), (first[links], second[links])), (len(points),) * 2)
    _, label = connected_components(graph, directed=False)
    rows = [np.flatnonzero(label == one) for one in np.unique(label[lopsided])]
    return [row for row in rows if len(row) >= LEAST_POINTS]


def has_edge(manifold: Manifold) -> bool:
    """Whether M, which has charts, ends anywhere. Raises ValueError where it has none."""
    pool = draw_pool(jax.random.key(0), manifold, DRAWS)
    points = even_points(np.random.default_rng(0), pool, EVEN)
    return len(boundaries(points, normals_at(manifold.mdf, points), float(pool.weights.sum()))) > 0


def neighbourhood(count: int, dimension: int, volume: float) -> float:
    """Radius within which `AROUND` of so many even points of a manifold of this volume lie."""
    return (AROUND * volume / (count * _ball(dimension))) ** (1 / dimension)


def _ball(dimension: int) -> float:
    """Volume of the unit ball."""
    return math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
