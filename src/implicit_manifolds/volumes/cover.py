"""An atlas of a level set: charts spread evenly over all of it."""

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

from .._random import derived_keys, host_generator
from .._types import Array, Bool, Float, Int, RandomKey
from .atlas import charts_of, density_of, draw_pool, holders, normals_at
from .charts import even_atlas, make_atlas
from .growth import ends, grown, thinned
from .lines import pool_of_size
from .manifold import Atlas, Manifold
from .parts import components, leads_to, part_of
from .pools import Pool, even_points

FEWEST, USUAL, MOST = 512, 2048, 8192
REPAIRS = 20
WIDER = 2.0
ENOUGH = 0.001
"""Share of points of M on no chart that calls for no more charts."""


def cover(key: RandomKey, manifold: Manifold, seen: Float[np.ndarray | Array, "points n"] | None = None) -> Manifold:
    """The manifold with an atlas, evenly spread over it.

    One constraint with sides: charts stand where random lines cross M, so all of it is found but for parts so small
    that none does. Else they grow from points on M, its anchors or `seen` (N, n), over all that is connected with them
    within the box and F's domain, and a component that has none of these is missed. Points of M that were seen and are
    on no chart get one; `Atlas.uncovered` is what is left, by points that the charts were not made from.

    Arguments:
        key: a JAX random key.
        manifold: M in its box.
        seen: (N, n) points of M that are to be on charts, and that charts grow from; its anchors unless given.

    Returns:
        The `Manifold` with `atlas`.

    Raises:
        ArithmeticError: nothing is found.
        ValueError: charts would have to grow, and no points are known.

    >>> charted = im.cover(jax.random.key(0), circle)
    >>> charted.atlas.bases.shape, charted.atlas.uncovered < 0.01
    ((512, 2), True)
    """
    size = min(FEWEST * 2 ** (manifold.dimension - 1), USUAL)
    random, grow_key, pool_key, even_key, repair_key, link_key = host_generator(key), *derived_keys(key, 5)
    seen = manifold.anchors if seen is None else seen
    known = np.zeros((0, manifold.ambient_dimension)) if seen is None else np.asarray(seen)
    beyond = 0.0
    if manifold.signed:
        draw = lambda one_key: pool_of_size(one_key, manifold, 4 * size)
    else:
        if not len(known):
            raise ValueError("charts of several constraints spread from known points; give the manifold anchors")
        wide = manifold.charted(grown(grow_key, manifold, known))
        beyond = float(charts_of(wide).uncovered)
        draw = lambda one_key: draw_pool(one_key, wide, 10 * size)
    atlas = even_atlas(even_key, manifold.mdf, even_points(random, draw(pool_key), size))
    atlas = _repaired(repair_key, manifold, atlas, draw, known)
    atlas = _linked(link_key, manifold, atlas, draw)
    if not manifold.signed:
        atlas = _connected(manifold.charted(atlas), known)
    return manifold.charted(atlas._replace(uncovered=max(float(atlas.uncovered), beyond)))


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


def _repaired(
    key: RandomKey,
    manifold: Manifold,
    atlas: Atlas,
    draw: Callable[[RandomKey], Pool],
    known: Float[np.ndarray, "c n"],
) -> Atlas:
    """An atlas with further charts where fresh points of M, or known ones (c, n), are on none; what is left is told.

    Fresh points are `draw`n by other means than from this atlas, or seen beyond its discs.
    """
    random, usual = host_generator(key), float(np.median(atlas.radii))
    share = float(np.median(atlas.probabilities)) / usual**manifold.dimension
    for repair_key in derived_keys(key, REPAIRS):
        pool = draw(repair_key)
        fresh = _missed(manifold, atlas, pool.points)
        beyond, widths, unseen = ends(random, manifold, atlas, usual)
        atlas = atlas._replace(uncovered=max(float(pool.weights[fresh].sum() / pool.weights.sum()), unseen))
        lost = known[_missed(manifold, atlas, known)] if len(known) else known
        if (atlas.uncovered <= ENOUGH and len(lost) <= ENOUGH * len(known)) or len(atlas.bases) >= MOST:
            break
        points = np.concatenate([pool.points[fresh], lost.astype(pool.points.dtype)])
        # Where charts around are narrow, so must new ones be.
        radii = np.minimum(WIDER * np.asarray(atlas.radii)[KDTree(atlas.bases).query(points)[1]], usual)
        points, radii = np.concatenate([points, beyond]), np.concatenate([radii, widths])
        chosen = thinned(random, points, radii / WIDER / 2)
        radii = np.concatenate([atlas.radii, radii[chosen]])
        shares = np.concatenate([atlas.probabilities, share * radii[len(atlas.bases) :] ** manifold.dimension])
        bases = np.concatenate([atlas.bases, points[chosen]])
        atlas = make_atlas(repair_key, manifold.mdf, bases, shares / shares.sum(), radii)
        share = float(np.median(atlas.probabilities / atlas.radii**manifold.dimension))
    return atlas


def _linked(key: RandomKey, manifold: Manifold, atlas: Atlas, draw: Callable[[RandomKey], Pool]) -> Atlas:
    """An atlas with charts at some points that charts of two parts hold: a gap between bases had parted M there."""
    random = host_generator(key)
    for link_key in derived_keys(key, REPAIRS):
        part = components(manifold.charted(atlas))
        if not part.any():
            break
        points, width = _between_parts(manifold.charted(atlas), part, draw(link_key).points)
        if not len(points):
            break
        chosen = thinned(random, points, width)
        radii = np.concatenate([atlas.radii, width[chosen]])
        shares = np.concatenate([atlas.probabilities, np.full(len(chosen), np.median(atlas.probabilities))])
        bases = np.concatenate([atlas.bases, points[chosen]])
        made = make_atlas(link_key, manifold.mdf, bases, shares / shares.sum(), radii)
        atlas = made._replace(uncovered=atlas.uncovered)
    return atlas


def _between_parts(manifold: Manifold, part: Int[np.ndarray, " b"], points: Float[np.ndarray, "c n"]):
    """Of points on M those that charts of several parts hold (p, n), and radii of the narrowest of these (p,)."""
    atlas = charts_of(manifold)
    point, chart = holders(atlas, points, normals_at(manifold.mdf, points))
    several = _several(part[chart], point, len(points))
    point, chart = point[several[point]], chart[several[point]]
    true = leads_to(manifold, chart, points[point])
    point, chart, width = point[true], chart[true], np.full(len(points), np.inf)
    several = _several(part[chart], point, len(points))
    np.minimum.at(width, point, atlas.radii[chart])
    return points[several], width[several]


def _several(values: Int[np.ndarray, " p"], rows: Int[np.ndarray, " p"], count: int) -> Bool[np.ndarray, " c"]:
    """Which of `count` rows have more than one value."""
    pairs = np.unique(np.stack([rows, values]), axis=1)
    return np.bincount(pairs[0], minlength=count) > 1


def _connected(manifold: Manifold, known: Float[np.ndarray, "c n"]) -> Atlas:
    """Without charts of parts that hold no known points (c, n), such as what a chart sees beyond an edge."""
    atlas, part = charts_of(manifold), components(manifold)
    kept = np.isin(part, part_of(atlas, part, known))
    bases, normals, radii, shares = (np.asarray(leaf)[kept] for leaf in atlas[:4])
    return Atlas(bases, normals, radii, shares / shares.sum(), *atlas[4:])


def _missed(manifold: Manifold, atlas: Atlas, points: Float[np.ndarray, "c n"]) -> Bool[np.ndarray, " c"]:
    """Which points of M have a tangent space and are on no chart."""
    normals = normals_at(manifold.mdf, points)
    sound = np.isfinite(normals).all(axis=(1, 2))
    return sound & (density_of(atlas, points, np.where(sound[:, None, None], normals, 0)) == 0)
