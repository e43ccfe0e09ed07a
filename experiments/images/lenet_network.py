"""A small classifier of digits and garments, whose features judge samples where Inception's are not to be had."""

import jax
from flax import nnx

from implicit_manifolds._types import Array, Float, Vector
from implicit_manifolds.networks.convolution import halved
from implicit_manifolds.networks.images import SIDE, LayerMaker


class LeNet(nnx.Module):
    """LeNet-5 with ReLU and max pooling: one image (784,) to ten logits (10,) (LeCun et al. 1998)."""

    def __init__(self, *, rngs: nnx.Rngs):
        make = LayerMaker(rngs)
        self.first, self.second = make.convolution(1, 6, 5), make.convolution(6, 16, 5, padding="VALID")
        self.third = make.convolution(16, 120, 5, padding="VALID")
        self.fourth, self.last = make.convolution(120, 84, 1), make.convolution(84, 10, 1)

    def features(self, x: Vector) -> Float[Array, "84"]:
        """The last layer but one, before the logits: (784,) to (84,)."""
        x = x.reshape(SIDE, SIDE, 1)
        for layer in (self.first, self.second):
            x = halved(jax.nn.relu(layer(x)))
        return jax.nn.relu(self.fourth(jax.nn.relu(self.third(x)))).ravel()

    def __call__(self, x: Vector) -> Float[Array, "10"]:
        """One image (784,) to logits (10,)."""
        return self.last(self.features(x).reshape(1, 1, -1)).ravel()
