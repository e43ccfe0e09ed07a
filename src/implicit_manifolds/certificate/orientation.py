"""What the graph of charts tells of a manifold: whether it can be oriented, and how many boundaries it has."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .._types import Bool, Float, Int
from ..volumes.atlas import neighbours
from ..volumes.manifold import Atlas

LEAST_DRAWS = 5
"""Draws beyond M that make a boundary: fewer are strays."""


def orientable(atlas: Atlas, part: Int[np.ndarray, " b"]) -> Bool[np.ndarray, " p"]:
    """Whether each part of M, numbered by charts (b,), can be oriented.

    Normals are carried from chart to chart by the sign of det(N_i N_jᵀ), that is, the first Stiefel-Whitney class of
    the normal bundle is read off loops of charts, which in R^n is that of M. A part is orientable where its twofold
    cover by charts and signs falls in two.
    """
    size, (base, chart) = len(atlas.bases), neighbours(atlas)
    turned = np.linalg.det(np.einsum("pkn,pjn->pkj", atlas.normals[base], atlas.normals[chart])) < 0
    rows = np.concatenate([base, base + size])
    columns = np.concatenate([chart + size * turned, chart + size * ~turned])
    _, label = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), (2 * size,) * 2), directed=False)
    first = np.unique(part, return_index=True)[1]
    return label[first] != label[first + size]


def boundaries(atlas: Atlas, part: Int[np.ndarray, " b"], beyond: Float[np.ndarray, "c n"]) -> Int[np.ndarray, " p"]:
    """How many boundaries each part of M has, from draws of its charts (c, n) that lie beyond M.

    Such draws lie along the boundaries: of a surface these are circles, of a curve its ends. Draws nearer to each other
    than half a chart's radius are of one boundary.
    """
    counts = np.zeros(part.max() + 1, int)
    if not len(beyond):
        return counts
    chart = KDTree(atlas.bases).query(beyond)[1]
    reach = atlas.radii[chart] / 2
    first, second = KDTree(beyond).query_pairs(reach.max(), output_type="ndarray").T
    near = np.linalg.norm(beyond[first] - beyond[second], axis=1) <= np.minimum(reach[first], reach[second])
    size = len(beyond)
    graph = coo_array((np.ones(near.sum()), (first[near], second[near])), (size, size))
    _, label = connected_components(graph, directed=False)
    _, place, number = np.unique(label, return_index=True, return_counts=True)
    np.add.at(counts, part[chart[place[number >= LEAST_DRAWS]]], 1)
    return counts
