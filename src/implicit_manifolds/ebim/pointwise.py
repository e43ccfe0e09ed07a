"""What a model says of one point of standardised units, inside jit: beneath the public functions and the verbs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Bool, Scalar, Vector
from ..manifold.nearest import nearest_point
from ..manifold.projection import project, sampson_distance, within_domain
from ..manifold.stretching import log_stretch, stretched
from ..manifold.tangent import linearize
from ..mcmc.constrained_langevin import ConstrainedLangevin
from .model import EBIM


class Scored(NamedTuple):
    """log_density and energy at the nearest point of M, NaN where none was found; the distance to it, and whether."""

    log_density: Scalar
    energy: Scalar
    distance: Scalar
    converged: Bool[Array, ""]


def chain_sampler(model: EBIM) -> ConstrainedLangevin:
    """The constrained Langevin chains of a model, kept inside its box, on standardised points."""
    manifold = model.manifold
    return ConstrainedLangevin(manifold.mdf, model.energy, *model.chains, box=manifold.box)


def nearest_standard(model: EBIM, z: Vector) -> tuple[Vector, Scalar, Bool[Array, ""], Scalar]:
    """The point of M nearest to z as data units have it, both standardised; its distance in data units; whether, and
    the `curvature` of `manifold.NearestPoint`.
    """
    mdf, units = model.manifold.mdf, model.scaling.units_at(z)
    if model.scaling.by_column:
        # From a zero found where all columns count the same.
        start = project(mdf, jax.lax.stop_gradient(z)).position
        stretches = units / _length(units)
        found = nearest_point(stretched(mdf, stretches), stretches * z, stretches * start)
        found = found._replace(position=found.position / stretches)
    else:
        found = nearest_point(mdf, z)
    # {F = 0} goes on outside the box, where it is not M.
    converged = found.converged & model.manifold.box.contains(found.position)
    distance = found.distance * _length(model.scaling.units_at(found.position))
    return found.position, distance, converged, found.curvature


def scored(model: EBIM, z: Vector) -> Scored:
    """What `log_density` and `energy` tell, of a standardised point."""
    position, distance, converged, _ = nearest_standard(model, z)
    value = jnp.where(converged, model.energy(position), jnp.nan)
    log_z = jnp.nan if model.log_normalizer is None else model.log_normalizer.value
    return Scored(-value - log_z - log_volume_unit(model, position), value, distance, converged)


def log_volume_unit(model: EBIM, z: Vector) -> Scalar:
    """Log of the m-volume of M in data units over that in standardised ones, at a standardised point of it."""
    units = model.scaling.units_at(z)
    uniform = model.manifold.dimension * jnp.log(_length(units))
    if not model.scaling.by_column:
        return uniform
    return uniform + log_stretch(model.manifold.mdf, units / _length(units), z)


def first_order_distance(model: EBIM, z: Vector) -> Scalar:
    """`sampson_distance` of a standardised point, in data units."""
    mdf, units = model.manifold.mdf, model.scaling.units_at(z)
    length = _length(units)
    if not model.scaling.by_column:
        return length * sampson_distance(mdf, z)
    return length * sampson_distance(stretched(mdf, units / length), units / length * z)


def is_on(model: EBIM, z: Vector, tolerance: float) -> Bool[Array, ""]:
    """Whether a standardised point is in M, to first order and within a tolerance."""
    at = linearize(model.manifold.mdf, z)
    near = sampson_distance(model.manifold.mdf, z) <= tolerance
    return within_domain(at, near) & model.manifold.box.contains(z)


def _length(units: Vector) -> Scalar:
    """What a length of one is in the units of the data."""
    return jnp.sqrt(jnp.mean(units**2))
