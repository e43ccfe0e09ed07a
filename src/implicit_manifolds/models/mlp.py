"""Multilayer perceptrons for MDFs and energies."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from .._types import Array, Float, Scalar, Vector
from .normalization import SpectralLinear


def _uniform_fan_in(key, shape, dtype=jnp.float32):
    bound = shape[0] ** -0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


class MLP(nnx.Module):
    """SiLU perceptron, one point (sizes[0],) to (sizes[-1],); the last layer is linear.

    Weights and biases start uniform in ±fan_in^-½, as in the networks of Ross et al. (2023).
    spectral_norm divides each weight matrix by its largest singular value (see `power_iteration`).
    """

    def __init__(self, sizes: Sequence[int], *, spectral_norm: bool = False, rngs: nnx.Rngs):
        def layer(fan_in, fan_out):
            bias_init = lambda key, shape, dtype: _uniform_fan_in(key, (fan_in, *shape), dtype)[0]  # noqa: E731
            kind = SpectralLinear if spectral_norm else nnx.Linear
            return kind(fan_in, fan_out, kernel_init=_uniform_fan_in, bias_init=bias_init, rngs=rngs)

        self.layers = nnx.List([layer(a, b) for a, b in pairwise(sizes)])

    def __call__(self, x: Vector) -> Float[Array, " out"]:
        """One point, (sizes[0],) to (sizes[-1],)."""
        for layer in self.layers[:-1]:
            x = jax.nn.silu(layer(x))
        return self.layers[-1](x)


class EnergyMLP(nnx.Module):
    """An MLP with one output, read as a scalar energy: one point (n,) to ()."""

    def __init__(self, sizes: Sequence[int], *, spectral_norm: bool = False, rngs: nnx.Rngs):
        self.network = MLP([*sizes, 1], spectral_norm=spectral_norm, rngs=rngs)

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        return self.network(x)[0]
