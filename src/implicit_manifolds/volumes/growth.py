"""Charts grown over all of a manifold from a few points of it.

Each round looks beyond the discs of all charts there are and adds charts where it finds points of M on none of them
(Henderson 2002 continues manifolds so). The first charts are as wide as M lets them be, so that few rounds go far.
"""

import numpy as np
from scipy.spatial import KDTree

from .._random import derived_keys, host_generator
from .._types import Float, Int, RandomKey
from .atlas import density_of, lift_at_random, normals_at
from .charts import make_atlas
from .manifold import Atlas, Manifold

WIDEST = 1 / 8
"""Radius of a first disc, of the diagonal of the box."""
BEYOND = 1.6
"""How far from its base a chart looks, in radii of its disc."""
APART = 0.5
"""Distance of new bases from each other, in radii."""
ROUNDS, MOST = 100, 6000
LOOKS = 8192
ENOUGH = 0.001
"""Share of what is seen beyond the discs that may lie on no chart."""


def grown(key: RandomKey, manifold: Manifold, seen: Float[np.ndarray, "points n"]) -> Atlas:
    """Charts of all that is connected with `seen` points (N, n) of M, in the box and F's domain.

    A draw from them is about even by volume. `uncovered` is the share of what lies just beyond their discs that is on
    no chart, zero unless charts or rounds became too many. Raises ArithmeticError where no chart is found.
    """
    random, box, known = host_generator(key), manifold.box.on_host(), _usable(manifold, seen)
    widest = WIDEST * float(np.linalg.norm(box.high - box.low))
    untried, atlas, uncovered = np.ones(len(known[0]), bool), None, 1.0
    fresh, radii = known[0], np.full(len(known[0]), widest)
    for round_key in derived_keys(key, ROUNDS):
        chosen = thinned(random, fresh, APART * radii)
        if len(chosen):
            atlas = with_charts(round_key, manifold, atlas, fresh[chosen], radii[chosen])
        assert atlas is not None
        beyond, widths, uncovered = ends(random, manifold, atlas, widest)
        # Known points that are on no chart: on a part of their own, perhaps beside one that has charts.
        lost = np.flatnonzero(untried & (density_of(atlas, *known) == 0))
        lost = lost[thinned(random, known[0][lost], np.full(len(lost), APART * widest))]
        untried[lost] = False
        done = uncovered <= ENOUGH and not len(lost)
        if done or len(atlas.bases) >= MOST:
            break
        fresh = np.concatenate([beyond, known[0][lost]])
        radii = np.concatenate([widths, np.full(len(lost), widest)])
    assert atlas is not None
    return atlas._replace(uncovered=0.0 if done else uncovered)


def with_charts(
    key: RandomKey,
    manifold: Manifold,
    atlas: Atlas | None,
    bases: Float[np.ndarray, "b n"],
    radii: Float[np.ndarray, " b"],
) -> Atlas:
    """An atlas with further charts, all drawn by the volumes of their discs and narrowed until they agree."""
    if atlas is not None:
        bases, radii = np.concatenate([atlas.bases, bases]), np.concatenate([atlas.radii, radii])
    found = make_atlas(key, manifold.mdf, bases, np.full(len(bases), 1 / len(bases)), radii)
    shares = found.radii**manifold.dimension
    return found._replace(probabilities=shares / shares.sum())


def thinned(random, points: Float[np.ndarray, "c n"], apart: Float[np.ndarray, " c"]) -> Int[np.ndarray, " b"]:
    """Rows of points (c, n) in random order, none of them nearer to one before it than that one's `apart` (c,)."""
    if not len(points):
        return np.zeros(0, int)
    tree, left, kept = KDTree(points), np.ones(len(points), bool), []
    for row in random.permutation(len(points)):
        if left[row]:
            kept.append(row)
            left[tree.query_ball_point(points[row], apart[row])] = False
    return np.array(kept)


def _usable(manifold: Manifold, seen) -> tuple[Float[np.ndarray, "c n"], Float[np.ndarray, "c k n"]]:
    """Of points (N, n) those at which J has full rank, and orthonormal normals there."""
    normals = normals_at(manifold.mdf, seen)
    sound = np.isfinite(normals).all(axis=(1, 2))
    if not sound.any():
        raise ArithmeticError("no known point has a tangent space: the Jacobian of F loses rank at all of them")
    return seen[sound], normals[sound]


def ends(
    random, manifold: Manifold, atlas: Atlas, widest: float
) -> tuple[Float[np.ndarray, "c n"], Float[np.ndarray, " c"], float]:
    """Points of M on no chart that the charts see somewhat beyond their discs, radii to try there, and their share.

    The share is by the volumes of the discs that look.
    """
    size = len(atlas.bases)
    chart = np.tile(np.arange(size), max(LOOKS // size, 2))
    wider = atlas._replace(radii=BEYOND * atlas.radii)
    points, normals, lifted, within = lift_at_random(random, manifold.mdf, wider, chart)
    seen = lifted & within & manifold.box.on_host().contains(points)
    if not seen.any():
        return points[:0], np.asarray(atlas.radii[:0]), 0.0
    missed = density_of(atlas, points[seen], normals[seen]) == 0
    radii = np.asarray(atlas.radii)[chart[seen]]
    volumes = radii**manifold.dimension
    share = float(volumes[missed].sum() / volumes.sum())
    return points[seen][missed], np.minimum(BEYOND * radii, widest)[missed], share
