"""Networks that start as the flat manifold nearest to the data, for many constraints."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._types import Float, Residual, Vector
from .images import UNet
from .mlp import MLP, silence
from .normalization import SPECTRAL
from .patches import PatchMixer
from .standardized import FixedArray


class FromPlane(nnx.Module):
    """x -> A (x - c) + N(x), from (n,) to (k,): fixed orthonormal rows A (k, n), beside a network N.

    Of a network that gives (n,), as those of images do, A (x - c + N(x)).

    A is what a reflection I - U Uᵀ, U (n, n - k), has below its first n - k rows, so it costs what its small complement
    does. While N is small every singular value of the Jacobian is near one. Ours.
    """

    def __init__(self, network: MLP | UNet | PatchMixer, reflection: Float[jax.Array, "n m"], centre: Vector):
        self.network = network
        self.reflection, self.centre = FixedArray(reflection), FixedArray(centre)

    def __call__(self, x: Vector) -> Residual:
        """One point, (n,) to (k,)."""
        reflection, centre = jax.lax.stop_gradient((self.reflection[...], self.centre[...]))
        moved, bent = x - centre, self.network(x)
        moved = moved + bent if bent.shape == x.shape else moved
        across = (moved - reflection @ (reflection.T @ moved))[reflection.shape[1] :]
        return across if bent.shape == x.shape else across + bent


def start_as_plane(
    network: MLP | UNet | PatchMixer, points: Float[np.ndarray, "N n"], dimension: int | None = None
) -> FromPlane:
    """The network of k or n outputs, its last layer now zero, beside the k least principal directions of points (N, n).

    ‖F(x)‖ starts as the distance to the plane of the other n - k through the mean, of `dimension` m = n - k, which a
    network of k outputs need not be told. Raises ValueError where the last layer is spectrally normalised, which has no
    zero, and where the dimension is wanting.
    """
    last = network.last
    if isinstance(last, SPECTRAL):
        raise ValueError("a network whose last layer is spectrally normalised cannot start as a plane")
    silence(last)
    points = np.asarray(points, np.float64)
    _, directions = np.linalg.eigh(np.cov(points, rowvar=False))  # the least first
    if dimension is None:
        outputs = jax.eval_shape(network, jax.ShapeDtypeStruct(points.shape[1:], jnp.result_type(float))).shape[0]
        dimension = points.shape[1] - outputs
        if dimension < 1:
            raise ValueError("a network of as many outputs as inputs needs the dimension of the plane")
    reflection = reflection_of_first_axes(directions[:, points.shape[1] - dimension :])
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
