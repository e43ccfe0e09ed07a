"""What a model says of one point of standardised units, inside jit: beneath the public functions and the verbs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Bool, Float, Scalar, Vector
from ..manifold.nearest import nearest_point
from ..manifold.projection import project, sampson_distance, within_domain
from ..manifold.stretching import log_stretch, stretched
from ..manifold.tangent import linearize
from ..mcmc.constrained_langevin import ConstrainedLangevin
from ..pieces import Pieces
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


def view(model: EBIM, x: Vector) -> Float[Array, "*p n"]:
    """One point in data units as `nearest_standard` takes it: standardised, by each part that has units of its own."""
    return model.scaling.view(x) if isinstance(model.scaling, Pieces) else model.scaling.standard_point(x)


def views(model: EBIM, points) -> Float[Array, "N *p n"]:
    """`view` of points (N, n), computed in double."""
    return model.scaling.views(points) if isinstance(model.scaling, Pieces) else model.scaling.standardize(points)


def nearest_standard(model: EBIM, z: Float[Array, "*p n"]) -> tuple[Vector, Scalar, Bool[Array, ""], Scalar]:
    """The point of M nearest to a `view` as data units have it, standardised; its distance in data units; whether, and
    the `curvature` of `manifold.NearestPoint`. Of a standardised point (n,) of a model of parts, within its part.
    """
    if isinstance(model.scaling, Pieces) and z.ndim == 2:
        return _nearest_of_parts(model, model.scaling, z)
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
    if isinstance(model.scaling, Pieces):
        converged &= model.scaling.owner(found.position) == model.scaling.owner(z)
    distance = found.distance * _length(model.scaling.units_at(found.position))
    return found.position, distance, converged, found.curvature


def _nearest_of_parts(
    model: EBIM, parts: Pieces, seen: Float[Array, "p n"]
) -> tuple[Vector, Scalar, Bool[Array, ""], Scalar]:
    """Of parts side by side each is searched as it sees the point, and the nearest in data units is taken.

    Where a part that is not farther than that for certain finds none of its own, none is known to be the nearest.
    """
    mdf = model.manifold.mdf
    low, high, lengths = parts.extents(seen.dtype)

    def within(z, low, high):
        return nearest_point(mdf, z, project(mdf, jax.lax.stop_gradient(jnp.clip(z, low, high))).position)

    found = jax.vmap(within)(seen, low, high)
    own = jax.vmap(parts.owner)(found.position) == jnp.arange(len(seen))
    known = found.converged & own & jax.vmap(model.manifold.box.contains)(found.position)
    distance = found.distance * lengths
    best = jnp.argmin(jnp.where(known, distance, jnp.inf))
    beyond = lengths * jnp.linalg.norm(jnp.maximum(jnp.maximum(low - seen, seen - high), 0), axis=1)
    surely = known[best] & jnp.all(known | (beyond >= distance[best]))
    return found.position[best], distance[best], surely, found.curvature[best]


def scored(model: EBIM, z: Float[Array, "*p n"]) -> Scored:
    """What `log_density` and `energy` tell, of a `view`."""
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
