"""A field that says how far, and which way, a point is from where it belongs."""

from flax import nnx

from .._types import Vector
from .mlp import MLP

SHARPER = 2.0
"""Weights of the first layer are so many times those of other perceptrons: a field turns round within its data."""


class Displacement(nnx.Module):
    """F(x) = x - r(x), r a SiLU perceptron: x - F(x) is where x belongs, such as the nearest point of a manifold."""

    def __init__(self, dimension: int, hidden: tuple[int, ...], *, rngs: nnx.Rngs):
        self.target = MLP((dimension, *hidden, dimension), rngs=rngs)
        self.target.layers[0].kernel[...] *= SHARPER

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of its layers but the last."""
        return tuple(layer.out_features for layer in self.target.layers[:-1])

    def __call__(self, x: Vector) -> Vector:
        """One point, (n,) to (n,)."""
        return x - self.target(x)
