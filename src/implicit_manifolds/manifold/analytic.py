"""Level sets known in closed form, as callable pytrees: what tests and benchmarks hold the library against."""

import jax.numpy as jnp
import numpy as np
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


def _trefoil(radius, tube, x: Vector) -> Residual:
    ring = jnp.sqrt(x[0] ** 2 + x[1] ** 2)
    around, about = (x[0] + 1j * x[1]) / ring, (ring - radius + 1j * x[2]) / tube
    turn = around**3 * jnp.conj(about) ** 2
    return jnp.stack([_torus(radius, tube, x)[0], jnp.arctan2(turn.imag, turn.real)])


def trefoil(radius: float = 2.0, tube: float = 1.0) -> Partial:
    """The trefoil knot on `torus` whose ring angle turns twice while its tube angle turns thrice, (3,) -> (2,)."""
    return Partial(_trefoil, radius, tube)


def _clifford_torus(radii, x: Vector) -> Residual:
    return jnp.stack([x[0] ** 2 + x[1] ** 2 - radii[0] ** 2, x[2] ** 2 + x[3] ** 2 - radii[1] ** 2])


def clifford_torus(first: float = 1.0, second: float = 1.0) -> Partial:
    """The flat torus, a product of two circles of these radii, of area 4π² · first · second, (4,) -> (2,)."""
    return Partial(_clifford_torus, (first, second))


def _stiefel(gram, x: Vector) -> Residual:
    size = gram.shape[0]
    frame = x.reshape(-1, size)
    # Row by row of the triangle: frame.T @ frame is a call a lane on a CPU from four columns on, ten times as dear.
    return jnp.concatenate([frame[:, i] @ frame[:, i:] - gram[i, i:] for i in range(size)])


def stiefel(columns: int) -> Partial:
    """Matrices X with orthonormal columns, row by row in x: the upper triangle of XᵀX - I, (n,) -> (k,).

    k = columns (columns + 1) / 2; n is any multiple of columns. Square X make up O(columns), of which SO is the
    part of determinant +1: chains do not leave the part they start in.
    """
    return Partial(_stiefel, np.eye(columns, dtype=np.float32))


def torus_point(ring_angle, tube_angle, radius: float = 3.0, tube: float = 1.0):
    """The point of `torus` at two angles in radians; shapes broadcast, (...) -> (..., 3)."""
    ring_angle, tube_angle = jnp.broadcast_arrays(ring_angle, tube_angle)
    ring = radius + tube * jnp.cos(tube_angle)
    return jnp.stack([ring * jnp.cos(ring_angle), ring * jnp.sin(ring_angle), tube * jnp.sin(tube_angle)], axis=-1)
