"""Geodesic Langevin dynamics on {F = 0}, unadjusted and of second order (Leimkuhler & Matthews 2016, g-BAOAB)."""

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp

from .._pytree import pytree
from .._types import MDF, Energy, RandomKey, Vector, select
from ..box import Box
from ..manifold.multipliers import MultiplierSolver, quasi_newton
from .outcome import Reason, StepInfo, all_finite, reason_of
from .phase_space import Measure, PhasePoint, geodesic_step, initial_point, on_manifold, phase_point, tangent_normal
from .plain import Target


@pytree
@dataclass(frozen=True, eq=False)
class GeodesicLangevin(Target):
    """Half a kick, half a drift, friction and noise, half a drift, half a kick; the law is off by O(h²).

    B: p ← p - (h/2) P∇U. A: a RATTLE step of h/2 without forces. O: p ← c p + √(1-c²) P ξ, c = exp(-γ h).
    friction is γ, step_size h; the rest as for `ConstrainedHMC`. No Metropolis step and no reversibility check: use it
    where a bias of O(h²) in the law does not matter. A step that does not converge leaves the chain where it was, its
    momentum turned round.

    >>> energy = jax.tree_util.Partial(lambda x: -2 * x[0])
    >>> sampler = mcmc.GeodesicLangevin(circle.mdf, energy, step_size=0.1)
    >>> chains = mcmc.run(jax.random.key(0), sampler, circle.anchors, 50)
    >>> chains.positions.shape, bool(abs((chains.positions**2).sum(axis=2) - 1).max() < 1e-5)
    ((50, 4, 2), True)
    """

    mdf: MDF
    energy: Energy
    step_size: Any = 0.1
    friction: Any = 1.0
    tolerance: Any = None
    box: Box | None = None
    measure: Measure = field(default="hausdorff", metadata={"static": True})
    solver: MultiplierSolver = field(default=quasi_newton, metadata={"static": True})
    max_iterations: int | None = field(default=None, metadata={"static": True})

    def init(self, position: Vector, key: RandomKey | None = None) -> PhasePoint:
        """Start a chain at `position` (n,), which should lie on M, with a normal momentum, or none without a key."""
        return initial_point(self, position, key)

    def step(self, key: RandomKey, state: PhasePoint) -> tuple[PhasePoint, StepInfo]:
        """One step of one chain."""
        half = 0.5 * jnp.asarray(self.step_size, state.position.dtype)
        momentum = state.momentum - half * state.slope
        middle, momentum, first = geodesic_step(self, state.linearization, momentum, half)
        kept = jnp.exp(-2 * half * self.friction)
        momentum = kept * momentum + jnp.sqrt(1 - kept**2) * tangent_normal(key, self.mdf, middle)
        last, momentum, second = geodesic_step(self, middle, momentum, half)
        end = phase_point(self, last, momentum)
        end = end._replace(momentum=momentum - half * end.slope)
        reason = reason_of(first.converged & second.converged, all_finite(end), on_manifold(self, end))
        size = jnp.maximum(jnp.linalg.norm(first.residual), jnp.linalg.norm(second.residual))
        info = StepInfo(size, first.iterations + second.iterations, reason)
        return select(reason == Reason.ACCEPTED, end, state._replace(momentum=-state.momentum)), info
