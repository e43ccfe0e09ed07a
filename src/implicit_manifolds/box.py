"""Boxes: where a level set counts as the manifold."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._types import Array, Bool, Float, Vector


class Box(NamedTuple):
    """The points x with low ≤ x ≤ high, each (n,), on the host or in JAX.

    >>> box = im.Box(jnp.zeros(2), jnp.ones(2))
    >>> box.contains(jnp.array([[0.5, 0.5], [0.5, 2.0]])).tolist()
    [True, False]
    """

    low: Vector | Float[np.ndarray, " n"]
    high: Vector | Float[np.ndarray, " n"]

    def contains(self, points: Float[Array | np.ndarray, "*batch n"]) -> Bool[Array | np.ndarray, "*batch"]:
        """Whether points (..., n) lie in the box, (...); what is not finite does not."""
        low, high = self._along(points)
        return ((points >= low) & (points <= high)).all(axis=-1)  # type: ignore[return-value]

    def clip(self, points: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """The nearest points of the box to points (..., n)."""
        return jnp.clip(points, *self._along(points))

    def _along(self, points) -> tuple[Array | np.ndarray, ...]:
        """Both corners with as many axes as points have, for those who allow no other shapes."""
        return tuple(side.reshape((1,) * (points.ndim - 1) + side.shape) for side in (self.low, self.high))

    def on_host(self) -> "Box":
        """The same box as NumPy arrays."""
        return Box(*jax.device_get(tuple(self)))


def box_around(points: Float[Array | np.ndarray, "points n"], margin: float) -> Box:
    """The bounding box of points (N, n) widened on each side by `margin` times its largest extent."""
    low, high = np.asarray(points).min(axis=0), np.asarray(points).max(axis=0)
    widening = margin * (high - low).max()
    return Box(jnp.asarray(low - widening), jnp.asarray(high + widening))


def uniform_in_box(random: np.random.Generator, box: Box, count: int) -> Float[np.ndarray, "count n"]:
    """Uniform points of the box, (count, n), in its dtype."""
    low, high = (np.asarray(bound) for bound in box)
    return random.uniform(low, high, (count, len(low))).astype(low.dtype)
