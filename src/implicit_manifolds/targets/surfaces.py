"""A surface of several parts, one of them with a neck: local moves cross the neck rarely and the gap never."""

from functools import cache

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._random import host_generator
from ..box import Box
from .known import flat
from .target import Quantity, Target

HALF_LENGTH, NECK = 2.0, 0.15
CENTRE, RADIUS = 4.0, 1.0


def squared_profile(x):
    """Squared distance from the axis of the dumbbell at x; negative beyond its ends at ±2."""
    return (1 - (x / HALF_LENGTH) ** 2) * (x**2 + NECK**2)


def _two_parts(x):
    from_axis = x[1] ** 2 + x[2] ** 2
    dumbbell = from_axis - squared_profile(x[0])
    ball = (x[0] - CENTRE) ** 2 + from_axis - RADIUS**2
    return jnp.reshape(dumbbell * ball, (1,))


def dumbbell_and_sphere() -> Target:
    """Uniform by area on a dumbbell with a neck of radius 0.15 and a unit sphere beside it; areas by quadrature.

    A dumbbell y² + z² = (1 - x²/4)(x² + 0.15²) about the x axis, the sphere about (4, 0, 0).
    """
    left, right, ball = _areas()
    total = left + right + ball
    shares = {"left lobe": left / total, "right lobe": right / total, "sphere": ball / total}
    parts = {"left lobe": _on_the_left, "right lobe": _on_the_right, "sphere": _on_the_ball}
    quantities = {
        name: Quantity(Partial(parts[name]), share, float(np.sqrt(share * (1 - share))), 0.0, "quadrature")
        for name, share in shares.items()
    }
    bounds = Box(np.array([-2.5, -2.0, -2.0]), np.array([5.5, 2.0, 2.0]))
    return Target(
        "dumbbell_and_sphere", 3, Partial(_two_parts), Partial(flat), "hausdorff", Partial(_starts), quantities,
        dumbbell_and_sphere.__doc__ or "", bounds, float(np.log(total)),
    )  # fmt: skip


def _on_the_left(x):
    return (x[0] < 0).astype(x.dtype)


def _on_the_right(x):
    return ((x[0] >= 0) & (x[0] < 0.5 * (HALF_LENGTH + CENTRE - RADIUS))).astype(x.dtype)


def _on_the_ball(x):
    return (x[0] >= 0.5 * (HALF_LENGTH + CENTRE - RADIUS)).astype(x.dtype)


@cache
def _areas() -> tuple[float, float, float]:
    """Of both lobes and of the sphere. With f = r², 2π r √(1 + r'²) dx = 2π √(f + f'²/4) dx, smooth at the ends."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    x = 0.5 * HALF_LENGTH * (nodes + 1)
    slope = -(x / 2) * (x**2 + NECK**2) + (1 - (x / HALF_LENGTH) ** 2) * 2 * x
    lobe = float(np.pi * HALF_LENGTH * (weights * np.sqrt(squared_profile(x) + slope**2 / 4)).sum())
    return lobe, lobe, 4 * np.pi * RADIUS**2


def _starts(key, count):
    """A third on each part, at uniform x and angle."""
    random = host_generator(key)
    part, angle, share = random.integers(0, 3, count), random.uniform(-np.pi, np.pi, count), random.uniform(size=count)
    along = HALF_LENGTH * (0.02 + 0.96 * share)
    across = RADIUS * (2 * share - 1)
    x = np.select([part == 0, part == 1], [-along, along], CENTRE + across)
    from_axis = np.sqrt(np.where(part < 2, squared_profile(along), RADIUS**2 - across**2))
    return np.column_stack([x, from_axis * np.cos(angle), from_axis * np.sin(angle)])
