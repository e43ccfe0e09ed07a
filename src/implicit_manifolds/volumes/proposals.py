"""Draws of an atlas inside jit, with their densities: what jumps propose."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import MDF, Array, Float, Int, RandomKey, Scalar, Vector
from ..manifold.multipliers import quasi_newton
from ..manifold.tangent import Linearization, linearize, normals_of
from .atlas import disc_density
from .manifold import Atlas


class Draw(NamedTuple):
    """A point of M, F to first order there, with log of the density by volume of its draw, -inf where it did not lift.

    distance: how far from it its own chart lifts its projection; inf where that does not converge.
    """

    linearization: Linearization
    log_density: Scalar
    distance: Scalar


def draw_one(key: RandomKey, mdf: MDF, atlas: Atlas) -> Draw:
    """One draw as `draw_pool` makes them, inside jit."""
    chart_key, direction_key, radius_key = jax.random.split(key, 3)
    chart = _chosen(chart_key, jnp.asarray(atlas.probabilities))
    base = linearize(mdf, jnp.asarray(atlas.bases)[chart], dense=True)
    direction = jax.random.normal(direction_key, base.position.shape, base.position.dtype)
    direction = _tangential(base, direction)
    # Four normals more make the squared share Beta(m/2, 2), as the discs' density asks.
    spare = jax.random.normal(radius_key, (4,), base.position.dtype)
    step = atlas.radii[chart] * direction / jnp.sqrt(jnp.sum(direction**2) + jnp.sum(spare**2))
    found = quasi_newton(mdf, base, base.position + step)
    at = linearize(mdf, found.position, dense=True)
    terms = density_terms(atlas, at)
    lifted = found.converged & (terms[chart] > 0)
    return Draw(at, jnp.where(lifted, jnp.log(jnp.sum(terms)), -jnp.inf), _return_distance(mdf, base, at.position))


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
    base = linearize(mdf, jnp.asarray(atlas.bases)[chart], dense=True)
    distance = _return_distance(mdf, base, at.position)
    return jnp.log(jnp.sum(terms)), jnp.where(terms[chart] > 0, distance, jnp.inf)


def _return_distance(mdf: MDF, base: Linearization, position: Vector) -> Scalar:
    """How far from a point of M the chart at `base` lifts its projection onto the tangent disc."""
    found = quasi_newton(mdf, base, base.position + _tangential(base, position - base.position))
    return jnp.where(found.converged, jnp.linalg.norm(found.position - position), jnp.inf)


def _tangential(base: Linearization, vector: Vector) -> Vector:
    """What of a vector is tangent at `base`.

    By normals from F there, in the precision of the chains: those of an atlas may be coarser, and a projection by other
    normals than the lift's comes back elsewhere.
    """
    normals = normals_of(base)
    return vector - (normals @ vector) @ normals


def density_terms(atlas: Atlas, at: Linearization) -> Float[Array, " b"]:
    """What each chart contributes to `density_of` at one point of M, inside jit; zero where it does not hold it."""
    normals = normals_of(at)
    size = len(atlas.bases)
    points = jnp.broadcast_to(at.position, (size, *at.position.shape))
    value, within = disc_density(atlas, None, points, jnp.broadcast_to(normals, (size, *normals.shape)))
    return jnp.where(within, atlas.probabilities * value, 0)
