"""Level sets known in closed form, as callable pytrees: what tests and benchmarks hold the library against."""

import jax.numpy as jnp
from jax.tree_util import Partial

from .._types import Residual, Vector


def _sphere(radius, x: Vector) -> Residual:
    return jnp.sum(x**2, keepdims=True) - radius**2


def sphere(radius: float = 1.0) -> Partial:
    """F(x) = ‖x‖² - radius², (n,) -> (1,): the circle in the plane, the sphere in space, and so on."""
    return Partial(_sphere, radius)


def _torus(radius, tube, x: Vector) -> Residual:
    ring = jnp.sqrt(x[0] ** 2 + x[1] ** 2)
    return jnp.reshape((ring - radius) ** 2 + x[2] ** 2 - tube**2, (1,))


def torus(radius: float = 3.0, tube: float = 1.0) -> Partial:
    """F(x) = (√(x₀² + x₁²) - radius)² + x₂² - tube², (3,) -> (1,).

    Uniform area has tube angle ψ with density (radius + tube cos ψ) / (2π radius) and a uniform ring angle.
    """
    return Partial(_torus, radius, tube)


def _circle_in_space(radius, x: Vector) -> Residual:
    return jnp.stack([jnp.sum(x**2) - radius**2, x[2]])


def circle_in_space(radius: float = 1.0) -> Partial:
    """The circle of `radius` in the plane x₂ = 0 of space, (3,) -> (2,): codimension 2."""
    return Partial(_circle_in_space, radius)


def torus_point(ring_angle, tube_angle, radius: float = 3.0, tube: float = 1.0):
    """The point of `torus` at two angles in radians; shapes broadcast, (...) -> (..., 3)."""
    ring = radius + tube * jnp.cos(tube_angle)
    parts = ring * jnp.cos(ring_angle), ring * jnp.sin(ring_angle), tube * jnp.sin(tube_angle)
    return jnp.stack(jnp.broadcast_arrays(*parts), axis=-1)
