"""An atlas of a level set: where charts stand, how wide they are, and whether they agree."""

import numpy as np

from .._random import derived_keys, host_generator
from .._types import MDF, Array, Bool, Float, RandomKey
from ..manifold.tangent import codimension_of
from .atlas import (
    charts_of,
    density_of,
    disc_density,
    draw_pool,
    lift,
    lift_at_random,
    neighbour_distance,
    normals_at,
    overlaps,
    tangential,
)
from .lines import pool_of_size
from .manifold import Atlas, Manifold
from .pools import even_points

TRIALS = 4
ROUNDS = 6
FEWEST, MOST = 512, 2048
SPREADS = 3
MAX_TRIALS = 8192


def cover(key: RandomKey, manifold: Manifold, seen: Float[np.ndarray | Array, "points n"] | None = None) -> Manifold:
    """The manifold with an atlas, evenly spread over it.

    One constraint: charts stand where random lines cross M, so all of it is found. Several: they spread from points on
    M, its anchors or `seen` (N, n), and a component that has none of these is missed. Raises ArithmeticError where
    nothing is found, ValueError where several constraints come without points.

    Arguments:
        key: a JAX random key.
        manifold: M in its box.
        seen: (N, n) points of M that charts spread from where there are several constraints; its anchors unless given.

    Returns:
        The `Manifold` with `atlas`.

    >>> charted = im.cover(jax.random.key(0), circle)
    >>> charted.atlas.bases.shape, charted.atlas.uncovered < 0.01
    ((512, 2), True)
    """
    mdf, dimension = manifold.mdf, manifold.dimension
    size = min(FEWEST * 2 ** (dimension - 1), MOST)
    random, first_key, *keys = host_generator(key), *derived_keys(key, SPREADS + 2)
    if manifold.signed:
        points = even_points(random, pool_of_size(first_key, manifold, 4 * size), 2 * size)
    else:
        seen = manifold.anchors if seen is None else seen
        if seen is None or len(seen) == 0:
            raise ValueError("charts of several constraints spread from known points; give the manifold anchors")
        points = np.asarray(seen)[random.permutation(len(seen))]
        for spread_key in keys[:SPREADS]:
            atlas = _even_atlas(spread_key, mdf, points[:size])
            pool = draw_pool(spread_key, manifold.charted(atlas), 10 * size)
            points = even_points(random, pool, 2 * size)
    atlas = _even_atlas(keys[-1], mdf, points[:size])
    others = points[size:]
    missed = density_of(atlas, others, normals_at(mdf, others)) == 0
    return manifold.charted(atlas._replace(uncovered=float(missed.mean()) if len(others) else 0.0))


def focused(key: RandomKey, manifold: Manifold, bases, probabilities, radii) -> Manifold:
    """Half of its atlas's draws moved to further charts, with the given `probabilities` (b,) and radii (b,)."""
    atlas = charts_of(manifold)
    joined = make_atlas(
        key,
        manifold.mdf,
        np.concatenate([atlas.bases, bases]),
        np.concatenate([atlas.probabilities, probabilities]) / 2,
        np.concatenate([atlas.radii, radii]),
    )
    return manifold.charted(joined._replace(uncovered=atlas.uncovered))


def _even_atlas(key, mdf, points) -> Atlas:
    """Charts of equal probability at points of M, each as wide as makes them overlap."""
    dimension = points.shape[1] - codimension_of(mdf, points[0])
    radii = neighbour_distance(points, max(12, 8 * dimension))
    return make_atlas(key, mdf, points, np.full(len(points), 1 / len(points)), radii)


def make_atlas(
    key: RandomKey,
    mdf: MDF,
    bases: Float[np.ndarray, "b n"],
    probabilities: Float[np.ndarray, " b"],
    radii: Float[np.ndarray, " b"],
) -> Atlas:
    """Charts at points of M whose discs are halved until they lift, and until overlapping charts agree.

    Charts that do not come to rights in `ROUNDS` halvings are left out. Raises ArithmeticError where none is left.
    """
    normals = normals_at(mdf, bases)
    usable = np.isfinite(normals).all(axis=(1, 2)) & (radii > 0)
    atlas = Atlas(bases[usable], normals[usable], radii[usable], probabilities[usable])
    random, failed = host_generator(key), ~usable[usable]
    for last in range(ROUNDS if usable.any() else 0):
        failed, inconsistent = _faults(random, mdf, atlas)
        atlas = atlas._replace(inconsistent=inconsistent)
        if not failed.any():
            break
        if last < ROUNDS - 1:
            atlas = atlas._replace(radii=np.where(failed, atlas.radii / 2, atlas.radii))
    sound = ~failed
    if not sound.any():
        raise ArithmeticError("no tangent disc could be lifted onto the zero set: its Jacobian may lose rank")
    shares = atlas.probabilities[sound] / atlas.probabilities[sound].sum()
    return Atlas(atlas.bases[sound], atlas.normals[sound], atlas.radii[sound], shares, 0.0, atlas.inconsistent)


def _faults(random, mdf, atlas: Atlas) -> tuple[Bool[np.ndarray, " b"], float]:
    """Charts (b,) that lift fewer than three in four trials or miss a point of another, and the share of misses."""
    size = len(atlas.bases)
    trials = min(max(MAX_TRIALS // size, 1), TRIALS)
    chart = np.tile(np.arange(size), trials)
    points, normals, lifted, _ = lift_at_random(random, mdf, atlas, chart)
    failed = np.bincount(chart, ~lifted, minlength=size) > trials / 4
    points, normals = points[lifted], normals[lifted]
    wrong, total = 0, 0
    for point, other in overlaps(atlas, points):
        inside = disc_density(atlas, other, points[point], normals[point])[1]
        point, other = point[inside], other[inside]
        base = atlas.bases[other]
        along = tangential(atlas.normals[other], points[point] - base)
        found, _, converged, _ = lift(mdf, base, base + along)
        missed = ~converged | (np.linalg.norm(found - points[point], axis=1) > 1e-2 * atlas.radii[other])
        failed |= np.bincount(other, missed, minlength=size) > 0
        wrong, total = wrong + missed.sum(), total + len(point)
    return failed, float(wrong / max(total, 1))
