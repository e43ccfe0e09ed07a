"""Constrained Langevin Monte Carlo on {F = 0} (Ross et al. 2023, Algorithm 1; Brubaker et al. 2012)."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import MDF, Array, Energy, Float, RandomKey, Vector, select
from ..box import Box
from ..manifold.multipliers import MultiplierSolver, quasi_newton
from ..manifold.tangent import Linearization, linearize, linearize_near, tangent_projection
from .langevin import gradient_where_finite, scaled_drift
from .outcome import Reason, StepInfo, inside, reason_of
from .plain import Target

ROUGHLY = 0.1
"""Share of a step's normal part that conjugate gradients may leave to the multiplier."""


class ConstrainedLangevinState(NamedTuple):
    """A point of M with what the next step reuses: F to first order there, and ∇E (n,)."""

    linearization: Linearization
    energy_gradient: Vector

    @property
    def position(self) -> Float[Array, "*batch n"]:
        """The point itself, (n,); of a batch of states, (..., n)."""
        return self.linearization.position


@pytree
@dataclass(frozen=True, eq=False)
class ConstrainedLangevin(Target):
    """x' = x + ε P r - (α/2) clip(∇E, ±c) - (α/2) J(x)ᵀλ, r ~ N(0, I), λ such that F(x') = 0.

    The paper's step (eqs. 11-13) with one addition: where no λ is found, the chain stays and
    `StepInfo` says so. noise_scale is ε; drift_scale is α and defaults to ε²,
    the only value that targets exp(-E) on M: others target exp(-E α/ε²). Unadjusted, so the law is off by
    O(ε²). mdf and energy are callable pytrees. tolerance bounds ‖F‖ (default: what the dtype
    allows); max_iterations None leaves the cap to the solver. A step that leaves the box is not taken.
    tangent_tolerance: share of a step's normal part that conjugate gradients may leave to the multiplier; None projects
    as exactly as rounding allows, which the paper's descent needs, too slow to make up for it.

    >>> energy = jax.tree_util.Partial(lambda x: -2 * x[0])
    >>> sampler = mcmc.ConstrainedLangevin(circle.mdf, energy, noise_scale=0.1)
    >>> chains = mcmc.run(jax.random.key(0), sampler, circle.anchors, 50)
    >>> chains.positions.shape, bool(abs((chains.positions**2).sum(axis=2) - 1).max() < 1e-5)
    ((50, 4, 2), True)
    """

    mdf: MDF
    energy: Energy
    noise_scale: Any = 0.1
    drift_scale: Any = None
    gradient_clip: Any = None
    tolerance: Any = None
    box: Box | None = None
    solver: MultiplierSolver = field(default=quasi_newton, metadata={"static": True})
    max_iterations: int | None = field(default=None, metadata={"static": True})
    tangent_tolerance: float | None = field(default=ROUGHLY, metadata={"static": True})

    def init(self, position: Vector, key: RandomKey | None = None) -> ConstrainedLangevinState:
        """Start a chain at `position` (n,), which should lie on M; the key is not used."""
        return self._state(linearize(self.mdf, position))

    def _state(self, at: Linearization) -> ConstrainedLangevinState:
        return ConstrainedLangevinState(at, gradient_where_finite(self.energy, at.position))

    def step(self, key: RandomKey, state: ConstrainedLangevinState) -> tuple[ConstrainedLangevinState, StepInfo]:
        """One step of one chain."""
        at = state.linearization
        noise = jax.random.normal(key, at.position.shape, at.position.dtype)
        move = self.noise_scale * noise - scaled_drift(self, state.energy_gradient)
        # Eqs. 11-12. P may act on the drift as well, and roughly: x' is sought along the normals anyway.
        point = at.position + tangent_projection(self.mdf, at, move, self.tangent_tolerance)
        # Eq. 13: F(point - Jᵀμ) = 0, with μ = (α/2) λ.
        found = self.solver(self.mdf, at, point, self.tolerance, self.max_iterations)
        proposal = self._state(linearize_near(self.mdf, at, found.position))
        finite = jnp.all(jnp.isfinite(proposal.energy_gradient))
        within = inside(self.box, proposal.position, proposal.linearization.within)
        reason = reason_of(found.converged, finite, within)
        info = StepInfo(jnp.linalg.norm(found.residual), found.iterations, reason)
        return select(reason == Reason.ACCEPTED, proposal, state), info
