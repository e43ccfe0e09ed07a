"""Betti numbers of a manifold from points on it, by persistent homology; needs the extra `homology` (gudhi)."""

from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import KDTree
from scipy.special import comb

from .._types import Bool, Float, Int

POINTS_A_LANDMARK, MORE_POINTS = 60, 125
"""Least points a landmark, on surfaces and beyond: with fewer, chance holes between points live into `WINDOW`."""
COARSER = (4, 2, 1)
"""How many times as many points a landmark are tried, one after the other."""
FEWEST = 8
WINDOW = (0.8, 1.0)
"""Values α² over which no cycle may be born or die, in squared covering radii."""
HIGHEST = 2
FIELDS = (2, 3)
LARGEST, SOME = 1e6, 1000
"""Most simplices that gudhi goes through, all witnesses together, as some witnesses tell; a second or ten."""
LEAST_APART = 0.5
"""Least distance at which heights are compared, in covering radii: nearer, they tell more of errors in the normals."""


class Homology(NamedTuple):
    """Betti numbers (β₀, ..., β_d), d = min(m, 2), over Z/2 and over Z/3, and how far they can be believed.

    settled: two successive numbers of landmarks agree, in both of which M is flat enough and no cycle is short-lived.
    radius: every point is within it of a landmark; what is smaller may be missed.
    """

    betti: tuple[int, ...]
    betti_mod_3: tuple[int, ...]
    settled: bool
    radius: float


def betti_numbers(points: Float[np.ndarray, "points n"], normals: Float[np.ndarray, "points k n"]) -> Homology:
    """Betti numbers of the manifold that points (N, n) fill, given its orthonormal normals there.

    They are those of the strong witness complex of evenly spread landmarks (de Silva & Carlsson 2004), with all points
    as witnesses: the nerve of the cells {x on M: ‖x - l‖² ≤ d(x)² + α²} about landmarks l, d(x) being the distance to
    the nearest. It has the homotopy type of M where cells meet in contractible sets. The cells reach as far as
    √(ρ² + α²), with ρ the covering radius of the landmarks, and balls meet M in such sets up to √2 times its reach (Kim
    et al. 2020). So numbers are read at α near ρ, and believed only where the reach is ρ or more as far as the
    points tell, and where cycles that α brings or takes have no part in them. Landmarks are doubled until two that are
    believed agree. Raises ImportError without gudhi.
    """
    dimension = points.shape[1] - normals.shape[1]
    highest = min(dimension, HIGHEST)
    chosen, distance = [0], np.linalg.norm(points - points[0], axis=1)
    before, any_steady = None, False
    found: Homology | None = None
    least = POINTS_A_LANDMARK if dimension <= 2 else MORE_POINTS
    counts = sorted({max(len(points) // (least * times), FEWEST) for times in COARSER})
    for count in counts:
        distance = _more_landmarks(points, chosen, distance, count)
        radius = float(distance.max())
        flat = flat_at(points, normals, np.array(chosen), radius)
        # Where M is not flat complexes are large, and no more than a guess.
        if not flat and count not in counts[-2:]:
            continue
        square = _affordable(points, points[chosen], radius**2, highest)
        betti, steady = _read(points, points[chosen], square, highest)
        flat &= square == radius**2
        if steady or not any_steady:
            found = Homology(betti[0], betti[1], flat and steady and betti == before, radius)
        any_steady |= steady
        before = betti if flat and steady else None
        if found is not None and found.settled:
            break
    assert found is not None  # the last count is always read
    return found


def _more_landmarks(points, chosen: list[int], distance, count: int):
    """Add points, each the farthest from those before it (Gonzalez 1985), and return all distances to the nearest."""
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return distance


def flat_at(points, normals, chosen: Int[np.ndarray, " l"], radius: float) -> bool:
    """Whether nothing seen from the landmarks contradicts a reach of `radius` or more.

    A reach τ asks ‖x - l‖² ≥ 2 τ h of any two points, h being the height of x above the tangent space at l (Federer
    1959), and of tangent spaces that they turn by no more than 2 arcsin(‖x - l‖ / 2τ) (Boissonnat, Lieutier &
    Wintraecken 2019), which is 60° at ‖x - l‖ = τ.
    """
    tree = KDTree(points)
    around = tree.query_ball_point(points[chosen], 2 * radius)
    for landmark, near in zip(chosen, around, strict=True):
        offset = points[near] - points[landmark]
        squared = np.sum(offset**2, axis=1)
        height = np.linalg.norm(offset @ normals[landmark].T, axis=1)
        if (squared < 2 * radius * height)[squared > (LEAST_APART * radius) ** 2].any():
            return False
    nearest = chosen[KDTree(points[chosen]).query(points)[1]]
    return bool(turned_less(normals, normals[nearest], 0.5).all())


def turned_less(first, second, cosine: float) -> Bool[np.ndarray, " c"]:
    """Whether the largest angle between the spaces that rows of (c, k, n) span has at least this cosine, (c,)."""
    products = np.einsum("ckn,cjn->ckj", first, second)
    return np.linalg.svd(products, compute_uv=False)[:, -1] >= cosine


def _affordable(points, landmarks, square: float, highest: int) -> float:
    """The largest α² up to `square`, halved as often as it takes, whose simplices can be gone through."""
    some = points[:: max(len(points) // SOME, 1)]
    squared = np.sum((some[:, None] - landmarks) ** 2, axis=2)
    excess = squared - squared.min(axis=1, keepdims=True)
    while comb(np.sum(excess <= square, axis=1), highest + 3).mean() * len(points) > LARGEST:
        square /= 2
    return square


def _read(points, landmarks, square: float, highest: int) -> tuple[list[tuple[int, ...]], bool]:
    """Betti numbers of the complex over each field, and whether all cycles live through the window or miss it."""
    try:
        from gudhi import EuclideanStrongWitnessComplex
    except ImportError as error:
        raise ImportError(
            "Betti numbers of these points need gudhi: pip install 'implicit-manifolds[homology]'"
        ) from error
    first, last = (value * square for value in WINDOW)
    # It takes lists of floats alone.
    complex_: Any = EuclideanStrongWitnessComplex(
        witnesses=points.astype(float).tolist(), landmarks=landmarks.astype(float).tolist()
    ).create_simplex_tree(max_alpha_square=last, limit_dimension=highest + 1)
    found: list[tuple[int, ...]] = []
    steady = True
    for prime in FIELDS:
        complex_.compute_persistence(homology_coeff_field=prime, persistence_dim_max=True)
        bars = [np.reshape(complex_.persistence_intervals_in_dimension(j), (-1, 2)) for j in range(highest + 1)]
        lives = [(bar[:, 0] <= first) & (bar[:, 1] > last) for bar in bars]
        steady &= all(bool((live | (bar[:, 1] <= first)).all()) for live, bar in zip(lives, bars, strict=True))
        found.append(tuple(int(live.sum()) for live in lives))
    return found, steady
