"""An atlas of a level set: where charts stand, how wide they are, and whether they agree."""

import jax
import numpy as np

from .._random import Box, derived_keys, host_generator
from .._types import MDF, Bool, Float, RandomKey
from .atlas import (
    Atlas,
    _disc_density,
    _lift,
    _lift_at_random,
    _overlaps,
    _tangential,
    density_of,
    draw,
    neighbour_distance,
    normals_at,
)
from .lines import pool_of_size
from .pools import Pool

TRIALS = 4
ROUNDS = 6
FEWEST, MOST = 512, 2048
SPREADS = 3
MAX_TRIALS = 8192


def cover(key: RandomKey, mdf: MDF, box: Box, seen: Float[np.ndarray, "points n"]) -> Atlas:
    """An atlas of {F = 0} in the box, evenly spread.

    One constraint: charts stand where random lines cross M, so all of it is found. Several: they spread from the points
    `seen` (N, n), which lie on M, and a component that has none of these is missed. Raises ArithmeticError where
    nothing is found.
    """
    codimension = jax.eval_shape(mdf, box[0]).shape[0]
    dimension = len(box[0]) - codimension
    size = min(FEWEST * 2 ** (dimension - 1), MOST)
    random, first_key, *keys = host_generator(key), *derived_keys(key, SPREADS + 2)
    if codimension == 1:
        points = _uniform(random, pool_of_size(first_key, mdf, box, 4 * size), 2 * size)
    else:
        points = seen[random.permutation(len(seen))]
        for spread_key in keys[:SPREADS]:
            atlas = _even_atlas(spread_key, mdf, points[:size])
            pool = draw(spread_key, mdf, atlas, box, 10 * size)
            points = _uniform(random, pool, 2 * size)
    atlas = _even_atlas(keys[-1], mdf, points[:size])
    others = points[size:]
    missed = density_of(atlas, others, normals_at(mdf, others)) == 0
    return atlas._replace(uncovered=float(missed.mean()) if len(others) else 0.0)


def focused(key: RandomKey, mdf: MDF, atlas: Atlas, bases, probabilities, radii) -> Atlas:
    """The atlas with half of its draws moved to further charts, with the given `probabilities` (b,) and radii (b,)."""
    joined = make_atlas(
        key,
        mdf,
        np.concatenate([atlas.bases, bases]),
        np.concatenate([atlas.probabilities, probabilities]) / 2,
        np.concatenate([atlas.radii, radii]),
    )
    return joined._replace(uncovered=atlas.uncovered)


def _even_atlas(key, mdf, points) -> Atlas:
    """Charts of equal probability at points of M, each as wide as makes them overlap."""
    dimension = points.shape[1] - jax.eval_shape(mdf, points[0]).shape[0]
    radii = neighbour_distance(points, max(12, 8 * dimension))
    return make_atlas(key, mdf, points, np.full(len(points), 1 / len(points)), radii)


def _uniform(random, pool: Pool, size: int):
    """`size` of the pool's points, or all where they are fewer, drawn by weight without replacement."""
    order = np.log(pool.weights) + random.gumbel(size=len(pool.weights))
    return pool.points[np.argsort(-order)[:size]]


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
    points, normals, lifted = _lift_at_random(random, mdf, atlas, chart)
    failed = np.bincount(chart, ~lifted, minlength=size) > trials / 4
    points, normals = points[lifted], normals[lifted]
    wrong, total = 0, 0
    for point, other in _overlaps(atlas, points):
        inside = _disc_density(atlas, other, points[point], normals[point])[1]
        point, other = point[inside], other[inside]
        base = atlas.bases[other]
        along = _tangential(atlas.normals[other], points[point] - base)
        found, _, converged = _lift(mdf, base, base + along)
        missed = ~converged | (np.linalg.norm(found - points[point], axis=1) > 1e-2 * atlas.radii[other])
        failed |= np.bincount(other, missed, minlength=size) > 0
        wrong, total = wrong + missed.sum(), total + len(point)
    return failed, float(wrong / max(total, 1))
