"""Networks that see their points centred and scaled."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._types import Array, Float, Scalar, Vector


class FixedArray(nnx.Variable):
    """An array that training leaves alone; not a parameter."""


class Standardized(nnx.Module):
    """x -> N((x - c) s), of one point (n,): a network N of points around zero whose coordinates are near one in size.

    centre c (n,); scale s (), one for all coordinates.
    """

    def __init__(self, network: Callable, centre: Vector, scale: Scalar):
        self.network = network
        self.centre, self.scale = FixedArray(centre), FixedArray(scale)

    def __call__(self, x: Vector):
        """One point, (n,)."""
        centre, scale = jax.lax.stop_gradient((self.centre[...], self.scale[...]))
        return self.network((x - centre) * scale)


def standardized(network: Callable, points: Float[np.ndarray | Array, "N n"]) -> Standardized:
    """The network behind the mean of points (N, n) and the inverse root of their mean variance."""
    points = np.asarray(points, np.float64)
    scale = points.var(axis=0).mean() ** -0.5
    return Standardized(network, jnp.asarray(points.mean(axis=0), float), jnp.asarray(scale, float))
