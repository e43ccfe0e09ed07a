"""Models that are right, and models that are wrong, each in one way, on manifolds that are written down."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

import implicit_manifolds as im
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.importance import log_normalizer

COUNT, HALF = 1000, 2.0


class Case(NamedTuple):
    """A model, points that it is said to describe, (N, n), and which finding should tell that it does not."""

    finding: str
    what: str
    model: im.EBIM
    points: np.ndarray


def model_of(mdf, points: np.ndarray, energy=None, starts=None, half: float = HALF) -> im.EBIM:
    """A model on {F = 0} in a cube about 0, in the units of the points; charts are found from them or from `starts`."""
    n = points.shape[1]
    box = im.Box(jnp.full(n, -half), jnp.full(n, half))
    charted = im.cover(jax.random.key(0), im.Manifold(mdf, box, jnp.asarray(points, jnp.float32)), starts)
    energy = Partial(rightwards, 1.0) if energy is None else energy
    normalizer = log_normalizer(jax.random.key(1), pool_source(charted), energy)
    return im.EBIM(charted, energy, Scaling(np.zeros(n), np.float64(1)), ChainScales(0.1), normalizer)


def rightwards(strength, x):
    """An energy that falls along the first coordinate."""
    return -strength * x[0]


def ring(count: int = COUNT, dimension: int = 2, seed: int = 0) -> np.ndarray:
    """Points at random on the unit sphere in R^n."""
    direction = np.random.default_rng(seed).normal(size=(count, dimension))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True)


def healthy() -> list[tuple[im.EBIM, np.ndarray]]:
    """A circle and a sphere with points on them, the circle with noisy ones, and an annulus of a ridge's edge."""
    circle, ball = model_of(sphere(1.0), ring()), model_of(sphere(1.0), ring(dimension=3))
    noise = 0.02 * np.random.default_rng(1).normal(size=(COUNT, 2))
    return [(circle, ring(seed=1)), (circle, ring(seed=2) + noise), (ball, ring(dimension=3, seed=1))]


def cases() -> list[Case]:
    """All of them."""
    return [case() for case in CASES]


def _missed() -> Case:
    model = model_of(sphere(1.0), ring())
    low = replace(model.manifold, box=im.Box(jnp.full(2, -HALF), jnp.asarray([HALF, 0.5])))
    return Case(
        "points without a nearest one",
        "a third of a circle of data lies beyond the box",
        replace(model, manifold=im.cover(jax.random.key(0), low, ring()[ring()[:, 1] < 0.5])),
        ring(seed=1),
    )


def _far_group() -> Case:
    few = [1.6, 0.0] + 0.01 * np.random.default_rng(0).normal(size=(20, 2))
    points = np.concatenate([ring(seed=1), few])
    return Case(
        "farthest group of points",
        "2 % of the data are a small group off the circle",
        model_of(sphere(1.0), ring()),
        points,
    )


def _banana(width, opening, x):
    """A circle's two sheets at ±width that join before an opening around (1, 0), no zeros there."""
    radius, angle = jnp.linalg.norm(x), jnp.arctan2(x[1], x[0])
    return ((radius - 1) ** 2 - width**2 + jnp.exp(-((angle / opening) ** 2)))[None]


def _torn() -> Case:
    random = np.random.default_rng(0)
    angle, radius = random.uniform(0.08, 2 * np.pi - 0.08, 300), 1 + 0.01 * random.normal(size=300)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    model = model_of(Partial(_banana, 0.02, 0.036), 1.02 * ring())
    return Case("gaps between neighbours", "two sheets that join and end between sparse points", model, points)


def _two_circles(centre, radius, x):
    return ((jnp.sum(x**2) - 1) * (jnp.sum((x - centre) ** 2) - radius**2))[None]


def _invented() -> Case:
    mdf = Partial(_two_circles, jnp.asarray([1.4, 1.4]), 0.3)
    aside = [1.4, 1.4] + 0.3 * ring(100)
    return Case(
        "share of the manifold without data",
        "a second circle where no data are",
        model_of(mdf, ring(), starts=np.concatenate([ring(), aside])),
        ring(seed=1),
    )


def _crossing(x):
    """Bernoulli's lemniscate, whose gradient vanishes where it crosses itself."""
    return (jnp.sum(x**2) ** 2 - 2 * (x[0] ** 2 - x[1] ** 2))[None]


def _rank_lost() -> Case:
    angle = np.linspace(0, 2 * np.pi, COUNT, endpoint=False)
    on = np.sqrt(2) * np.cos(angle) / (1 + np.sin(angle) ** 2)
    points = np.stack([on, on * np.sin(angle)], axis=1)
    return Case("least singular value over largest", "a figure of eight", model_of(Partial(_crossing), points), points)


def _tiny_part() -> Case:
    mdf = Partial(_two_circles, jnp.asarray([1.5, 1.5]), 0.002)
    aside = [1.5, 1.5] + 0.002 * ring(20)
    points = np.concatenate([ring(), aside])
    return Case("certificate settled", "a part so small that grids miss it", model_of(mdf, points), points)


def _empty_place() -> Case:
    points = ring(2 * COUNT)
    points = points[np.abs(np.arctan2(points[:, 1], points[:, 0])) > 0.4]
    return Case(
        "widest place without data", "a closed circle learned from an arc", model_of(sphere(1.0), points), points
    )


def _uncharted() -> Case:
    mdf = Partial(_two_circles, jnp.asarray([1.4, 1.4]), 0.3)
    aside = [1.4, 1.4] + 0.3 * ring(200)
    model = model_of(mdf, np.concatenate([ring(), aside]))
    one = im.cover(jax.random.key(0), replace(model.manifold, mdf=sphere(1.0))).atlas
    model = replace(model, manifold=model.manifold.charted(one))
    return Case("points on no chart", "charts on one of two circles", model, np.concatenate([ring(seed=1), aside]))


def _collapsed() -> Case:
    sharp = model_of(sphere(1.0), ring(), Partial(rightwards, 1e6))
    return Case("effective share of draws", "a density a thousandth of a radian wide", sharp, ring(seed=1))


def _without_normaliser() -> Case:
    model = replace(model_of(sphere(1.0), ring()), log_normalizer=None)
    return Case("standard error of log Z", "an energy that was never normalised", model, ring(seed=1))


def _at_the_centre() -> Case:
    inside = 0.05 * ring(20, seed=1)
    points = np.concatenate([ring(seed=1), inside])
    return Case(
        "points near a centre of curvature",
        "2 % of the data near the middle of a circle",
        model_of(sphere(1.0), ring()),
        points,
    )


def _repeated() -> Case:
    points = ring()[np.arange(COUNT) // 2]
    return Case("points that repeat others", "every row twice", model_of(sphere(1.0), ring()), points)


CASES: tuple[Callable[[], Case], ...] = (
    _missed,
    _far_group,
    _torn,
    _invented,
    _rank_lost,
    _tiny_part,
    _empty_place,
    _uncharted,
    _collapsed,
    _without_normaliser,
    _at_the_centre,
    _repeated,
)
