"""Mixtures of energies, normalised each, with one set of weights or one for each part of M."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import Array, Energy, Float, Int, Scalar, Vector


@pytree
@dataclass(frozen=True, eq=False)
class EnergyMixture:
    """-log of a weighted sum of densities exp(-E_j)/Z_j: one point (n,) to ().

    members: energies stacked along a leading axis; kernel: one more, or None. log_weights: the log of weight over
    Z_j of each, the kernel's last.
    """

    members: Any
    kernel: Energy | None
    log_weights: Float[Array, "*models members"]

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        energies = jax.vmap(lambda member: member(x))(self.members)
        if self.kernel is not None:
            energies = jnp.append(energies, self.kernel(x))
        return -jax.nn.logsumexp(self.log_weights - energies)


@pytree
@dataclass(frozen=True, eq=False)
class PiecewiseMixture:
    """A mixture whose weights differ between the connected parts of M: one point (n,) to ().

    bases (b, n) on M with the part (b,) each belongs to: a point is of the part of the nearest. log_weights
    (parts, members): the log of weight over the integral of exp(-E_j) over that part.
    """

    members: Any
    bases: Float[Array, "*models b n"]
    parts: Int[Array, "*models b"]
    log_weights: Float[Array, "*models parts members"]

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        energies = jax.vmap(lambda member: member(x))(self.members)
        part = self.parts[jnp.argmin(jnp.sum((x[None] - self.bases) ** 2, axis=1))]
        return -jax.nn.logsumexp(self.log_weights[part] - energies)
