"""Manifolds that no level set of independent functions need be: without sides, with edges, with many constraints."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from scipy.spatial import KDTree

from experiments.laws.shapes import SHAPES, SPACE, Shape, circles

FINE = 200_001
DENSE = 200_000
RESTARTS, STEPS = 3, 20
SQUARES = (400, 400)


def circle_in_space() -> Shape:
    """A unit circle in a plane of space."""
    return circles([[0, 0, 0]], [SPACE[[0, 1]]])


def path(*curves: np.ndarray) -> Shape:
    """Polygons with so many corners that they are curves, each (c, n), by their lengths; open."""
    lengths = [np.append(0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))) for curve in curves]
    total = sum(length[-1] for length in lengths)
    tree = KDTree(np.concatenate(curves))

    def draw(random, count):
        which = random.choice(len(curves), count, p=[length[-1] / total for length in lengths])
        points = np.empty((count, curves[0].shape[1]))
        for number, (curve, length) in enumerate(zip(curves, lengths, strict=True)):
            mine = which == number
            at = random.uniform(0, length[-1], mine.sum())
            points[mine] = np.column_stack([np.interp(at, length, column) for column in curve.T])
        return points

    parts = len(curves)
    return Shape(draw, lambda points: tree.query(points)[0], float(total), (parts, 0), curves[0].shape[1] - 1)


def spiral() -> Shape:
    """Points (t cos t, t sin t), t from π/2 to 3π."""
    t = np.linspace(0.5 * np.pi, 3 * np.pi, FINE)
    return path(np.column_stack([t * np.cos(t), t * np.sin(t)]))


def half_moons(noise: float = 0.0) -> Shape:
    """Two half circles that reach into each other, with normal noise on their points, if any."""
    t = np.linspace(0, np.pi, FINE)
    clean = path(np.column_stack([np.cos(t), np.sin(t)]), np.column_stack([1 - np.cos(t), 0.5 - np.sin(t)]))

    def draw(random, count):
        points = clean.draw(random, count)
        return points + noise * random.normal(size=points.shape)

    return clean._replace(draw=draw)


def hemisphere() -> Shape:
    """The upper half of the unit sphere."""

    def draw(random, count):
        normal = random.normal(size=(count, 3))
        normal[:, 2] = np.abs(normal[:, 2])
        return normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def distance(points):
        below = np.hypot(np.hypot(points[:, 0], points[:, 1]) - 1, points[:, 2])
        return np.where(points[:, 2] < 0, below, np.abs(np.linalg.norm(points, axis=1) - 1))

    return Shape(draw, distance, 2 * np.pi, (1, 0, 0), 1)


def sphere_in_four() -> Shape:
    """The unit 3-sphere."""

    def draw(random, count):
        normal = random.normal(size=(count, 4))
        return normal / np.linalg.norm(normal, axis=1, keepdims=True)

    return Shape(draw, lambda points: np.abs(np.linalg.norm(points, axis=1) - 1), 2 * np.pi**2, (1, 0, 0), 1)


def rotations() -> Shape:
    """SO(3), the nine entries of its matrices; a rotation by θ is √8 sin(θ/2) away, so the volume is 8π² · √8."""

    def draw(random, count):
        return scipy.stats.special_ortho_group.rvs(3, size=count, random_state=random).reshape(count, 9)

    def distance(points):
        # The nearest rotation, by the polar decomposition with the sign of the determinant put right.
        left, _, right = np.linalg.svd(points.reshape(-1, 3, 3))
        left[:, :, 2] *= np.linalg.det(left @ right)[:, None]
        return np.linalg.norm(points - (left @ right).reshape(-1, 9), axis=1)

    return Shape(draw, distance, 8 * np.pi**2 * 8**0.5, (1, 1, 1), 6)


def surface(point: Callable, low, high, betti: tuple[int, ...], edges: bool = False) -> Shape:
    """A surface in R^n by its parameters: point((2,)) to (n,), once over the rectangle from low to high.

    edges: it ends where its second parameter does. The nearest parameters are those of a dense sample, improved by
    Gauss-Newton steps that stay in the rectangle if the surface ends there.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    steps = np.stack(np.meshgrid(*[(np.arange(size) + 0.5) / size for size in SQUARES], indexing="ij"), axis=-1)
    grid = low + steps.reshape(-1, 2) * (high - low)
    with jax.enable_x64(True):
        area = np.asarray(_areas(point, grid))
        mean, most = float(area.mean()), float(area.max()) * 1.01
        places = _drawn(np.random.default_rng(0), partial(_areas, point), low, high, most, DENSE)
        dense = np.asarray(_points(point, places))
    tree = KDTree(dense)

    def draw(random, count):
        with jax.enable_x64(True):
            return np.asarray(_points(point, _drawn(random, partial(_areas, point), low, high, most, count)))

    def distance(points):
        start = places[tree.query(points, RESTARTS)[1]]
        limits = (low[1], high[1]) if edges else (-np.inf, np.inf)
        with jax.enable_x64(True):
            return np.asarray(_nearest(point, np.asarray(points, float), start, np.asarray(limits)))

    codimension = dense.shape[1] - 2
    return Shape(draw, distance, mean * float(np.prod(high - low)), betti, codimension)


def _drawn(random, areas, low, high, most: float, count: int) -> np.ndarray:
    """Parameters (count, 2) of even points of the surface, by rejection."""
    kept: list[np.ndarray] = []
    while sum(map(len, kept)) < count:
        places = random.uniform(low, high, (max(count, 1000), 2))
        kept.append(places[random.uniform(0, most, len(places)) < np.asarray(areas(places))])
    return np.concatenate(kept)[:count]


@partial(jax.jit, static_argnums=0)
def _points(point, places):
    return jax.vmap(point)(places)


@partial(jax.jit, static_argnums=0)
def _areas(point, places):
    def area(place):
        jacobian = jax.jacfwd(point)(place)
        return jnp.sqrt(jnp.linalg.det(jacobian.T @ jacobian))

    return jax.vmap(area)(places)


@partial(jax.jit, static_argnums=0)
def _nearest(point, points, starts, limits):
    def from_one(x, place):
        def step(_, place):
            jacobian = jax.jacfwd(point)(place)
            place = place + jnp.linalg.lstsq(jacobian, x - point(place))[0]
            return place.at[1].set(jnp.clip(place[1], *limits))

        found = jax.lax.fori_loop(0, STEPS, step, place)
        reached = [jnp.linalg.norm(x - point(at)) for at in (place, found)]
        return jnp.nanmin(jnp.stack(reached))

    return jax.vmap(lambda x, places: jax.vmap(partial(from_one, x))(places).min())(points, starts)


def klein_point(place):
    """The point (4,) of the Klein bottle at (u, v); (u + 2π, -v) is the same one."""
    u, v = place
    wide = 2 + jnp.cos(v)
    return jnp.stack([wide * jnp.cos(u), wide * jnp.sin(u), jnp.sin(v) * jnp.cos(u / 2), jnp.sin(v) * jnp.sin(u / 2)])


def _projective_plane(place):
    azimuth, height = place
    x, y, z = (1 - height**2) ** 0.5 * jnp.cos(azimuth), (1 - height**2) ** 0.5 * jnp.sin(azimuth), height
    return jnp.stack([x * y, x * z, y**2 - z**2, 2 * y * z])


def _strip(place):
    u, v = place
    wide = 1 + v * jnp.cos(u / 2)
    return jnp.stack([wide * jnp.cos(u), wide * jnp.sin(u), v * jnp.sin(u / 2)])


TURN = 2 * np.pi
MORE: dict[str, Callable[..., Any]] = {
    "circle_in_space": circle_in_space,
    "klein_bottle": partial(surface, klein_point, (0, 0), (TURN, TURN), (1, 2, 1)),
    "projective_plane": partial(surface, _projective_plane, (0, 1e-6), (TURN, 1 - 1e-6), (1, 1, 1)),
    "moebius_strip": partial(surface, _strip, (0, -0.4), (TURN, 0.4), (1, 1, 0), edges=True),
    "hemisphere": hemisphere,
    "spiral": spiral,
    "half_moons": half_moons,
    "noisy_half_moons": partial(half_moons, 0.03),
    "sphere_in_four": sphere_in_four,
    "rotations": rotations,
}
NAMES = (*SHAPES, *MORE)
BOUNDARIES = {"moebius_strip": 1, "hemisphere": 1, "spiral": 2, "half_moons": 2, "noisy_half_moons": 2}
"""Of each part of the shapes that have any."""
ONE_SIDED = ("klein_bottle", "projective_plane", "moebius_strip")


@lru_cache
def shape(name: str) -> Shape:
    """A shape by its name. Betti numbers are over Z/2, of surfaces and more up to β₂."""
    return (SHAPES | MORE)[name]()
