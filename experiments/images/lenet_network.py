"""A small classifier of digits and garments, whose features judge samples where Inception's are not to be had."""

import jax
from flax import nnx

from implicit_manifolds._types import Array, Float, Vector
from implicit_manifolds.networks.convolution import halved
from implicit_manifolds.networks.images import LayerMaker


class LeNet(nnx.Module):
    """LeNet-5 with ReLU and max pooling: one image (n,) to ten logits (10,) (LeCun et al. 1998).

    shape: of images, rows, columns and channels: 28 x 28, or 32 x 32 as LeCun et al. had them.
    """

    def __init__(self, shape: tuple[int, int, int] = (28, 28, 1), *, rngs: nnx.Rngs):
        make, self.shape = LayerMaker(rngs), shape
        padding = "SAME" if shape[0] == 28 else "VALID"  # 28 x 28 maps either way
        self.first, self.second = (
            make.convolution(shape[2], 6, 5, padding=padding),
            make.convolution(6, 16, 5, padding="VALID"),
        )
        self.third = make.convolution(16, 120, 5, padding="VALID")
        self.fourth, self.last = make.convolution(120, 84, 1), make.convolution(84, 10, 1)

    def features(self, x: Vector) -> Float[Array, "84"]:
        """The last layer but one, before the logits: (n,) to (84,)."""
        x = x.reshape(self.shape)
        for layer in (self.first, self.second):
            x = halved(jax.nn.relu(layer(x)))
        return jax.nn.relu(self.fourth(jax.nn.relu(self.third(x)))).ravel()

    def __call__(self, x: Vector) -> Float[Array, "10"]:
        """One image (n,) to logits (10,)."""
        return self.last(self.features(x).reshape(1, 1, -1)).ravel()
