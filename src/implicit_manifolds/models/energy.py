"""Energies rich enough for maximum likelihood: random Fourier features, adaptive kernels, and mixtures of these."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from .._types import Array, Float, Int, Scalar, Vector
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


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class KernelEnergy:
    """-log of a mixture of normal kernels at points of an m-dimensional M, each with its own widths: (n,) to ().

    centres (a, n); bandwidths (s, a), in the units of x; weights (s,), which sum to 1. exp(-E) integrates to nearly
    one over M where the bandwidths are small beside M's radii of curvature (Silverman 1986, §5.3, adaptive kernels).
    """

    centres: Float[Array, "a n"]
    bandwidths: Float[Array, "s a"]
    weights: Float[Array, " s"]
    dimension: int = field(metadata={"static": True})

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        density = jnp.vdot(self.weights, kernel_densities(x, self.centres, self.bandwidths, self.dimension))
        return -jnp.log(density + jnp.finfo(x.dtype).tiny)


def kernel_densities(x: Vector, centres, bandwidths: Float[Array, "s a"], dimension: int) -> Float[Array, " s"]:
    """For each row of bandwidths the mean over centres (a, n) of the m-dimensional normal density at x (n,)."""
    squared = jnp.sum((x - centres) ** 2, axis=1)
    height = (2 * jnp.pi) ** (-dimension / 2) / bandwidths**dimension
    return jnp.mean(height * jnp.exp(-squared / (2 * bandwidths**2)), axis=1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EnergyMixture:
    """-log of a weighted sum of densities exp(-E_j)/Z_j: one point (n,) to ().

    members: energies stacked along a leading axis; kernel: one more, or None. log_weights: the log of weight over
    Z_j of each, the kernel's last.
    """

    members: Any
    kernel: KernelEnergy | None
    log_weights: Float[Array, " members"]

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        energies = jax.vmap(lambda member: member(x))(self.members)
        if self.kernel is not None:
            energies = jnp.append(energies, self.kernel(x))
        return -jax.nn.logsumexp(self.log_weights - energies)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PiecewiseMixture:
    """A mixture whose weights differ between the connected parts of M: one point (n,) to ().

    bases (b, n) on M with the part (b,) each belongs to: a point is of the part of the nearest. log_weights
    (parts, members): the log of weight over the integral of exp(-E_j) over that part.
    """

    members: Any
    bases: Float[Array, "b n"]
    parts: Int[Array, " b"]
    log_weights: Float[Array, "parts members"]

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        energies = jax.vmap(lambda member: member(x))(self.members)
        part = self.parts[jnp.argmin(jnp.sum((x - self.bases) ** 2, axis=1))]
        return -jax.nn.logsumexp(self.log_weights[part] - energies)
