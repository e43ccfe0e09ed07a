"""Energies rich enough for maximum likelihood: perceptrons on random Fourier features."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from .._types import Scalar, Vector
from .mlp import MLP


class Frequencies(nnx.Variable):
    """The fixed frequencies of Fourier features, (features, n); not a parameter."""


class FourierEnergy(nnx.Module):
    """An MLP on x and on sines and cosines of fixed random projections of it: one point (n,) to ().

    Frequencies are normal with the given bandwidths, radians per unit of x, an equal share for each (Tancik
    et al. 2020): low ones for the broad shape, high ones for narrow peaks.
    """

    def __init__(
        self, dimension: int, hidden: Sequence[int], features: int, bandwidths: Sequence[float], *, rngs: nnx.Rngs
    ):
        scales = jnp.asarray([bandwidths[index % len(bandwidths)] for index in range(features)])
        self.frequencies = Frequencies(scales[:, None] * jax.random.normal(rngs.params(), (features, dimension)))
        self.network = MLP([dimension + 2 * features, *hidden, 1], rngs=rngs)

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        phases = jax.lax.stop_gradient(self.frequencies[...]) @ x
        return self.network(jnp.concatenate([x, jnp.sin(phases), jnp.cos(phases)]))[0]
