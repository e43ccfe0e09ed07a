"""A shift and a scale: one for all columns, under which volumes go exactly by scale^m, or one for each."""

import math
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from ._pytree import pytree
from ._types import Array, Float, Vector
from .box import Box, box_around

CONSTANT = 1e-9
"""A column that varies by less, in units of that which varies most, is constant and keeps that one's scale."""


@pytree
@dataclass(frozen=True, eq=False)
class Scaling:
    """x = shift + scale · z: shift (n,), and scale () or (n,), in the units of the data, z without unit."""

    shift: Float[np.ndarray | Array, "*models n"]
    scale: Float[np.ndarray | Array, "*n"] | float

    @property
    def length(self) -> float:
        """What a length of one is in the units of the data: the scale, or the root mean square of those of columns."""
        return float(self.scale) if np.ndim(self.scale) == 0 else float(np.sqrt(np.mean(np.square(self.scale))))

    @property
    def stretches(self) -> np.ndarray | None:
        """The scale of each column over `length`, (n,); None where all columns have the same."""
        return None if np.ndim(self.scale) == 0 else np.asarray(self.scale, np.float64) / self.length

    def lengths_at(self, points) -> float:
        """`length`, at any points."""
        return self.length

    @property
    def by_column(self) -> bool:
        """Whether each column has a scale of its own."""
        return np.ndim(self.scale) == 1

    def standard_point(self, x: Vector) -> Vector:
        """One point in data units (n,) in standardised ones, inside jit, in its own precision."""
        return (x - jnp.asarray(self.shift, x.dtype)) / jnp.asarray(self.scale, x.dtype)

    def data_point(self, z: Vector) -> Vector:
        """One standardised point (n,) in data units, inside jit, in its own precision."""
        return jnp.asarray(self.shift, z.dtype) + jnp.asarray(self.scale, z.dtype) * z

    def units_at(self, z: Vector) -> Vector:
        """What one is in each column in the units of the data, at a standardised point (n,), inside jit: (n,)."""
        return jnp.broadcast_to(jnp.asarray(self.scale, z.dtype), z.shape)

    def standardize(self, points: Float[np.ndarray | Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """Data units to standardised ones, (..., n); computed in double, so offsets do not eat digits."""
        wide = (np.asarray(points, np.float64) - np.asarray(self.shift, np.float64)) / self._wide
        return jnp.asarray(wide, jnp.result_type(float))

    def restore(self, points: Float[np.ndarray | Array, "*batch n"]) -> np.ndarray:
        """Standardised units to data units, (..., n), in double."""
        return np.asarray(self.shift, np.float64) + self._wide * np.asarray(points, np.float64)

    def moved(self, offset: Float[np.ndarray, " n"]) -> "Scaling":
        """The same, of data moved by an offset (n,)."""
        return replace(self, shift=np.asarray(self.shift, np.float64) + offset)

    @property
    def _wide(self) -> np.ndarray:
        return np.asarray(self.scale, np.float64)


def standardization(
    points: np.ndarray,
    standardize: bool = True,
    margin: float = 0.25,
    half_widths: tuple[float, ...] | None = None,
    *,
    by_column: bool = False,
) -> tuple[Scaling, Array, Box]:
    """The scaling of `points` (N, n), the points in its units, and the box of step 1 and 2 around them.

    standardize: to zero mean and unit root mean square, of all coordinates or `by_column`; else units stay. The box is
    the data's, widened by `margin` of its largest extent, or has the given `half_widths` (n,) about the origin.
    """
    shift = points.mean(axis=0) if standardize else np.zeros(points.shape[1])
    scale = math.sqrt(((points - shift) ** 2).mean()) if standardize else 1.0
    if by_column:
        own = points.std(axis=0)
        scale = np.where(own > CONSTANT * own.max(), own, own.max())
    scaling = Scaling(shift, scale)
    standard = scaling.standardize(points)
    if half_widths is None:
        return scaling, standard, box_around(standard, margin)
    half = jnp.asarray(half_widths, standard.dtype)
    return scaling, standard, Box(-half, half)
