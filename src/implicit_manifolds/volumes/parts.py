"""The connected parts of a manifold, by the graph of its charts."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import KDTree

from .._types import Bool, Float, Int
from ..manifold.tangent import FramedMDF
from .atlas import charts_of, lift, neighbours, tangential
from .manifold import Atlas, Manifold

BETWEEN = 0.25, 0.5, 0.75, 1.0
"""Shares of the way from a base to a point at which M is looked for."""
SAME = 1e-3
"""Distance between a point and where a chart leads, in its radii, up to which these are one."""
ROUNDS = 20


def components(manifold: Manifold) -> Int[np.ndarray, " b"]:
    """For each chart the number of the connected part of M it belongs to, the part with most charts being 0.

    Charts are joined where one holds another's base: in a manifold without charts that cross gaps these are the
    connected components. A chart of an F with a domain of its own may reach over what lies beyond it; a link that all
    hangs on counts only where M is found on the way.
    """
    atlas = charts_of(manifold)
    size, pairs = len(atlas.bases), neighbours(atlas)
    pairs = pairs[:, pairs[0] != pairs[1]]
    for _ in range(ROUNDS):
        lengths = np.linalg.norm(atlas.bases[pairs[0]] - atlas.bases[pairs[1]], axis=1)
        # The shortest links that hold all together; equal bases are linked as well.
        tree = minimum_spanning_tree(
            coo_array((lengths + lengths.max(initial=1.0), tuple(pairs)), (size, size))
        ).tocoo()
        if not isinstance(manifold.mdf, FramedMDF):
            break
        broken = ~leads_to(manifold, tree.col, np.asarray(atlas.bases)[tree.row])
        if not broken.any():
            break
        gone = np.stack([tree.row, tree.col])[:, broken]
        pairs = pairs[:, ~np.isin(_named(pairs, size), _named(gone, size))]
    _, label = connected_components(tree, directed=False)
    order = np.argsort(-np.bincount(label), kind="stable")
    return np.argsort(order)[label]


def part_of(atlas: Atlas, parts: Int[np.ndarray, " b"], points: Float[np.ndarray, "c n"]) -> Int[np.ndarray, " c"]:
    """The part (c,) of M that points on or near it belong to, given each chart's (b,): that of the nearest base."""
    return parts[KDTree(atlas.bases).query(points)[1]]


def _named(pairs, size: int):
    """A number for each unordered pair."""
    return pairs.min(axis=0) * size + pairs.max(axis=0)


def leads_to(
    manifold: Manifold, chart: Int[np.ndarray, " p"], points: Float[np.ndarray, "p n"]
) -> Bool[np.ndarray, " p"]:
    """Whether M, in its box and domain, is found all along the way to points on it from the bases of given charts."""
    atlas, box = charts_of(manifold), manifold.box.on_host()
    start = atlas.bases[chart]
    step = tangential(atlas.normals[chart], points - start)
    found = np.ones(len(points), bool)
    for share in BETWEEN:
        on_way, _, converged, within = lift(manifold.mdf, start, (start + share * step).astype(start.dtype))
        found &= converged & within & box.contains(on_way)
    # A sheet beside M may pass for it on the way to a point; the chart must arrive.
    return found & (np.linalg.norm(on_way - points, axis=1) < SAME * atlas.radii[chart])
