"""Multilayer perceptrons for MDFs and energies."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from .._types import Array, Float, Scalar, Vector
from .normalization import SpectralLinear


class MLP(nnx.Module):
    """SiLU perceptron, one point (sizes[0],) to (sizes[-1],); the last layer is linear.

    Weights and biases start uniform in ±fan_in^-½, as in the networks of Ross et al. (2023).
    spectral_norm divides each weight matrix by its largest singular value (see `power_iteration`).
    """

    def __init__(self, sizes: Sequence[int], *, spectral_norm: bool = False, rngs: nnx.Rngs):
        shapes = [(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes)]
        # One draw for all layers: each further one would cost a tenth of a second of compilation or more.
        count = sum((fan_in + 1) * fan_out for fan_in, fan_out in shapes)
        draw = jax.random.uniform(rngs.params(), (count,), minval=-1.0, maxval=1.0)

        def layer(fan_in, fan_out, start):
            block = draw[start : start + (fan_in + 1) * fan_out].reshape(fan_in + 1, fan_out) * fan_in**-0.5
            kind = SpectralLinear if spectral_norm else nnx.Linear
            fill = {"kernel_init": lambda *_: block[:-1], "bias_init": lambda *_: block[-1]}
            return kind(fan_in, fan_out, rngs=rngs, **fill)

        starts = accumulate(((fan_in + 1) * fan_out for fan_in, fan_out in shapes), initial=0)
        self.layers = nnx.List([layer(*shape, start) for shape, start in zip(shapes, starts, strict=False)])

    @property
    def last(self) -> nnx.Linear:
        """The layer that gives the outputs."""
        return self.layers[-1]

    def __call__(self, x: Vector) -> Float[Array, " out"]:
        """One point, (sizes[0],) to (sizes[-1],)."""
        for layer in self.layers[:-1]:
            x = jax.nn.silu(layer(x))
        return self.layers[-1](x)


def silence(layer: nnx.Linear | nnx.Conv) -> None:
    """Set a layer's weights and biases to zero, in place."""
    for parameter in (layer.kernel, layer.bias):
        assert parameter is not None
        parameter[...] = jnp.zeros_like(parameter[...])


def start_as_sphere(network: MLP, radius: float = 1.0) -> MLP:
    """A new network of one output with other weights, under which it is roughly |x| - radius.

    The variances are those of Atzmon & Lipman (2020, theorem 1), whose layers are ReLU; the draws are the network's
    own. Three times larger in the first layer and as much smaller in the last the weights do the same to ReLU, and
    bring SiLU near it.
    """
    network = jax.tree.map(jnp.copy, network)
    for layer in network.layers:
        fan_in, fan_out = layer.kernel.shape
        layer.kernel[...] *= (3 * fan_in * 2 / fan_out) ** 0.5  # uniform in ±fan_in^-½: a variance of 1/(3 fan_in)
        layer.bias[...] = jnp.zeros(fan_out)
    network.layers[0].kernel[...] *= 3.0
    network.layers[-1].kernel[...] = jnp.full((fan_in, fan_out), (jnp.pi / fan_in) ** 0.5 / 3.0)
    network.layers[-1].bias[...] = jnp.full(fan_out, -radius)
    return network


class EnergyMLP(nnx.Module):
    """An MLP with one output, read as a scalar energy: one point (n,) to ()."""

    def __init__(self, sizes: Sequence[int], *, spectral_norm: bool = False, rngs: nnx.Rngs):
        self.network = MLP([*sizes, 1], spectral_norm=spectral_norm, rngs=rngs)

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        return self.network(x)[0]
