"""Draws of an atlas inside jit, with their densities: what jumps propose."""

import jax
import jax.numpy as jnp

from .._types import MDF, Array, Float, Int, RandomKey, Scalar
from ..manifold.multipliers import quasi_newton
from ..manifold.tangent import Linearization, linearize, lower_solve
from .atlas import Atlas, disc_density


def draw_one(key: RandomKey, mdf: MDF, atlas: Atlas) -> tuple[Linearization, Scalar]:
    """One draw as `draw_pool` makes them, inside jit, with log of its density by volume; -inf where it did not lift."""
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
    value, within = disc_density(atlas, slice(None), points, jnp.broadcast_to(normals, (size, *normals.shape)))
    return jnp.where(within, atlas.probabilities * value, 0)
