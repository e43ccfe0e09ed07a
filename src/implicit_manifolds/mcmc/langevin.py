"""Ambient (unconstrained, unadjusted) Langevin dynamics: the negatives of step 1, and plain EBMs."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import Array, Energy, Int, RandomKey, Scalar, Vector, select
from .outcome import Reason, all_finite
from .plain import Target


class LangevinState(NamedTuple):
    """position (n,) and ∇E there (n,)."""

    position: Vector
    energy_gradient: Vector


class LangevinInfo(NamedTuple):
    """gradient_norm ‖∇E‖ before clipping. reason: `ACCEPTED`, or `NON_FINITE` where the chain stayed (`Reason`)."""

    gradient_norm: Scalar
    reason: Int[Array, ""]


@pytree
@dataclass(frozen=True, eq=False)
class Langevin(Target):
    """x ← x - (α/2) clip(∇E(x), ±c) + ε ξ, ξ ~ N(0, I) (Ross et al. 2023, §3.1).

    energy: a callable pytree, (n,) to a scalar. noise_scale is ε; drift_scale is α and defaults to ε²,
    the only value that targets exp(-E): others target exp(-E α/ε²). gradient_clip c, entrywise, or None.

    >>> energy = jax.tree_util.Partial(lambda x: jnp.sum(x**2) / 2)
    >>> sampler = mcmc.Langevin(energy, noise_scale=0.1)
    >>> mcmc.run(jax.random.key(0), sampler, jnp.zeros((3, 2)), 5).positions.shape
    (5, 3, 2)
    """

    energy: Energy
    noise_scale: Any = 0.1
    drift_scale: Any = None
    gradient_clip: Any = None

    def init(self, position: Vector, key: RandomKey | None = None) -> LangevinState:
        """Start a chain at `position` (n,); the key is not used."""
        return LangevinState(position, gradient_where_finite(self.energy, position))

    def step(self, key: RandomKey, state: LangevinState) -> tuple[LangevinState, LangevinInfo]:
        """One step; the chain stays where it was when E or ∇E is not finite where it would go."""
        x = state.position
        noise = jax.random.normal(key, x.shape, x.dtype)
        proposal = self.init(x - scaled_drift(self, state.energy_gradient) + self.noise_scale * noise)
        finite = all_finite(proposal)
        reason = jnp.where(finite, Reason.ACCEPTED, Reason.NON_FINITE).astype(jnp.int32)
        return select(finite, proposal, state), LangevinInfo(jnp.linalg.norm(state.energy_gradient), reason)


def gradient_where_finite(energy: Energy, x: Vector) -> Vector:
    """∇E (n,), NaN where E itself is not finite: what is constant there has a gradient of zero."""
    value, gradient = jax.value_and_grad(energy)(x)
    return jnp.where(jnp.isfinite(value), gradient, jnp.nan)


def scaled_drift(sampler, gradient: Vector) -> Vector:
    """(α/2) clip(∇E, ±c), (n,), with α = ε² unless the sampler says otherwise."""
    drift_scale = sampler.noise_scale**2 if sampler.drift_scale is None else sampler.drift_scale
    if sampler.gradient_clip is not None:
        gradient = jnp.clip(gradient, -sampler.gradient_clip, sampler.gradient_clip)
    return 0.5 * drift_scale * gradient
