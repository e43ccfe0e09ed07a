"""Holes between the points of a ridge: edges where they are abrupt; filled, by letting reach rise, where by chance."""

import warnings
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._loops import over_points
from .._random import derived_keys, host_generator
from .._types import Array, Float, RandomKey
from ..box import Box
from ..certificate.orientation import has_edge
from ..manifold.ridge import Ridge
from ..volumes.cover import cover
from ..volumes.emptiness import holes, places_in
from ..volumes.manifold import Manifold
from .anchors import projected
from .neighbourhoods import neighbourhoods
from .ridge import RidgeFit, field_norm, trained

LARGEST, STEP = 0.25, 1.4
"""‖F‖ in holes up to which they are filled, at stray ridges it is .6 and more; and from one reach to the next."""
TRIALS, FEW = 8192, 0.001
CUTS, PLACES = 3, 256
"""How often a field is trained on, and how many places in holes teach it."""


def filled(key: RandomKey, ridge: Ridge, points: Float[Array, "N n"], box: Box, neighbours: int) -> Ridge:
    """With a reach at which M has no edge, where the holes that points (N, n) leave may be by chance; else as it was.

    For points that end nowhere. Where ‖F‖ just around them keeps within reach, but for a few places, there is no hole.
    `neighbours` as in `RidgeConfig`.
    """
    host = np.asarray(points)
    projectors, near, _ = neighbourhoods(host.astype(np.float64), ridge.codimension, neighbours)
    around = _around(key, ridge, host, projectors, near, box)
    reach = float(np.quantile(np.append(around, 0.0), 1 - FEW))
    if not ridge.reach < reach <= LARGEST:
        return ridge
    found, usable = projected(ridge, points, box)
    while reach < LARGEST:
        wider = replace(ridge, reach=jnp.asarray(reach, points.dtype))
        try:
            manifold = cover(key, Manifold(wider, box, found[usable]))
        except (ArithmeticError, ValueError):
            return ridge
        if not has_edge(manifold):
            return wider if holes(key, manifold, host).chance.all() else ridge
        reach *= STEP
    return ridge


def cut(key: RandomKey, fit: RidgeFit, test: Float[Array, "test n"], **options: Any) -> RidgeFit:
    """A fit, trained on where M goes on over holes too abrupt for chance and any fading density, while it does.

    Holes are of all points, those that were held out (test, n) among them. `options` as of `fit_ridge`.
    """
    for number, cut_key in enumerate(derived_keys(key, CUTS)):
        objective = fit.objective
        manifold = Manifold(fit.ridge, objective.box)
        empty = holes(cut_key, manifold, np.concatenate([objective.data, test]))
        if not empty.abrupt.any():
            break
        places = places_in(cut_key, manifold, empty, empty.abrupt, PLACES)
        starts, steps = objective.edges
        edges = jnp.concatenate([starts, places]), jnp.concatenate([steps, 0 * places])
        objective = replace(objective, edges=edges)
        ridge, history = trained(f"cut {number}", cut_key, fit.ridge.field, objective, options)
        fit = RidgeFit(ridge, history, fit.dimension, objective)
    return fit


def warn_of_holes(key: RandomKey, manifold: Manifold, points: Float[np.ndarray | Array, "N n"]) -> None:
    """Warn where M goes on over a place without points (N, n) that is no hole by chance."""
    empty = holes(key, manifold, points)
    if not empty.chance.all():
        widest = empty.expected.argmax()
        warnings.warn(
            f"the manifold goes on over a place without points, {empty.radii[widest]:.2g} standard deviations in "
            f"radius, where about {empty.expected[widest]:.0f} should lie by what is around it: it may have an edge "
            "there",
            stacklevel=3,
        )


def _around(key: RandomKey, ridge: Ridge, points, projectors, near, box: Box) -> Float[np.ndarray, " c"]:
    """‖F‖ on the endless ridge around points, as far as their neighbours reach."""
    random = host_generator(key)
    row = np.tile(np.arange(len(points)), max(TRIALS // len(points), 1))
    away = np.linalg.norm(points[near] - points[:, None], axis=2).max(axis=1)[row]
    step = random.normal(size=points[row].shape)
    step -= np.einsum("bij,bj->bi", projectors[row], step)
    step *= (random.uniform(size=len(row)) * away / np.linalg.norm(step, axis=1))[:, None]
    endless = replace(ridge, reach=jnp.asarray(jnp.inf, points.dtype))
    found, usable = projected(endless, (points[row] + step).astype(points.dtype), box)
    return np.asarray(over_points(field_norm, ridge.field, found[usable]))
