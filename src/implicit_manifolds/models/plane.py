"""Networks that start as the flat manifold nearest to the data, for many constraints."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._types import Float, Residual, Vector
from .images import UNet
from .mlp import MLP
from .normalization import SPECTRAL


class FixedArray(nnx.Variable):
    """An array that training leaves alone; not a parameter."""


class FromPlane(nnx.Module):
    """x -> A (x - c) + N(x), from (n,) to (k,): a fixed matrix A (k, n) with orthonormal rows, beside a network N.

    While N is small every singular value of the Jacobian is near one. Ours.
    """

    def __init__(self, network: MLP | UNet, matrix: Float[jax.Array, "k n"], centre: Vector):
        self.network = network
        self.matrix, self.centre = FixedArray(matrix), FixedArray(centre)

    def __call__(self, x: Vector) -> Residual:
        """One point, (n,) to (k,)."""
        matrix, centre = jax.lax.stop_gradient((self.matrix[...], self.centre[...]))
        return matrix @ (x - centre) + self.network(x)


def start_as_plane(network: MLP | UNet, points: Float[np.ndarray, "N n"]) -> FromPlane:
    """The network of k outputs, its last layer now zero, beside the k least principal directions of points (N, n).

    ‖F(x)‖ starts as the distance to the plane of the other n - k through the mean. Raises ValueError where the last
    layer is spectrally normalised, which has no zero.
    """
    last = network.last
    if isinstance(last, SPECTRAL):
        raise ValueError("a network whose last layer is spectrally normalised cannot start as a plane")
    for parameter in (last.kernel, last.bias):
        assert parameter is not None
        parameter[...] = jnp.zeros_like(parameter[...])
    points = np.asarray(points, np.float64)
    _, directions = np.linalg.eigh(np.cov(points, rowvar=False))  # the least first
    outputs = jax.eval_shape(network, jax.ShapeDtypeStruct(points.shape[1:], jnp.result_type(float))).shape[0]
    return FromPlane(network, jnp.asarray(directions[:, :outputs].T, float), jnp.asarray(points.mean(axis=0), float))
