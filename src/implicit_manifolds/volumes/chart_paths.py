"""Shortest paths through the graph of charts, where a path on M begins."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from .._types import Float, Int
from .atlas import disc_density, neighbours, overlaps
from .manifold import Atlas

SOURCES = 256
"""Starts whose distances to all charts are held at a time."""

Points = Float[np.ndarray, "p n"]
Normals = Float[np.ndarray, "p k n"]


def chart_paths(atlas: Atlas, starts: tuple[Points, Normals], ends: tuple[Points, Normals]) -> list[np.ndarray | None]:
    """For each pair of points of M, with their normals, corners (c, n) of a path between them, None if none.

    Corners between are bases of charts, of which one of two in a row holds the other's base; a start and an end are
    linked to the charts that hold them, and to each other where one chart holds both. An edge is as long as its chord.
    """
    size, count = len(atlas.bases), len(starts[0])
    nodes = np.concatenate([atlas.bases, starts[0], ends[0]]).astype(np.float64)
    leaving, entering = _held(atlas, *starts), _held(atlas, *ends)
    shared = np.flatnonzero((leaving * entering).sum(axis=1))
    pairs = np.unique(np.sort(neighbours(atlas), axis=0), axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    # Ends have no way on and starts none back, so no path leads through the points of another pair.
    start, first = leaving.nonzero()
    end, last = entering.nonzero()
    tail = np.concatenate([pairs[0], pairs[1], size + start, last, size + shared])
    head = np.concatenate([pairs[1], pairs[0], first, size + count + end, size + count + shared])
    lengths = np.linalg.norm(nodes[tail] - nodes[head], axis=1)
    graph = csr_array((lengths, (tail, head)), (len(nodes),) * 2)
    found: list[np.ndarray | None] = []
    for first in range(0, count, SOURCES):
        rows = range(first, min(first + SOURCES, count))
        before = dijkstra(graph, indices=size + np.array(rows), return_predecessors=True)[1]
        found += [_walked_back(nodes, before[row - first], size + row, size + count + row) for row in rows]
    return found


def _held(atlas: Atlas, points: Points, normals: Normals) -> csr_array:
    """Which charts hold which points, (p, b); where none does, the one that stands nearest."""
    pairs = [np.empty((2, 0), int)]
    for point, chart in overlaps(atlas, points):
        inside = disc_density(atlas, chart, points[point], normals[point])[1]
        pairs.append(np.stack([point[inside], chart[inside]]))
    point, chart = np.concatenate(pairs, axis=1)
    alone = np.setdiff1d(np.arange(len(points)), point)
    nearest = KDTree(atlas.bases).query(points[alone])[1]
    rows, columns = np.concatenate([point, alone]), np.concatenate([chart, nearest])
    return csr_array((np.ones(len(rows), bool), (rows, columns)), (len(points), len(atlas.bases)))


def _walked_back(nodes, before: Int[np.ndarray, " nodes"], start: int, end: int) -> np.ndarray | None:
    path = [end]
    while path[-1] != start:
        path.append(before[path[-1]])
        if path[-1] < 0:
            return None
    return nodes[path[::-1]]
