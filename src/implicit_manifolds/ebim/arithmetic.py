"""Arithmetic of fitted models: moved in space, and intersected with each other (Ross et al. 2023, §3.1)."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._random import derived_keys, host_generator
from .._types import Array, Energy, RandomKey, Scalar, Vector
from ..box import Box, uniform_in_box
from ..errors import InputError
from ..manifold.algebra import Affine, intersection, pull_back
from ..manifold.stretching import log_stretch
from ..pieces import Pieces
from ..points import check_points
from ..volumes.atlas import pool_source
from ..volumes.cover import cover
from ..volumes.importance import log_normalizer
from ..volumes.manifold import Manifold
from ..volumes.projected import projected
from .model import EBIM
from .survey import has_pools

STARTS = 1000
"""Points of the box projected to where manifolds meet, so that parts without anchors near them are found as well."""


def translate(model: EBIM, offset) -> EBIM:
    """The model moved by `offset` (n,), in data units: manifold, density and charts as one. Raises InputError.

    Arguments:
        model: a fitted model.
        offset: (n,) in data units.

    Returns:
        The moved `EBIM`.

    >>> moved = im.translate(model, [5.0, 0.0])
    >>> np.abs(im.sample(jax.random.key(0), moved, 500).points.mean(axis=0)).round(0).tolist()
    [5.0, 0.0]
    """
    offset = check_points(np.reshape(offset, (1, -1)), dimension=model.manifold.ambient_dimension)[0]
    return replace(model, scaling=model.scaling.moved(offset))


def intersect(key: RandomKey, first: EBIM, second: EBIM) -> EBIM:
    """Where the manifolds of two models meet, with the product of their densities: energies add.

    Densities are by volume in data units. In the units of the first, its constraints those of both. Normalised where
    points of known volume can be had; else samples are ends of chains. Raises ArithmeticError where the manifolds do
    not meet within both boxes.

    Arguments:
        key: a JAX random key, for the search for common points and the normaliser.
        first: a model.
        second: another of the same space.

    Returns:
        The `EBIM` of the common points, with the constraints of both.

    >>> above = im.translate(ball, [0.0, 0.0, 1.0])
    >>> meeting = im.intersect(jax.random.key(0), ball, above)  # two unit spheres
    >>> points = im.sample(jax.random.key(1), meeting, 20).points
    >>> bool(np.allclose(np.hypot(points[:, 0], points[:, 1]), np.sqrt(0.75), atol=1e-4))
    True
    """
    if isinstance(first.scaling, Pieces) or isinstance(second.scaling, Pieces):
        raise InputError("a model with parts in units of their own cannot be intersected with another")
    anchor_key, cover_key, normalizer_key = derived_keys(key, 3)
    mine, (theirs, their_energy) = first.manifold, _in_units_of(first, second)
    mdf = intersection(mine.mdf, theirs.mdf)
    box = Box(jnp.maximum(mine.box.low, theirs.box.low), jnp.minimum(mine.box.high, theirs.box.high))
    anywhere = uniform_in_box(host_generator(anchor_key), box.on_host(), STARTS)
    near = [np.asarray(part.anchors) for part in (mine, theirs) if part.anchors is not None]
    found, usable = projected(mdf, np.concatenate([*near, anywhere]), box)
    if not usable.any():
        raise ArithmeticError("the manifolds do not meet within the boxes of both models")
    meeting = Manifold(mdf, box, jnp.asarray(found[usable]))
    own = (Partial(_minus_stretch, mdf, _factors(first)),) if first.scaling.by_column else ()
    energy = Partial(_summed, (_by_data_volume(first), their_energy, *own))
    if not has_pools(meeting.ambient_dimension, meeting.codimension):
        return replace(first, manifold=meeting, energy=energy, log_normalizer=None)
    meeting = cover(cover_key, meeting)
    normalizer = log_normalizer(normalizer_key, pool_source(meeting), energy)
    return replace(first, manifold=meeting, energy=energy, log_normalizer=normalizer)


def _in_units_of(first: EBIM, second: EBIM) -> tuple[Manifold, Partial]:
    """The second model's manifold, without charts, and energy as functions of the first's standardised points."""
    other = np.asarray(second.scaling.scale, np.float64)
    scale = np.asarray(first.scaling.scale, np.float64) / other
    apart = np.asarray(first.scaling.shift, np.float64) - np.asarray(second.scaling.shift, np.float64)
    known, dtype = second.manifold, jnp.asarray(second.manifold.box.low).dtype
    there = Affine(jnp.asarray(scale, dtype), jnp.asarray(apart / other, dtype))
    back = jax.vmap(lambda x: (x - there.shift) / there.scale)
    box, anchors = Box(*back(jnp.stack(known.box))), None if known.anchors is None else back(jnp.asarray(known.anchors))
    return Manifold(pull_back(known.mdf, there), box, anchors), Partial(_composed, _by_data_volume(second), there)


def _by_data_volume(model: EBIM) -> Energy:
    """-log of the density by volume in data units, but for a constant, at a standardised point of M."""
    if not model.scaling.by_column:
        return model.energy
    return Partial(_with_stretch, model.energy, model.manifold.mdf, _factors(model))


def _factors(model: EBIM) -> Array:
    return jnp.asarray(model.scaling.scale, jnp.asarray(model.manifold.box.low).dtype)


def _with_stretch(energy, mdf, factors, x: Vector) -> Scalar:
    return energy(x) + log_stretch(mdf, factors, x)


def _minus_stretch(mdf, factors, x: Vector) -> Scalar:
    return -log_stretch(mdf, factors, x)


def _composed(outer, inner, x: Vector) -> Scalar:
    return outer(inner(x))


def _summed(energies, x: Vector) -> Scalar:
    return sum(energy(x) for energy in energies)
