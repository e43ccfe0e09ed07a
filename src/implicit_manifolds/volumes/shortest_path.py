"""Distances and shortest paths within M: through the graph of charts, then relaxed on M until lengths have settled."""

from enum import IntEnum
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._loops import over_points
from .._types import Bool, Float, Int, relative_tolerance
from ..manifold.projection import project
from .atlas import charts_of, normals_at
from .chart_paths import chart_paths
from .manifold import Manifold
from .relaxation import relaxed

FEWEST, MOST = 16, 1024
"""Segments of a path, doubled from the one to the other."""
BLOCK = 16
"""Paths that are relaxed side by side, all for as long as the slowest; one path is filled up to as many."""


class PathStatus(IntEnum):
    """What became of a path: a length to its tolerance, none, ends on different parts of M, or a way beyond M's domain.

    >>> im.PathStatus(2).name
    'APART'
    """

    CONVERGED = 0
    NOT_CONVERGED = 1
    APART = 2
    OUTSIDE = 3


class ShortestPath(NamedTuple):
    """points (..., s + 1, n) of a geodesic, evenly spaced, its length (...) and error (...), and a `PathStatus` (...).

    error: an estimate, in the units of length, of what the length is off by. Where no path was found points are NaN and
    length and error infinite.
    """

    points: Float[np.ndarray, "*pairs s_plus_1 n"]
    length: Float[np.ndarray, "*pairs"]
    error: Float[np.ndarray, "*pairs"]
    status: Int[np.ndarray, "*pairs"]

    @property
    def converged(self) -> Bool[np.ndarray, "*pairs"]:
        """Whether the length is known to the tolerance, of a path that keeps to M."""
        return np.asarray(self.status == PathStatus.CONVERGED)


def shortest_path(manifold: Manifold, start, end, tolerance: float = 1e-4) -> ShortestPath:
    """Geodesics of M between pairs of points, each a local minimum of length near the shortest path through the charts.

    A path through charts (Dijkstra 1959) is cut into even segments, projected to M, and relaxed to a local minimum of
    the sum of squared chords by Newton's method. Such points are a RATTLE trajectory, so the sum of chords is off by
    even powers of 1/s: the number of segments s is doubled, for all pairs alike, until two Richardson extrapolations in
    a row agree. Another way round M that is about as short may be shorter.

    Arguments:
        manifold: M with charts, as `cover` gives it.
        start: points of M, (n,) or (..., n); those off M are projected first.
        end: points of M, of a shape that broadcasts with it.
        tolerance: of the length, relative to it; in float32 rounding leaves about 2e-6.

    Returns:
        `ShortestPath`: points (..., s + 1, n), length (...), its error (...), and what became of each: APART, with a
        length of infinity, where no charts link the two; OUTSIDE where the path leaves the box or the domain of F, as
        it may where M has an edge that is not convex; NOT_CONVERGED, also where an end does not reach M.

    Raises:
        ValueError: the manifold has no charts.

    >>> charted = im.cover(jax.random.key(0), circle)
    >>> path = im.shortest_path(charted, [1.0, 0.0], [[0.0, 1.0], [-0.6, -0.8]])
    >>> path.length.round(3).tolist(), path.converged.tolist()
    ([1.571, 2.214], [True, True])
    """
    charts_of(manifold)
    start, end = np.broadcast_arrays(np.asarray(start), np.asarray(end))
    pairs, dimension = start.shape[:-1], start.shape[-1]
    rows = np.stack([start, end], axis=-2).reshape(-1, 2, dimension).astype(jnp.result_type(float))
    found = _between(manifold, rows, tolerance)
    return ShortestPath(*(np.reshape(leaf, (*pairs, *leaf.shape[1:])) for leaf in found))


def geodesic_distance(manifold: Manifold, start, end) -> Float[np.ndarray, "*pairs"]:
    """Distances within M between pairs of points, to four digits: lengths of `shortest_path`.

    Arguments:
        manifold: M with charts, as `cover` gives it.
        start: points of M, (n,) or (..., n).
        end: points of M, of a shape that broadcasts with it.

    Returns:
        (...), infinite between different parts of M, NaN where a path did not converge or does not keep to M.

    >>> charted = im.cover(jax.random.key(0), circle)
    >>> float(im.geodesic_distance(charted, [1.0, 0.0], [-0.8, 0.6]).round(3))
    2.498
    """
    path = shortest_path(manifold, start, end)
    return np.where(path.converged | (path.status == PathStatus.APART), path.length, np.nan)


def _between(manifold: Manifold, pairs: Float[np.ndarray, "p 2 n"], tolerance: float) -> ShortestPath:
    """`shortest_path` of rows of pairs."""
    count, dimension = len(pairs), pairs.shape[2]
    ends = over_points(project, manifold.mdf, pairs.reshape(-1, dimension))
    position, reached = ends.position.reshape(-1, 2, dimension), ends.converged.reshape(-1, 2).all(axis=1)
    status = np.where(reached, PathStatus.APART, PathStatus.NOT_CONVERGED)
    corners = _corners(manifold, position, reached)
    linked = np.array([path is not None for path in corners], bool)
    length, error = np.full((2, count), np.inf)
    if not linked.any():
        return ShortestPath(np.full((count, FEWEST + 1, dimension), np.nan), length, error, status)
    known = [path for path in corners if path is not None]
    points, *told = _refined(manifold, known, pairs.dtype, tolerance)
    length[linked], error[linked], status[linked] = told
    every = np.full((count, *points.shape[1:]), np.nan)
    every[linked] = points
    return ShortestPath(every, length, error, status)


def _corners(manifold: Manifold, ends: Float[np.ndarray, "p 2 n"], usable: Bool[np.ndarray, " p"]) -> list:
    """For each pair the corners of its path through charts, or None."""
    sides = [(side, normals_at(manifold.mdf, side)) for side in (ends[usable, 0], ends[usable, 1])]
    found = iter(chart_paths(charts_of(manifold), *sides))
    return [next(found) if one else None for one in usable]


def _refined(manifold: Manifold, corners: list[np.ndarray], dtype, tolerance: float) -> tuple[np.ndarray, ...]:
    """Points, lengths, errors and statuses of paths, relaxed on ever more segments."""
    # At most half a link each, so that no segment is longer than charts are sure of.
    segments = min(max(FEWEST, 1 << (2 * max(map(len, corners))).bit_length()), MOST // 4)
    path = np.stack([_resampled(one, segments) for one in corners]).astype(dtype)
    chords, best = [], []
    while True:
        found = over_points(relaxed, manifold.mdf, path, BLOCK)
        chords.append(np.linalg.norm(np.diff(found.points.astype(np.float64), axis=1), axis=2).sum(axis=1))
        best.append(chords[-1] if len(chords) == 1 else chords[-1] + (chords[-1] - chords[-2]) / 3)
        outside = ~(found.within & manifold.box.on_host().contains(found.points).all(axis=1))
        if len(best) > 2:
            error = np.abs(best[-1] - best[-2]) + relative_tolerance(dtype) * best[-1]
            sound = found.converged & (error <= tolerance * best[-1])
            if (sound | outside).all() or found.points.shape[1] > MOST:
                status = np.where(sound, PathStatus.CONVERGED, PathStatus.NOT_CONVERGED)
                return found.points, best[-1], error, np.where(outside, PathStatus.OUTSIDE, status)
        path = _halved(found.points)


def _resampled(corners: Float[np.ndarray, "c n"], segments: int) -> Float[np.ndarray, "s_plus_1 n"]:
    """Points evenly spaced along a polygonal path."""
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1)))
    places = np.linspace(0, along[-1], segments + 1)
    return np.stack([np.interp(places, along, column) for column in corners.T], axis=1)


def _halved(points: Float[np.ndarray, "p s_plus_1 n"]) -> Float[np.ndarray, "p t_plus_1 n"]:
    """Paths with the middles of their segments as further points."""
    middles = (points[:, 1:] + points[:, :-1]) / 2
    inner = np.stack([points[:, :-1], middles], axis=2).reshape(len(points), -1, points.shape[2])
    return np.concatenate([inner, points[:, -1:]], axis=1)
