"""Ambient (unconstrained, unadjusted) Langevin dynamics: the negatives of step 1, and plain EBMs."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import Energy, RandomKey, Scalar, Vector
from .plain import Target


class LangevinState(NamedTuple):
    """position (n,)."""

    position: Vector


class LangevinInfo(NamedTuple):
    """gradient_norm ‖∇E‖ before clipping."""

    gradient_norm: Scalar


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
        return LangevinState(position)

    def step(self, key: RandomKey, state: LangevinState) -> tuple[LangevinState, LangevinInfo]:
        """One step; a gradient that is not finite leaves the position not finite, for the host to see."""
        x = state.position
        gradient = jax.grad(self.energy)(x)
        drift = scaled_drift(self, gradient)
        noise = jax.random.normal(key, x.shape, x.dtype)
        return LangevinState(x - drift + self.noise_scale * noise), LangevinInfo(jnp.linalg.norm(gradient))


def scaled_drift(sampler, gradient: Vector) -> Vector:
    """(α/2) clip(∇E, ±c), (n,), with α = ε² unless the sampler says otherwise."""
    drift_scale = sampler.noise_scale**2 if sampler.drift_scale is None else sampler.drift_scale
    if sampler.gradient_clip is not None:
        gradient = jnp.clip(gradient, -sampler.gradient_clip, sampler.gradient_clip)
    return 0.5 * drift_scale * gradient
