"""What a model says of one point, and draws from it: pure functions, for anybody's `jit`, `vmap`, `grad` and `scan`.

The model is an argument, a pytree; a point is (n,), in data units. `vmap` maps over points, over models stacked leaf by
leaf (`ensemble.stack`), or both.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Bool, Float, RandomKey, Residual, Scalar, Vector
from ..choices import check_choice
from ..manifold.projection import within_domain
from ..manifold.tangent import linearize, normals_of
from ..manifold.triangular import orthonormal_complement
from ..mcmc.chains import advance
from ..volumes.atlas import charts_of
from ..volumes.proposals import draw_one
from ..volumes.resampling import kept_once
from .model import EBIM
from .pointwise import Scored, chain_sampler, nearest_standard, scored, view

Method = Literal["importance", "chains"]
CANDIDATES, FEWEST_CANDIDATES = 8, 4096
"""Candidates for each point that `sample` keeps, and the fewest of all."""
TERMS = 2**23
"""Pairs of a candidate and a chart that are looked at together."""


class Nearest(NamedTuple):
    """point (n,) of M nearest to another, distance between the two, both in data units, and whether it was found.

    curvature: 1 on M, 0 where the nearest point is about to be another (`manifold.NearestPoint`); the point moves at
    most 1/curvature times as far as what it is nearest to.
    """

    point: Vector
    distance: Scalar
    converged: Bool[Array, ""]
    curvature: Scalar


class Draw(NamedTuple):
    """A point (n,) of M in data units and the log of its weight; -inf for a draw that led to no point of M."""

    point: Vector
    log_weight: Scalar


class Sample(NamedTuple):
    """points (count, n) in data units; effective_size of the candidates they were kept from, None for chains."""

    points: Float[Array, "count n"]
    effective_size: Scalar | None


def residual(model: EBIM, x: Vector) -> Residual:
    """F at a point: zero on M (Ross et al. 2023, §3.1).

    Arguments:
        model: a fitted model.
        x: (n,), in data units.

    Returns:
        (k,), in the units that F was learned in; of a ridge (n,), of rank k.

    >>> bool(abs(im.functional.residual(model, jnp.array([0.0, 1.0]))[0]) < 1e-6)
    True
    """
    return model.manifold.mdf(model.scaling.standard_point(x))


def tangent_basis(model: EBIM, x: Vector) -> Float[Array, "m n"]:
    """An orthonormal basis of the tangent space of M at a point of it (Ross et al. 2023, eq. 11).

    Off M it is that of the level set of F through the point; not finite where J loses rank.

    Arguments:
        model: a fitted model.
        x: (n,), in data units.

    Returns:
        (m, n), rows of unit length in data units.

    >>> im.functional.tangent_basis(model, jnp.array([0.0, 1.0])).round(3).tolist()
    [[-1.0, 0.0]]
    """
    z = model.scaling.standard_point(x)
    normals = normals_of(linearize(model.manifold.mdf, z, dense=True))
    return orthonormal_complement(normals / model.scaling.units_at(z)[None])


def nearest_point(model: EBIM, x: Vector) -> Nearest:
    """The point of M nearest to another, a local minimiser; differentiable in both (`manifold.nearest_point`).

    Arguments:
        model: a fitted model.
        x: (n,), anywhere, in data units.

    Returns:
        `Nearest`: the point (n,), the distance, whether it was found, and how near to a centre of curvature it is.

    >>> float(im.functional.nearest_point(model, jnp.array([0.0, 3.0])).distance.round(3))
    2.0
    """
    position, distance, converged, curvature = nearest_standard(model, view(model, x))
    return Nearest(model.scaling.data_point(position), distance, converged, curvature)


def energy(model: EBIM, x: Vector) -> Scalar:
    """E at the nearest point of M: -log p but for a constant, by volume in standardised units (Ross et al. 2023, §3.2).

    Arguments:
        model: a fitted model.
        x: (n,), on M or near it, in data units.

    Returns:
        A scalar, NaN where no nearest point was found.

    >>> float(im.functional.energy(model, jnp.array([0.0, 1.0])))
    0.0
    """
    return scored(model, view(model, x)).energy


def score(model: EBIM, x: Vector) -> Scored:
    """`log_density` and `energy` at the nearest point of M, and how far that is, from one search.

    Arguments:
        model: a fitted model.
        x: (n,), anywhere, in data units.

    Returns:
        `Scored`: log p and E, NaN where no nearest point was found; the distance to it, and whether it was found.

    >>> scored = im.functional.score(model, jnp.array([0.0, 3.0]))
    >>> bool(abs(scored.log_density + jnp.log(2 * jnp.pi)) < 0.02), float(scored.distance.round(3))
    (True, 2.0)
    """
    return scored(model, view(model, x))


def log_density(model: EBIM, x: Vector) -> Scalar:
    """Log p at the nearest point of M, by volume of M, in nats per data unit to the power m.

    It says nothing of how far a point is from M: `score` tells both.

    Arguments:
        model: a fitted model.
        x: (n,), on M or near it, in data units.

    Returns:
        A scalar, NaN where no nearest point was found and where the model has no normaliser.

    >>> found = jax.jit(im.functional.log_density)(model, jnp.array([0.0, 1.0]))
    >>> bool(abs(found + jnp.log(2 * jnp.pi)) < 0.02)
    True
    """
    return scored(model, view(model, x)).log_density


def draw(key: RandomKey, model: EBIM) -> Draw:
    """One draw from the charts of M, and its weight: Σ w f(x) / Σ w estimates the mean of f under the model's density.

    Weights are p over the density of draws, so that their mean is one; without a normaliser it is Z.

    Arguments:
        key: a JAX random key.
        model: a fitted model with charts.

    Returns:
        `Draw`: a point (n,) and the log of its weight.

    Raises:
        ValueError: the model has no charts.

    >>> draw_many = jax.jit(jax.vmap(im.functional.draw, (0, None)))
    >>> drawn = draw_many(jax.random.split(jax.random.key(0), 4096), model)
    >>> bool(abs(jnp.mean(jnp.exp(drawn.log_weight)) - 1) < 0.05)
    True
    """
    z, log_weight = _draw_standard(key, model)
    return Draw(model.scaling.data_point(z), log_weight)


def sample(key: RandomKey, model: EBIM, count: int, *, method: Method | None = None, num_steps: int = 300) -> Sample:
    """`count` points of the model's density inside jit; count, method and num_steps are static.

    "importance" keeps some of 8 · count draws, no fewer than 4,096, each once and in proportion to its weight where
    that is possible: look at `effective_size`, which should be several times `count`; more are not drawn, as
    `implicit_manifolds.sample` does on the host. "chains" are ends of constrained Langevin chains from anchors.

    Arguments:
        key: a JAX random key.
        model: a fitted model.
        count: how many points.
        method: "importance" or "chains"; importance where the model has a normaliser, unless given.
        num_steps: of each chain.

    Returns:
        `Sample`: points (count, n), and the effective size of the draws that they were kept from.

    Raises:
        ValueError: importance was asked of a model without charts.

    >>> draw_many = jax.jit(im.functional.sample, static_argnames="count")
    >>> draw_many(jax.random.key(0), model, count=100).points.shape
    (100, 2)
    """
    if method is None:
        method = "chains" if model.log_normalizer is None else "importance"
    check_choice("method", method, Method)
    if method == "chains":
        standard, effective_size = _chain_ends(key, model, count, num_steps), None
    else:
        standard, effective_size = _resampled(key, model, count)
    return Sample(jax.vmap(model.scaling.data_point)(standard), effective_size)


def _draw_standard(key: RandomKey, model: EBIM) -> tuple[Vector, Scalar]:
    dtype = jnp.asarray(model.manifold.box.low).dtype
    atlas = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), charts_of(model.manifold))
    drawn = draw_one(key, model.manifold.mdf, atlas)
    at = drawn.linearization
    lifted = jnp.isfinite(drawn.log_density) & model.manifold.box.contains(at.position)
    z = jnp.where(lifted, at.position, atlas.bases[0])
    log_z = 0.0 if model.log_normalizer is None else model.log_normalizer.value
    log_weight = -model.energy(z) - log_z - drawn.log_density
    usable = within_domain(at, lifted) & (log_weight < jnp.inf)  # an energy that is no number gives no mass
    return z, jnp.where(usable, log_weight, -jnp.inf)


def _resampled(key: RandomKey, model: EBIM, count: int) -> tuple[Float[Array, "count n"], Scalar]:
    draw_key, keep_key = jax.random.split(key)
    size = max(CANDIDATES * count, FEWEST_CANDIDATES)
    block = max(min(size, TERMS // len(charts_of(model.manifold).bases)), 1)
    keys = jax.random.split(draw_key, size)
    points, log_weights = jax.lax.map(lambda one: _draw_standard(one, model), keys, batch_size=block)
    weights = jnp.exp(log_weights - jnp.max(log_weights))
    return points[kept_once(keep_key, weights, count)], jnp.sum(weights) ** 2 / jnp.sum(weights**2)


def _chain_ends(key: RandomKey, model: EBIM, count: int, num_steps: int) -> Float[Array, "count n"]:
    if model.manifold.anchors is None:
        raise ValueError("the model has no anchors for chains to start from")
    order_key, chain_key = jax.random.split(key)
    anchors = jnp.asarray(model.manifold.anchors)
    order = jax.random.permutation(order_key, len(anchors))
    sampler = chain_sampler(model)
    states = jax.vmap(sampler.init)(anchors[order[jnp.arange(count) % len(anchors)]])
    return advance(chain_key, sampler, states, num_steps)[0].position
