"""Networks that start as the flat manifold nearest to the data, for many constraints."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._types import Float, Residual, Vector
from .images import UNet
from .mlp import MLP
from .normalization import SPECTRAL
from .standardized import FixedArray


class FromPlane(nnx.Module):
    """x -> A (x - c) + N(x), from (n,) to (k,): fixed orthonormal rows A (k, n), beside a network N.

    A is what a reflection I - U Uᵀ, U (n, n - k), has below its first n - k rows, so it costs what its small complement
    does. While N is small every singular value of the Jacobian is near one. Ours.
    """

    def __init__(self, network: MLP | UNet, reflection: Float[jax.Array, "n m"], centre: Vector):
        self.network = network
        self.reflection, self.centre = FixedArray(reflection), FixedArray(centre)

    def __call__(self, x: Vector) -> Residual:
        """One point, (n,) to (k,)."""
        reflection, centre = jax.lax.stop_gradient((self.reflection[...], self.centre[...]))
        moved = x - centre
        return (moved - reflection @ (reflection.T @ moved))[reflection.shape[1] :] + self.network(x)


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
    reflection = reflection_of_first_axes(directions[:, outputs:])
    return FromPlane(network, jnp.asarray(reflection, float), jnp.asarray(points.mean(axis=0), float))


def reflection_of_first_axes(frame: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """U (n, m) such that the reflection I - U Uᵀ takes the first m axes to the span of a frame of orthonormal columns.

    A block reflector (Schreiber & Parlett 1988): the frame is first turned in its span so that its upper block -H is
    symmetric, and negative, which keeps I + H far from singular.
    """
    count = frame.shape[1]
    left, sizes, right = np.linalg.svd(frame[:count])
    turned = -frame @ right.T @ left.T
    difference = turned - np.eye(*frame.shape)
    return difference @ (left / np.sqrt(1 + sizes))
