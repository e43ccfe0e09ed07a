"""Hamiltonian Monte Carlo on {F = 0}, exact at any step size (Lelièvre, Rousset & Stoltz 2019)."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import MDF, Array, Energy, Int, RandomKey, Scalar, Vector, select
from ..box import Box
from ..manifold.multipliers import MultiplierSolver, quasi_newton
from ..volumes.manifold import Atlas
from .jumps import jump
from .leapfrog import Leap, hamiltonian, leapfrog
from .outcome import Reason
from .phase_space import Measure, PhasePoint, initial_point, on_manifold, tangent_normal
from .plain import Target
from .reparametrised import Bijection, inner_mdf

TURNS = 24
"""Binary digits of van der Corput's sequence that are used: after 16 million trajectories lengths come again."""


class ConstrainedHMCInfo(NamedTuple):
    """What one proposal reports.

    acceptance_probability, 0 where the proposal could not be made or undone. energy_error: H' - H. residual_norm:
    largest ‖F‖ that a forward solve left where it converged. iterations: of all solves. reverse_distance: farthest from
    its start that a leapfrog step ended when run backwards. reason: a `Reason`; the trajectory was taken where it is
    `ACCEPTED`.
    jump_probability: acceptance probability of the jump that followed, 0 without an atlas.
    """

    acceptance_probability: Scalar
    energy_error: Scalar
    residual_norm: Scalar
    iterations: Int[Array, ""]
    reverse_distance: Scalar
    reason: Int[Array, ""]
    jump_probability: Scalar


@pytree
@dataclass(frozen=True, eq=False)
class ConstrainedHMC(Target):
    """`num_steps` RATTLE steps of H = U + ½‖p‖², each checked to be reversible, and one Metropolis decision.

    p ← P(q)(c p + √(1-c²) ξ); each step p½ = p - (h/2) P∇U(q), q' = q + h p½ - J(q)ᵀμ with F(q') = 0,
    p' = P(q')(q' - q)/h - (h/2) P∇U(q'). A step from which the solver does not come back to q when it runs from
    (q', -p') is refused: without that the law is wrong (Zappa, Holmes-Cerfon & Goodman 2018, §2.1). Rejected
    proposals turn p round.

    mdf and energy are callable pytrees. step_size is h; persistence c in [0, 1) keeps a share of the momentum, 0
    draws it afresh. One step with c = 0 is constrained MALA; use_gradient False leaves ∇U out of the proposal, the
    random walk of Zappa et al. (2018). measure "hausdorff" targets exp(-E) by the volume of M, "ambient" the ambient
    density exp(-E) conditioned on F(x) = 0, which is exp(-E) / √det G by that volume. tolerance bounds ‖F‖ (default:
    what the dtype allows, by the gradient of each F_i), reverse_tolerance the distance at which a reversed step or jump
    counts as returned: by default 100 times the length that the tolerance on F allows, at most a tenth of the step, and
    never below ten times that length, which `run` refuses and a step raises to it: the law would be another.
    max_iterations caps each solve, for which all chains wait (default: 8, in float64 16).
    max_steps: lengths of trajectories take turns between 1 and it instead of `num_steps`, evenly and alike in all
    chains, which a length of half a turn or a period does not mislead; `warm_up` tunes it. scale L: chains move in
    z = L⁻¹x, that is with the mass matrix (L Lᵀ)⁻¹, (n,) for a diagonal one, lower triangular (n, n) for a dense one;
    `warm_up` finds it. transform: a `Bijection` φ (`biject_to` a box) in whose coordinates they move, x = φ(L z).
    Neither changes the law, for either measure.
    box: the law is restricted to it. atlas (of a manifold that `cover` charted): after each trajectory
    propose a fresh point of M from its charts, so that chains cross between components; exact, at a cost that grows
    with the number of charts.

    >>> energy = jax.tree_util.Partial(lambda x: -2 * x[0])
    >>> sampler = mcmc.ConstrainedHMC(circle.mdf, energy, step_size=0.5, num_steps=4)
    >>> chains = mcmc.run(jax.random.key(0), sampler, circle.anchors, 50)
    >>> chains.positions.shape, bool(abs((chains.positions**2).sum(axis=2) - 1).max() < 1e-5)
    ((50, 4, 2), True)
    """

    adjusted: ClassVar[bool] = True

    mdf: MDF
    energy: Energy
    step_size: Any = 0.1
    persistence: Any = 0.0
    tolerance: Any = None
    reverse_tolerance: Any = None
    box: Box | None = None
    atlas: Atlas | None = None
    scale: Any = None
    transform: Bijection | None = None
    max_steps: Any = None
    num_steps: int = field(default=1, metadata={"static": True})
    measure: Measure = field(default="hausdorff", metadata={"static": True})
    use_gradient: bool = field(default=True, metadata={"static": True})
    solver: MultiplierSolver = field(default=quasi_newton, metadata={"static": True})
    max_iterations: int | None = field(default=None, metadata={"static": True})

    def init(self, position: Vector, key: RandomKey | None = None) -> PhasePoint:
        """Start a chain at `position` (n,), which should lie on M, with a normal momentum, or none without a key."""
        turn = None if self.max_steps is None else jnp.zeros((), jnp.int32)
        return initial_point(self, position, key, turn)

    def step(self, key: RandomKey, state: PhasePoint) -> tuple[PhasePoint, ConstrainedHMCInfo]:
        """One proposal of one chain, taken or not."""
        refresh_key, accept_key, jump_key = jax.random.split(key, 3)
        start = state._replace(momentum=_refreshed(self, refresh_key, state))
        end = _trajectory(self, start)
        error = hamiltonian(end.point) - hamiltonian(start)
        made, reason = end.reason == Reason.ACCEPTED, end.reason
        for holds, otherwise in (
            (jnp.isfinite(error), Reason.NON_FINITE),
            (on_manifold(self, end.point), Reason.OUT_OF_BOUNDS),
        ):
            reason = jnp.where(made & ~holds, otherwise, reason)
            made &= holds
        probability = jnp.where(made, jnp.exp(-jnp.maximum(jnp.where(made, error, 0), 0)), 0)
        accepted = jax.random.uniform(accept_key, (), probability.dtype) < probability
        reason = jnp.where(made & ~accepted, Reason.ENERGY, reason).astype(jnp.int32)
        moved = select(accepted, end.point, start._replace(momentum=-start.momentum))
        moved = moved._replace(turn=None if moved.turn is None else moved.turn + 1)
        jump_probability = jnp.zeros_like(probability)
        if self.atlas is not None:
            moved, jump_probability = jump(jump_key, self, moved)
        return moved, ConstrainedHMCInfo(
            probability, error, end.residual_norm, end.iterations, end.reverse_distance, reason, jump_probability
        )


def _refreshed(sampler: ConstrainedHMC, key: RandomKey, state: PhasePoint) -> Vector:
    kept = jnp.asarray(sampler.persistence, state.momentum.dtype)
    fresh = tangent_normal(key, inner_mdf(sampler), state.linearization)
    return kept * state.momentum + jnp.sqrt(1 - kept**2) * fresh


def _trajectory(sampler: ConstrainedHMC, start: PhasePoint) -> Leap:
    """All its leapfrog steps; a lane whose step fails stands still for the rest, where solves cost nothing."""
    zero, none = jnp.zeros((), start.momentum.dtype), jnp.zeros((), jnp.int32)
    carry = Leap(start, none, zero, none, zero)
    if sampler.max_steps is None and sampler.num_steps == 1:
        return _lengthened(sampler, carry)
    return jax.lax.fori_loop(0, _count(sampler, start), lambda _, carry: _lengthened(sampler, carry), carry)


def _count(sampler: ConstrainedHMC, start: PhasePoint) -> Any:
    """Steps of a trajectory: `num_steps`, or the next of van der Corput's sequence in [1, max_steps].

    The sequence and not a draw: chains that began together then take turns together, and none waits for another.
    """
    if sampler.max_steps is None:
        return sampler.num_steps
    dtype = start.momentum.dtype
    share, digit, rest = jnp.zeros((), dtype), 0.5, jnp.asarray(start.turn)
    for _ in range(TURNS):
        share, digit, rest = share + digit * (rest % 2), digit / 2, rest // 2
    return 1 + jnp.floor(share * jnp.asarray(sampler.max_steps, dtype)).astype(jnp.int32)


def _lengthened(sampler: ConstrainedHMC, sofar: Leap) -> Leap:
    """One step more of a trajectory."""
    failed = sofar.reason != Reason.ACCEPTED
    leap = leapfrog(sampler, sofar.point, failed)
    return Leap(
        select(failed, sofar.point, leap.point),
        jnp.where(failed, sofar.reason, leap.reason),
        jnp.where(failed, sofar.residual_norm, jnp.maximum(sofar.residual_norm, leap.residual_norm)),
        sofar.iterations + leap.iterations,
        jnp.where(failed, sofar.reverse_distance, jnp.maximum(sofar.reverse_distance, leap.reverse_distance)),
    )
