"""Holes between sparse points of a ridge that ends nowhere: filled by letting its reach rise."""

import warnings
from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from .._loops import over_points
from .._random import host_generator
from .._types import Array, Float, RandomKey
from ..box import Box
from ..certificate.orientation import has_edge
from ..manifold.ridge import Ridge
from ..volumes.atlas import draw_pool
from ..volumes.cover import cover
from ..volumes.manifold import Manifold
from .anchors import projected
from .neighbourhoods import local_projectors, outward_steps
from .ridge import field_norm

LARGEST, STEP = 0.25, 1.4
"""‖F‖ in holes up to which they are filled, at stray ridges it is .6 and more; and from one reach to the next."""
LOOKS, FEW = 8192, 0.001
AROUND, ERROR = 2.0, 0.001
"""Radius of the ball that tells how many points a hole should hold, in the hole's; and the share of point sets without
holes in which one is seen."""


def filled(key: RandomKey, ridge: Ridge, points: Float[Array, "N n"], box: Box, neighbours: int) -> Ridge:
    """With a reach at which M has no edge, where the points (N, n) themselves have none; else as it was.

    What is empty between points that end nowhere is a hole by chance, unless that is too unlikely. Where ‖F‖ just
    around the points keeps within reach, but for a few places, there is none. `neighbours` as in `RidgeConfig`.
    """
    host = np.asarray(points)
    projectors, near = local_projectors(host.astype(np.float64), ridge.codimension, neighbours)
    if len(outward_steps(host.astype(np.float64), projectors, near)[0]):
        return ridge
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
            return wider if widest_hole(key, manifold, host).by_chance else ridge
        reach *= STEP
    return ridge


class Hole(NamedTuple):
    """Radius of a ball around a point of M that holds no datum, how many it should hold, and whether that is chance."""

    radius: float
    expected: float
    by_chance: bool


def widest_hole(key: RandomKey, manifold: Manifold, points: Float[np.ndarray | Array, "N n"]) -> Hole:
    """The place of a manifold with charts that is emptiest of points (N, n), by how many lie just around it.

    Of i points scattered evenly over a ball `AROUND` times as wide none is in the hole with probability
    exp(-i s), s = -log(1 - `AROUND`^-m). Of all balls that N points leave empty, the largest i s is about
    log N + m log log N (Janson 1986).
    """
    tree, dimension = KDTree(points), manifold.dimension
    at = draw_pool(key, manifold, LOOKS).points
    away = tree.query(at)[0]
    around = tree.query_ball_point(at, AROUND * away, return_length=True)
    usual = np.log(len(points)) + dimension * np.log(np.log(len(points)))
    emptiest = around.argmax()
    surprise = -around[emptiest] * np.log1p(-(AROUND**-dimension))
    expected = around[emptiest] / (AROUND**dimension - 1)
    return Hole(float(away[emptiest]), float(expected), bool(surprise <= usual - np.log(ERROR)))


def warn_of_holes(key: RandomKey, manifold: Manifold, points: Float[np.ndarray | Array, "N n"]) -> None:
    """Warn where M, which has charts, goes on over a place without points (N, n) that is no hole by chance."""
    hole = widest_hole(key, manifold, points)
    if not hole.by_chance:
        warnings.warn(
            f"the manifold goes on over a place without points, {hole.radius:.2g} standard deviations in radius, where "
            f"about {hole.expected:.0f} should lie by what is around it: it may have an edge there",
            stacklevel=3,
        )


def _around(key: RandomKey, ridge: Ridge, points, projectors, near, box: Box) -> Float[np.ndarray, " c"]:
    """‖F‖ on the endless ridge around points, as far as their neighbours reach."""
    random = host_generator(key)
    row = np.tile(np.arange(len(points)), max(LOOKS // len(points), 1))
    away = np.linalg.norm(points[near] - points[:, None], axis=2).max(axis=1)[row]
    step = random.normal(size=points[row].shape)
    step -= np.einsum("bij,bj->bi", projectors[row], step)
    step *= (random.uniform(size=len(row)) * away / np.linalg.norm(step, axis=1))[:, None]
    endless = replace(ridge, reach=jnp.asarray(jnp.inf, points.dtype))
    found, usable = projected(endless, (points[row] + step).astype(points.dtype), box)
    return np.asarray(over_points(field_norm, ridge.field, found[usable]))
