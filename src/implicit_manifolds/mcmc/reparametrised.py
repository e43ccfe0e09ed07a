"""The coordinates z in which chains move: x = φ(L z), a bijection φ after a linear map L, which is a mass matrix.

RATTLE for the kinetic energy ½ pᵀ L Lᵀ p in y = φ⁻¹(x) is RATTLE with unit masses in z = L⁻¹ y, on {F(φ(L z)) = 0}.
So a metric and a change of variables are one thing, and no integrator needs to know of either; the law needs to know
that volume is counted in x.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from .._pytree import pytree
from .._types import MDF, Scalar, Vector
from ..box import Box
from ..manifold.algebra import pull_back


@runtime_checkable
class Bijection(Protocol):
    """A smooth bijection φ of R^n onto an open set, a callable pytree with its inverse and log |det φ'|.

    >>> isinstance(mcmc.biject_to(im.Box(jnp.zeros(2), jnp.full(2, jnp.inf))), mcmc.Bijection)
    True
    """

    def __call__(self, y: Vector) -> Vector:
        """φ(y), (n,) to (n,)."""
        ...

    def inverse(self, x: Vector) -> Vector:
        """φ⁻¹(x), (n,) to (n,)."""
        ...

    def log_det(self, y: Vector) -> Scalar:
        """Log |det φ'(y)|."""
        ...


@pytree
@dataclass(frozen=True, eq=False)
class BoxBijection:
    """R^n onto the interior of a box: exp for half a line, a logistic curve for an interval, else the identity."""

    low: Any
    high: Any

    def _kinds(self):
        return jnp.isfinite(self.low), jnp.isfinite(self.high)

    def _bounds(self):
        has_low, has_high = self._kinds()
        return jnp.where(has_low, self.low, 0), jnp.where(has_high, self.high, 0)

    def __call__(self, y: Vector) -> Vector:
        """φ(y), (n,) to (n,)."""
        (has_low, has_high), (low, high) = self._kinds(), self._bounds()
        # Each exponential where it is needed alone: its derivative overflows elsewhere, and zero times that is NaN.
        above = low + jnp.exp(jnp.where(has_low & ~has_high, y, 0))
        below = high - jnp.exp(jnp.where(has_high & ~has_low, y, 0))
        # From the nearer end, so that points near either are told apart.
        width = high - low
        between = jnp.where(y < 0, low + width * jax.nn.sigmoid(y), high - width * jax.nn.sigmoid(-y))
        return jnp.where(has_low & has_high, between, jnp.where(has_low, above, jnp.where(has_high, below, y)))

    def inverse(self, x: Vector) -> Vector:
        """φ⁻¹(x), (n,) to (n,); not finite outside of the box or on its edge."""
        (has_low, has_high), (low, high) = self._kinds(), self._bounds()
        left, right = jnp.log(jnp.where(has_low, x - low, 1)), jnp.log(jnp.where(has_high, high - x, 1))
        return jnp.where(has_low & has_high, left - right, jnp.where(has_low, left, jnp.where(has_high, right, x)))

    def log_det(self, y: Vector) -> Scalar:
        """Log |det φ'(y)|, a sum over coordinates."""
        (has_low, has_high), (low, high) = self._kinds(), self._bounds()
        between = jnp.log(jnp.where(has_low & has_high, high - low, 1)) + jax.nn.log_sigmoid(y) + jax.nn.log_sigmoid(-y)
        return jnp.sum(jnp.where(has_low & has_high, between, jnp.where(has_low | has_high, y, 0)))


def biject_to(box: Box) -> BoxBijection:
    """The bijection of R^n onto the interior of a box, whose bounds may be infinite, as the `transform` of a sampler.

    Chains then move in unbounded coordinates and come as near to an edge as the law asks, where a `box` alone refuses
    every step across it. The law is the same.

    Arguments:
        box: low and high, (n,) each; -inf and inf where there is no bound.

    Returns:
        A `Bijection`.

    >>> positive = mcmc.biject_to(im.Box(jnp.zeros(2), jnp.full(2, jnp.inf)))
    >>> positive(jnp.array([0.0, 1.0])).round(3).tolist()
    [1.0, 2.718...]
    """
    return BoxBijection(box.low, box.high)


@pytree
@dataclass(frozen=True, eq=False)
class Reparametrisation:
    """Z -> φ(L z); φ None is the identity, L () or (n,) or lower triangular (n, n), None for the identity."""

    transform: Any = None
    scale: Any = None

    def __call__(self, z: Vector) -> Vector:
        """x, (n,)."""
        y = self.scaled(z)
        return y if self.transform is None else self.transform(y)

    def scaled(self, z: Vector) -> Vector:
        """Y = L z, (n,)."""
        if self.scale is None:
            return z
        scale = jnp.asarray(self.scale, z.dtype)
        return scale @ z if scale.ndim == 2 else scale * z

    def inverse(self, x: Vector) -> Vector:
        """z, (n,)."""
        y = x if self.transform is None else self.transform.inverse(x)
        if self.scale is None:
            return y
        scale = jnp.asarray(self.scale, y.dtype)
        return solve_triangular(scale, y, lower=True) if scale.ndim == 2 else y / scale

    def log_det(self, z: Vector) -> Any:
        """Log |det dx/dz| but for that of L, which is the same everywhere."""
        return 0.0 if self.transform is None else self.transform.log_det(self.scaled(z))


def reparametrisation(sampler: Any) -> Reparametrisation | None:
    """How a sampler's z and x hang together, None where they are the same."""
    transform, scale = getattr(sampler, "transform", None), getattr(sampler, "scale", None)
    return None if transform is None and scale is None else Reparametrisation(transform, scale)


def inner_mdf(sampler: Any) -> MDF:
    """F as a function of z."""
    change = reparametrisation(sampler)
    return sampler.mdf if change is None else pull_back(sampler.mdf, change)
