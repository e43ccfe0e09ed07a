"""Charts at given points of a level set: how wide they may be, and whether they agree."""

import numpy as np

from .._random import host_generator
from .._types import MDF, Bool, Float, RandomKey
from ..manifold.tangent import codimension_of
from .atlas import disc_density, lift, lift_at_random, neighbour_distance, normals_at, overlaps, tangential
from .manifold import Atlas

TRIALS = 4
ROUNDS = 6
MAX_TRIALS = 8192
MAX_PAIRS = 2**16
"""Of a point and a chart that holds it, tried at a time."""


def even_atlas(key: RandomKey, mdf: MDF, points: Float[np.ndarray, "b n"]) -> Atlas:
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
        inside = np.flatnonzero(disc_density(atlas, other, points[point], normals[point])[1])
        if len(inside) > MAX_PAIRS:
            inside = random.choice(inside, MAX_PAIRS, replace=False)
        point, other = point[inside], other[inside]
        base = atlas.bases[other]
        along = tangential(atlas.normals[other], points[point] - base)
        found, _, converged, _ = lift(mdf, base, base + along)
        missed = ~converged | (np.linalg.norm(found - points[point], axis=1) > 1e-2 * atlas.radii[other])
        failed |= np.bincount(other, missed, minlength=size) > 0
        wrong, total = wrong + missed.sum(), total + len(point)
    return failed, float(wrong / max(total, 1))
