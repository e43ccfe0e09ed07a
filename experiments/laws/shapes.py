"""Eight closed manifolds with uniform laws: what the topology benchmark fits, and the Betti numbers it should find."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.spatial import KDTree

from experiments.common.problem import Law, Problem, fresh_data
from implicit_manifolds import Box, FitConfig, Manifold
from implicit_manifolds.manifold.nearest import nearest_point
from implicit_manifolds.volumes.lines import uniform_pool
from implicit_manifolds.volumes.pools import volume

RADIUS, TUBE = 2.0, 1.0
"""Of the torus, and of the one that the trefoil winds around."""
OFFSET = 1.8
POOL = 400_000
Distance = Callable[[np.ndarray], np.ndarray]


class Shape(NamedTuple):
    """draw(random, count) uniform points (count, n); distance, (N, n) to (N,); volume; betti; codimension k."""

    draw: Callable[[np.random.Generator, int], np.ndarray]
    distance: Distance
    volume: float
    betti: tuple[int, ...]
    codimension: int


def problem(name: str, seed: int) -> Problem:
    """1,000 uniform points of a shape to train on, as many to test."""
    shape = SHAPES[name]()
    law = Law(shape.draw, lambda points: np.full(len(points), -np.log(shape.volume)))
    return Problem(
        name,
        distance=shape.distance,
        original=None,
        presets={"default": FitConfig(manifold="zero-set")},
        draw=None,
        codimension=shape.codimension,
        volume=shape.volume,
        betti=shape.betti,
        **fresh_data(law, seed, 1000),
    )


def circles(centres, axes) -> Shape:
    """Disjoint unit circles about centres (c, n), each in the plane of two unit vectors, axes (c, 2, n)."""
    centres, axes = np.asarray(centres, float), np.asarray(axes, float)

    def draw(random, count):
        which, angle = random.integers(0, len(centres), count), random.uniform(-np.pi, np.pi, count)
        turn = np.column_stack([np.cos(angle), np.sin(angle)])
        return centres[which] + np.einsum("ni,nij->nj", turn, axes[which])

    def distance(points):
        away = points[:, None] - centres
        along = np.einsum("ncj,cij->nci", away, axes)
        height = np.linalg.norm(away - np.einsum("nci,cij->ncj", along, axes), axis=2)
        return np.hypot(height, np.linalg.norm(along, axis=2) - 1).min(axis=1)

    count = len(centres)
    return Shape(draw, distance, 2 * np.pi * count, (count, count), centres.shape[1] - 1)


def sphere() -> Shape:
    """The unit sphere in space."""

    def draw(random, count):
        normal = random.normal(size=(count, 3))
        return normal / np.linalg.norm(normal, axis=1, keepdims=True)

    return Shape(draw, lambda points: np.abs(np.linalg.norm(points, axis=1) - 1), 4 * np.pi, (1, 0, 1), 1)


def torus() -> Shape:
    """A torus in space: tube angles are thinned to the area's density."""

    def draw(random, count):
        tube = random.uniform(-np.pi, np.pi, 4 * count + 100)
        tube = tube[random.uniform(0, RADIUS + TUBE, len(tube)) < RADIUS + TUBE * np.cos(tube)][:count]
        return torus_points(random.uniform(-np.pi, np.pi, count), tube)

    def distance(points):
        ring = np.hypot(points[:, 0], points[:, 1]) - RADIUS
        return np.abs(np.hypot(ring, points[:, 2]) - TUBE)

    return Shape(draw, distance, 4 * np.pi**2 * RADIUS * TUBE, (1, 2, 1), 1)


def torus_points(ring, tube):
    """Points (N, 3) of the torus by the angles (N,) about its axis and around its tube."""
    wide = RADIUS + TUBE * np.cos(tube)
    return np.column_stack([wide * np.cos(ring), wide * np.sin(ring), TUBE * np.sin(tube)])


def clifford_torus() -> Shape:
    """The product of two unit circles in R⁴."""

    def draw(random, count):
        first, second = random.uniform(-np.pi, np.pi, (2, count))
        return np.column_stack([np.cos(first), np.sin(first), np.cos(second), np.sin(second)])

    def distance(points):
        first, second = np.linalg.norm(points.reshape(-1, 2, 2), axis=2).T - 1
        return np.hypot(first, second)

    return Shape(draw, distance, 4 * np.pi**2, (1, 2, 1), 2)


def trefoil() -> Shape:
    """The knot that winds twice around the torus's axis and thrice around its tube, by its length."""
    angle = np.linspace(0, 2 * np.pi, 200_001)
    curve = torus_points(2 * angle, 3 * angle)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    tree = KDTree(curve)

    def draw(random, count):
        at = np.interp(random.uniform(0, length[-1], count), length, angle)
        return torus_points(2 * at, 3 * at)

    return Shape(draw, lambda points: tree.query(points)[0], float(length[-1]), (1, 1), 2)


@lru_cache
def genus_two() -> Shape:
    """Two tori joined where they meet; its points are resampled from a pool of random lines."""
    mdf, box = Partial(_double_torus), Box(jnp.asarray([-2.6, -1.6, -0.6]), jnp.asarray([2.6, 1.6, 0.6]))
    pool = uniform_pool(jax.random.key(0), Manifold(mdf, box), POOL)
    tree = KDTree(pool.points)

    def draw(random, count):
        share = pool.weights / pool.weights.sum()
        return np.asarray(pool.points[random.choice(len(share), count, replace=False, p=share)], float)

    def distance(points):
        starts = pool.points[tree.query(points)[1]]
        return np.asarray(_nearest(mdf, jnp.asarray(points, float), jnp.asarray(starts)))

    return Shape(draw, distance, volume(pool).value, (1, 4, 1), 1)


def _double_torus(x):
    """A smooth minimum of the distances from tubes of radius 0.4 about two unit circles that touch."""
    ring = jnp.hypot(x[0] + jnp.asarray([-1.0, 1.0]), x[1]) - 1
    return -jax.nn.logsumexp(-8 * (jnp.hypot(ring, x[2]) - 0.4), keepdims=True) / 8


@jax.jit
def _nearest(mdf, points, starts):
    return jax.vmap(lambda x, start: nearest_point(mdf, x, start).distance)(points, starts)


PLANE, SPACE = np.eye(2), np.eye(3)
SHAPES: dict[str, Callable[[], Shape]] = {
    "circle": partial(circles, [[0, 0]], [PLANE]),
    "two_circles": partial(circles, [[-OFFSET, 0], [OFFSET, 0]], [PLANE, PLANE]),
    "sphere": sphere,
    "torus": torus,
    "genus_two": genus_two,
    "trefoil": trefoil,
    "hopf_link": partial(circles, [[0, 0, 0], [1, 0, 0]], [SPACE[[0, 1]], SPACE[[0, 2]]]),
    "clifford_torus": clifford_torus,
}
