"""Betti numbers of a manifold from points on it, by persistent homology; needs the extra `homology` (gudhi)."""

from itertools import groupby

import numpy as np

from .._types import Float

LANDMARKS = (100, 200, 400, 800)
SCALES = np.geomspace(1.2, 4.0, 50)
"""Scales at which Betti numbers are read, in covering radii of the landmarks."""
HIGHEST = 2


def betti_numbers(points: Float[np.ndarray, "points n"], dimension: int) -> tuple[tuple[int, ...], bool]:
    """(β₀, ..., β_d), d = min(m, 2), of the m-dimensional manifold that points (N, n) fill, and whether they settled.

    They are those of the Vietoris-Rips complex of evenly spread landmarks that hold over the widest range of scales
    (Carlsson 2009). Landmarks are doubled until two counts agree; False where none do. Raises ImportError without
    gudhi.
    """
    before: tuple[int, ...] | None = None
    for count in LANDMARKS:
        found = _steadiest(*landmarks(points, count), min(dimension, HIGHEST))
        if found == before:
            return found, True
        before = found
    return found, False


def landmarks(points: Float[np.ndarray, "points n"], count: int) -> tuple[np.ndarray, float]:
    """`count` of the points, each the farthest from those before it (Gonzalez 1985), and their covering radius."""
    chosen, distance = [0], np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen], float(distance.max())


def _steadiest(points, radius: float, highest: int) -> tuple[int, ...]:
    try:
        from gudhi import RipsComplex
    except ImportError as error:
        raise ImportError(
            "Betti numbers of these points need gudhi: pip install 'implicit-manifolds[homology]'"
        ) from error
    complex_ = RipsComplex(points=points, max_edge_length=SCALES[-1] * radius).create_simplex_tree(max_dimension=1)
    complex_.collapse_edges(nb_iterations=3)  # changes no Betti number
    complex_.expansion(highest + 1)
    complex_.compute_persistence(homology_coeff_field=2, persistence_dim_max=True)
    bars = [np.reshape(complex_.persistence_intervals_in_dimension(j), (-1, 2)) for j in range(highest + 1)]
    alive = [tuple(int(np.sum((bar[:, 0] <= s) & (bar[:, 1] > s))) for bar in bars) for s in SCALES[:-1] * radius]
    runs = [(sum(1 for _ in run), betti) for betti, run in groupby(alive)]
    return max(runs, key=lambda run: run[0])[1]
