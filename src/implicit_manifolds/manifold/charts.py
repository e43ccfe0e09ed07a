"""Weighted points of a level set of any codimension from an atlas: tangent discs, lifted onto M along their normals.

A chart takes v in the tangent disc at a base point b to the zero y = b + v + J(b)ᵀc of F, the affine-subspace step of
Zappa, Holmes-Cerfon & Goodman 2018. A disc drawn from a mixture of charts gives y the density
Σ_i p_i g_i(P_i(y - b_i)) |det(N_i N(y)ᵀ)| by volume of M, with g the disc's density and N orthonormal normals; its
inverse is the volume that y stands for. What no chart covers is missed, so coverage is estimated and told.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .._loops import in_blocks
from .._random import Box, derived_keys, host_generator
from .._types import MDF, Array, Bool, Float, Int, RandomKey, Scalar
from .lines import pool_of_size
from .multipliers import quasi_newton
from .tangent import Linearization, linearize, lower_solve
from .volume import SETS, Pool, PoolSource

BLOCK = 4096
STEEPEST = 0.3
"""Least |det(N_i N(y)ᵀ)| within a chart."""
HEIGHT = 0.5
"""Largest normal offset within a chart, in radii of its disc."""
TRIALS = 4
ROUNDS = 6
PAIRS = 2**20
FEWEST, MOST = 512, 2048
SPREADS = 3
MAX_TRIALS = 8192


class Atlas(NamedTuple):
    """Charts of M and how often each is drawn from.

    bases (b, n) on M; normals (b, k, n), orthonormal rows; radii (b,) of the tangent discs; probabilities (b,), which
    sum to 1. uncovered: share of M that no chart covers. inconsistent: share of overlaps in which one chart
    does not find the point of another. Both are estimates.
    """

    bases: Float[np.ndarray, "b n"]
    normals: Float[np.ndarray, "b k n"]
    radii: Float[np.ndarray, " b"]
    probabilities: Float[np.ndarray, " b"]
    uncovered: float = 0.0
    inconsistent: float = 0.0


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


def draw(key: RandomKey, mdf: MDF, atlas: Atlas, box: Box, count: int) -> Pool:
    """Weighted points of M in the box from at most `count` draws, of which those that do not lift are lost.

    The pool's weights make it uniform; it is densest where the atlas' probabilities are. Standard errors come from 16
    sets, in each of which charts are drawn evenly (systematic sampling).
    """
    random, per_set = host_generator(key), max(count // SETS, 1)
    ends = np.cumsum(atlas.probabilities)
    comb = (np.arange(per_set) + random.random((SETS, 1))) / per_set
    chart = np.minimum(np.searchsorted(ends, comb.ravel() * ends[-1]), len(ends) - 1)
    points, normals, lifted = _lift_at_random(random, mdf, atlas, chart)
    low, high = (np.asarray(bound) for bound in box)
    kept = np.flatnonzero(lifted & np.all((points >= low) & (points <= high), axis=1))
    points, normals = points[kept], normals[kept]
    density = density_of(atlas, points, normals)
    groups = np.repeat(np.arange(SETS), per_set)[kept]
    return Pool(points, 1 / (SETS * per_set * density), groups, SETS, 0, atlas.inconsistent)


def density_of(atlas: Atlas, points: Float[np.ndarray, "c n"], normals: Float[np.ndarray, "c k n"]):
    """The density (c,) by volume of M with which `draw` meets points of M, given their orthonormal normals."""
    density = np.zeros(len(points))
    for point, chart in _overlaps(atlas, points):
        value, inside = _disc_density(atlas, chart, points[point], normals[point])
        density += np.bincount(point, atlas.probabilities[chart] * value * inside, minlength=len(points))
    return density


def normals_at(mdf: MDF, points: Float[np.ndarray, "c n"]) -> Float[np.ndarray, "c k n"]:
    """Orthonormal normals of M at its points (c, n); NaN where J loses rank."""
    return _lift(mdf, points, points)[1]


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


def neighbour_distance(points: Float[np.ndarray, "b n"], rank: int) -> Float[np.ndarray, " b"]:
    """Distance of each point to its `rank`-th nearest other one, (b,)."""
    rank = min(rank, len(points) - 1)
    return KDTree(points).query(points, k=[rank + 1])[0][:, 0]


def _lift_at_random(random, mdf, atlas: Atlas, chart: Int[np.ndarray, " c"]):
    """A point of each given chart, (c, n), its normals (c, k, n), and whether it was found within the chart (c,)."""
    bases, normals = atlas.bases[chart], atlas.normals[chart]
    dimension = bases.shape[1] - normals.shape[1]
    direction = _tangential(normals, random.normal(size=bases.shape))
    radius = atlas.radii[chart] * np.sqrt(random.beta(dimension / 2, 2, len(chart)))
    step = direction * (radius / np.linalg.norm(direction, axis=1))[:, None]
    points, found, converged = _lift(mdf, bases, bases + step.astype(bases.dtype))
    inside = _disc_density(atlas, chart, points, found)[1]
    return points, found, converged & inside


def _tangential(normals, vectors):
    """What of vectors (c, n) is tangent, given orthonormal normals (c, k, n)."""
    return vectors - np.einsum("ckn,ck->cn", normals, np.einsum("ckn,cn->ck", normals, vectors))


def _disc_density(atlas: Atlas, chart, points, normals):
    """The density by volume at points of M of a draw from the given charts (c,), and whether they lie within them (c,).

    On the host or in JAX, as the points are.
    """
    xp = points.__array_namespace__()
    offset = points - atlas.bases[chart]
    height = _dots(atlas.normals[chart], offset[:, None])
    squared = _dots(height, height)
    radii = atlas.radii[chart]
    along = (_dots(offset, offset) - squared) / radii**2
    product = _dots(atlas.normals[chart][:, :, None], normals[:, None])
    slope = xp.abs(product[:, 0, 0] if product.shape[1] == 1 else xp.linalg.det(product))
    inside = (along < 1) & (squared <= (HEIGHT * radii) ** 2) & (slope >= STEEPEST)
    dimension = points.shape[1] - normals.shape[1]
    disc = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
    peak = (dimension + 2) / (2 * disc) / radii**dimension
    return peak * xp.maximum(1 - along, 0) * slope, inside


def _dots(a, b):
    """Inner products over the last axis, which is short: written out they fuse in JAX and copy nothing on the host."""
    return sum(a[..., i] * b[..., i] for i in range(a.shape[-1]))


def pool_source(mdf: MDF, atlas: Atlas, box: Box) -> PoolSource:
    """Fresh pools of {F = 0} in the box, as `draw` makes them."""
    return PoolSource(lambda key, count: draw(key, mdf, atlas, box, count))


def draw_one(key: RandomKey, mdf: MDF, atlas: Atlas) -> tuple[Linearization, Scalar]:
    """One draw as `draw` makes them, inside jit, with log of its density by volume; -inf where it did not lift."""
    chart_key, direction_key, radius_key = jax.random.split(key, 3)
    chart = _chosen(chart_key, jnp.asarray(atlas.probabilities))
    base, normals, radius = atlas.bases[chart], atlas.normals[chart], atlas.radii[chart]
    direction = jax.random.normal(direction_key, base.shape, base.dtype)
    direction -= (normals @ direction) @ normals
    # Four normals more make the squared share Beta(m/2, 2), as the discs' density asks.
    spare = jax.random.normal(radius_key, (4,), base.dtype)
    start = base + radius * direction / jnp.sqrt(jnp.sum(direction**2) + jnp.sum(spare**2))
    found = quasi_newton(mdf, linearize(mdf, base, dense=True), start)
    at = linearize(mdf, found.position, dense=True)
    terms = density_terms(atlas, at)
    return at, jnp.where(found.converged & (terms[chart] > 0), jnp.log(jnp.sum(terms)), -jnp.inf)


def _chosen(key: RandomKey, weights: Float[Array, " b"]) -> Int[Array, ""]:
    """An index with probability proportional to its weight."""
    ends = jnp.cumsum(weights)
    chosen = jnp.searchsorted(ends, jax.random.uniform(key, (), ends.dtype) * ends[-1])
    return jnp.minimum(chosen, len(ends) - 1)


def lifts_back(key: RandomKey, mdf: MDF, atlas: Atlas, at: Linearization) -> tuple[Scalar, Scalar]:
    """Log density at one point of M, inside jit, and how far from it one of its charts lifts its projection.

    The chart is drawn in proportion to its part of the density. -inf and inf where no chart holds the point.
    """
    terms = density_terms(atlas, at)
    chart = _chosen(key, terms)
    base, normals = atlas.bases[chart], atlas.normals[chart]
    offset = at.position - base
    start = base + offset - (normals @ offset) @ normals
    found = quasi_newton(mdf, linearize(mdf, base, dense=True), start)
    distance = jnp.where(found.converged, jnp.linalg.norm(found.position - at.position), jnp.inf)
    return jnp.log(jnp.sum(terms)), jnp.where(terms[chart] > 0, distance, jnp.inf)


def density_terms(atlas: Atlas, at: Linearization) -> Float[Array, " b"]:
    """What each chart contributes to `density_of` at one point of M, inside jit; zero where it does not hold it."""
    normals = lower_solve(jnp.asarray(at.gram_factor), jnp.asarray(at.jacobian))
    size = len(atlas.bases)
    points = jnp.broadcast_to(at.position, (size, *at.position.shape))
    value, within = _disc_density(atlas, slice(None), points, jnp.broadcast_to(normals, (size, *normals.shape)))
    return jnp.where(within, atlas.probabilities * value, 0)


def _overlaps(atlas: Atlas, points):
    """Blocks of (point, chart) indices of all pairs near enough for the chart to hold the point."""
    reach = atlas.radii * math.sqrt(1 + HEIGHT**2)
    tree = KDTree(points)
    counts = tree.query_ball_point(atlas.bases, reach, return_length=True)
    block = np.cumsum(counts) // PAIRS
    for number in np.unique(block):
        charts = np.flatnonzero(block == number)
        found = tree.query_ball_point(atlas.bases[charts], reach[charts])
        if counts[charts].sum():
            yield np.concatenate(found).astype(int), np.repeat(charts, counts[charts])


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


def _lift(mdf, bases, starts):
    """Zeros (c, n) of F along the normals of the bases, orthonormal normals there (c, k, n), and convergence (c,)."""
    size = bases.shape[1]
    joined = np.concatenate([bases, starts], axis=1).astype(jnp.result_type(float))
    return in_blocks(lambda block: _lift_block(mdf, block[:, :size], block[:, size:]), joined, BLOCK)


@jax.jit
def _lift_block(mdf, bases, starts):
    def one(base, start):
        found = quasi_newton(mdf, linearize(mdf, base, dense=True), start)
        at = linearize(mdf, found.position, dense=True)
        # Where the search failed it may have ended anywhere.
        position = jnp.where(found.converged, found.position, base)
        return position, lower_solve(at.gram_factor, at.jacobian), found.converged

    return jax.vmap(one)(bases, starts)


def components(atlas: Atlas) -> Int[np.ndarray, " b"]:
    """For each chart the number of the connected part of M it belongs to, the part with most charts being 0.

    Charts are joined where one holds another's base: in a manifold without charts that cross gaps these are the
    connected components.
    """
    pairs = [np.empty((2, 0), int)]
    for base, chart in _overlaps(atlas, atlas.bases):
        inside = _disc_density(atlas, chart, atlas.bases[base], atlas.normals[base])[1]
        pairs.append(np.stack([base[inside], chart[inside]]))
    size = len(atlas.bases)
    joined = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(joined.shape[1]), tuple(joined)), (size, size))
    _, label = connected_components(links, directed=False)
    order = np.argsort(-np.bincount(label), kind="stable")
    return np.argsort(order)[label]


def part_of(atlas: Atlas, parts: Int[np.ndarray, " b"], points: Float[np.ndarray, "c n"]) -> Int[np.ndarray, " c"]:
    """The part (c,) of M that points on or near it belong to, given each chart's (b,): that of the nearest base."""
    return parts[KDTree(atlas.bases).query(points)[1]]
