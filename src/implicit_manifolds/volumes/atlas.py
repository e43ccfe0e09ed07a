"""Weighted points of a level set of any codimension from an atlas: tangent discs, lifted onto M along their normals.

A chart takes v in the tangent disc at a base point b to the zero y = b + v + J(b)ᵀc of F, the affine-subspace step of
Zappa, Holmes-Cerfon & Goodman 2018. A disc drawn from a mixture of charts gives y the density
Σ_i p_i g_i(P_i(y - b_i)) |det(N_i N(y)ᵀ)| by volume of M, with g the disc's density and N orthonormal normals; its
inverse is the volume that y stands for. What no chart covers is missed, so coverage is estimated and told.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from .._loops import over_points
from .._random import host_generator
from .._types import MDF, Bool, Float, Int, RandomKey
from ..manifold.multipliers import quasi_newton
from ..manifold.tangent import linearize, normals_of
from ..manifold.triangular import gram_cholesky
from .manifold import Atlas, Manifold
from .pools import SETS, Pool, PoolSource


def draw_pool(key: RandomKey, manifold: Manifold, count: int) -> Pool:
    """Weighted points of M from at most `count` draws of its charts, of which those that do not lift are lost.

    The pool's weights make it uniform; it is densest where the atlas' probabilities are. Standard errors come from 16
    sets, in each of which charts are drawn evenly (systematic sampling).

    Arguments:
        key: a JAX random key.
        manifold: M with charts, as `cover` gives it.
        count: draws, of which those that do not lift are lost.

    Returns:
        `Pool`: points (c, n) with the volume that each stands for, (c,).

    Raises:
        ValueError: the manifold has no charts.

    >>> pool = im.draw_pool(jax.random.key(1), im.cover(jax.random.key(0), circle), 10_000)
    >>> bool(abs(pool.weights.sum() - 2 * np.pi) < 0.05)
    True
    """
    pool, inside = draw_around(key, manifold, count)
    return Pool(pool.points[inside], pool.weights[inside], pool.groups[inside], *pool[3:])


def draw_around(key: RandomKey, manifold: Manifold, count: int) -> tuple[Pool, Bool[np.ndarray, " c"]]:
    """Points of {F = 0} that the charts of M reach, and which of them are in M: in the box and F's own domain."""
    random, per_set, atlas = host_generator(key), max(count // SETS, 1), charts_of(manifold)
    ends = np.cumsum(atlas.probabilities)
    comb = (np.arange(per_set) + random.random((SETS, 1))) / per_set
    chart = np.minimum(np.searchsorted(ends, comb.ravel() * ends[-1]), len(ends) - 1)
    points, normals, lifted, within = lift_at_random(random, manifold.mdf, atlas, chart)
    inside = (within & manifold.box.on_host().contains(points))[lifted]
    points, normals = points[lifted], normals[lifted]
    density = density_of(atlas, points, normals)
    groups = np.repeat(np.arange(SETS), per_set)[lifted]
    return Pool(points, 1 / (SETS * per_set * density), groups, SETS, 0, float(atlas.inconsistent)), inside


def density_of(atlas: Atlas, points: Float[np.ndarray, "c n"], normals: Float[np.ndarray, "c k n"]):
    """The density (c,) by volume of M with which `draw_pool` meets points of M, given their orthonormal normals."""
    density = np.zeros(len(points))
    for point, chart in overlaps(atlas, points):
        value, inside = disc_density(atlas, chart, points.take(point, axis=0), normals.take(point, axis=0))
        density += np.bincount(point, atlas.probabilities[chart] * value * inside, minlength=len(points))
    return density


def lift_at_random(random, mdf, atlas: Atlas, chart: Int[np.ndarray, " c"]):
    """A point of each given chart, (c, n), its normals (c, k, n), whether the chart and F's domain have it (c,)."""
    bases, normals = atlas.bases[chart], atlas.normals[chart]
    dimension = bases.shape[1] - normals.shape[1]
    direction = tangential(normals, random.normal(size=bases.shape))
    radius = atlas.radii[chart] * np.sqrt(random.beta(dimension / 2, 2, len(chart)))
    step = direction * (radius / np.linalg.norm(direction, axis=1))[:, None]
    points, found, converged, within = lift(mdf, bases, bases + step.astype(bases.dtype))
    inside = disc_density(atlas, chart, points, found)[1]
    return points, found, converged & inside, within


def tangential(normals, vectors):
    """What of vectors (c, n) is tangent, given orthonormal normals (c, k, n)."""
    return vectors - np.einsum("ckn,ck->cn", normals, np.einsum("ckn,cn->ck", normals, vectors))


def disc_density(atlas: Atlas, chart, points, normals):
    """The density by volume at points of M of a draw from the given charts (c,), and whether they lie within them (c,).

    On the host or in JAX, as the points are.
    """
    xp = points.__array_namespace__()
    bases, frames, radii = (leaf if chart is None else xp.take(leaf, chart, axis=0) for leaf in atlas[:3])
    offset = points - bases
    height = _dots(frames, offset[:, None])
    squared, wide = _dots(height, height), radii * radii
    along = (_dots(offset, offset) - squared) / wide
    slope = _size_of_determinant(_dots(frames[:, :, None], normals[:, None]))
    inside = (along < 1) & (squared <= HEIGHT**2 * wide) & (slope >= STEEPEST)
    dimension = points.shape[1] - normals.shape[1]
    disc = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
    peak = (dimension + 2) / (2 * disc) / radii**dimension
    return peak * xp.maximum(1 - along, 0) * slope, inside


def _size_of_determinant(matrices):
    """|det A| of matrices (c, k, k); in JAX from a factor of A Aᵀ, NaN where it has none, that is no call a lane."""
    if matrices.shape[1] == 1:
        return abs(matrices[:, 0, 0])
    if isinstance(matrices, np.ndarray):
        return np.abs(np.linalg.det(matrices))
    return jnp.prod(jnp.diagonal(jax.vmap(gram_cholesky)(matrices), axis1=1, axis2=2), axis=1)


def _dots(a, b):
    """Inner products over the last axis, which is short: written out they fuse in JAX and copy nothing on the host."""
    return sum(a[..., i] * b[..., i] for i in range(a.shape[-1]))


def normals_at(mdf: MDF, points: Float[np.ndarray, "c n"]) -> Float[np.ndarray, "c k n"]:
    """Orthonormal normals of M at its points (c, n); NaN where J loses rank."""
    return lift(mdf, points, points)[1]


def pool_source(manifold: Manifold) -> PoolSource:
    """Fresh pools of M, as `draw_pool` makes them."""
    return PoolSource(lambda key, count: draw_pool(key, manifold, count))


def charts_of(manifold: Manifold) -> Atlas:
    """The manifold's atlas. Raises ValueError where it has none."""
    if manifold.atlas is None:
        raise ValueError("the manifold has no charts; `cover` makes them")
    return manifold.atlas


def overlaps(atlas: Atlas, points):
    """Blocks of (point, chart) indices of all pairs near enough for the chart to hold the point."""
    reach = atlas.radii * math.sqrt(1 + HEIGHT**2)
    tree = KDTree(points)
    counts = tree.query_ball_point(atlas.bases, reach, return_length=True)
    block = np.cumsum(counts) // PAIRS
    for number in np.unique(block):
        charts = np.flatnonzero(block == number)
        found = tree.query_ball_point(atlas.bases[charts], reach[charts], return_sorted=False)
        if counts[charts].sum():
            yield np.concatenate(found).astype(int), np.repeat(charts, counts[charts])


def lift(mdf, bases, starts):
    """Zeros (c, n) of F along the normals of the bases, orthonormal normals there (c, k, n), convergence, domain (c,).

    The last says which zeros lie within F's own domain. Those beyond it are no points of M, but a chart may reach them.
    """
    rows = tuple(np.asarray(points, jnp.result_type(float)) for points in (bases, starts))
    return over_points(_lifted, mdf, rows)


def _lifted(mdf, row):
    base, start = row
    found = quasi_newton(mdf, linearize(mdf, base, dense=True), start)
    # Where the search failed it may have ended anywhere.
    position = jnp.where(found.converged, found.position, base)
    at = linearize(mdf, position, dense=True)
    within = jnp.asarray(True) if at.within is None else at.within
    return position, normals_of(at), found.converged, within


def neighbours(atlas: Atlas) -> Int[np.ndarray, "2 p"]:
    """Pairs of charts of which the second holds the base of the first."""
    return holders(atlas, atlas.bases, atlas.normals)


def holders(atlas: Atlas, points, normals) -> Int[np.ndarray, "2 p"]:
    """Pairs of a point of M (c, n), by its row, and a chart that holds it, given orthonormal normals (c, k, n)."""
    pairs = [np.empty((2, 0), int)]
    for point, chart in overlaps(atlas, points):
        inside = disc_density(atlas, chart, points[point], normals[point])[1]
        pairs.append(np.stack([point[inside], chart[inside]]))
    return np.concatenate(pairs, axis=1)


def neighbour_distance(points: Float[np.ndarray, "b n"], rank: int) -> Float[np.ndarray, " b"]:
    """Distance of each point to its `rank`-th nearest other one, (b,)."""
    rank = min(rank, len(points) - 1)
    return KDTree(points).query(points, k=[rank + 1])[0][:, 0]


STEEPEST = 0.3
"""Least |det(N_i N(y)ᵀ)| within a chart."""
HEIGHT = 0.5
"""Largest normal offset within a chart, in radii of its disc."""
PAIRS = 2**17
