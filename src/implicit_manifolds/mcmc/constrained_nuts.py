"""The no-U-turn sampler on {F = 0}: trajectories that end by themselves (Hoffman & Gelman 2014; Betancourt 2017)."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .._loops import bounded_while
from .._pytree import pytree
from .._types import MDF, Array, Bool, Energy, Int, RandomKey, Scalar, Vector, select
from ..box import Box
from ..manifold.multipliers import MultiplierSolver, quasi_newton
from ..manifold.tangent import linearize
from .leapfrog import Leap, hamiltonian, leapfrog
from .outcome import Reason
from .phase_space import Measure, PhasePoint, initial_point, on_manifold, phase_point, tangent_normal
from .plain import Target
from .reparametrised import Bijection, inner_mdf
from .u_turn import Subtrees, across_turned, has_turned, none_open, with_leaf

DIVERGENT = 1000.0
"""An energy error beyond which a trajectory is given up, as in Stan."""


class ConstrainedNUTSInfo(NamedTuple):
    """What one trajectory reports.

    acceptance_probability: mean of min(1, exp(H - H')) over its steps, 0 for one that could not be made or undone.
    energy_error: H' - H of the draw. residual_norm: largest ‖F‖ that a forward solve left where it converged.
    iterations: of all solves. reverse_distance: farthest from its start that a step ended when run backwards. reason:
    `ACCEPTED` where the trajectory ended by itself, else why it was cut: the chain then took what it had before the
    subtree that failed.
    num_steps: leapfrog steps.
    """

    acceptance_probability: Scalar
    energy_error: Scalar
    residual_norm: Scalar
    iterations: Int[Array, ""]
    reverse_distance: Scalar
    reason: Int[Array, ""]
    num_steps: Int[Array, ""]


class _Draw(NamedTuple):
    """One state of a tree, drawn by its weight: z (n,) and H - H₀; log of the tree's weight, its momenta's sum (n,)."""

    position: Vector
    error: Scalar
    log_weight: Scalar
    total: Vector


class Trajectory(NamedTuple):
    """A tree and the subtree that is being grown at its end `here`; momenta of both ends point outwards.

    key: of its steps. before: H at its start. subtrees: of the subtree, those that are open.
    """

    key: RandomKey
    before: Scalar
    here: PhasePoint
    there: PhasePoint
    tree: _Draw
    subtree: _Draw
    subtrees: Subtrees
    leaf: Int[Array, ""]
    depth: Int[Array, ""]
    going: Bool[Array, ""]
    steps: Int[Array, ""]
    acceptance: Scalar
    residual_norm: Scalar
    iterations: Int[Array, ""]
    reverse_distance: Scalar
    reason: Int[Array, ""]


@pytree
@dataclass(frozen=True, eq=False)
class ConstrainedNUTS(Target):
    """Multinomial no-U-turn trajectories of RATTLE steps, each checked to be reversible.

    A trajectory is doubled, forwards or backwards at random, until its ends turn towards each other: until
    p·(Σp - ½(p_first + p_last)) ≤ 0 at either end, the sum over tangent momenta as they stand in space (Betancourt
    2017, A.4.2, with the ends at half weight); or until either half does with the nearest state of the other. The draw
    is progressive, biased to the new half (ibid., A.3.2). A half with a step that cannot be made or undone, leaves M,
    or errs by more than 1000 in energy is left out, and the trajectory ends: the rest would have been built from any of
    its states, so the law is exact. At most 2^max_depth - 1 steps.

    All else as for `ConstrainedHMC`. Lengths fit the place where a chain stands and need no tuning. In `run` no chain
    waits for another's trajectory, and warm-up cuts the longest; where `step` is mapped over chains, as in tempering,
    all wait for the longest.

    >>> sampler = mcmc.ConstrainedNUTS(circle.mdf, lambda x: -2 * x[0], step_size=0.5)
    >>> chains = mcmc.run(jax.random.key(0), sampler, circle.anchors, 50)
    >>> chains.positions.shape, bool(abs((chains.positions**2).sum(axis=2) - 1).max() < 1e-5)
    ((50, 4, 2), True)
    """

    adjusted: ClassVar[bool] = True

    mdf: MDF
    energy: Energy
    step_size: Any = 0.1
    tolerance: Any = None
    reverse_tolerance: Any = None
    box: Box | None = None
    scale: Any = None
    transform: Bijection | None = None
    max_depth: int = field(default=8, metadata={"static": True})
    measure: Measure = field(default="hausdorff", metadata={"static": True})
    solver: MultiplierSolver = field(default=quasi_newton, metadata={"static": True})
    max_iterations: int | None = field(default=None, metadata={"static": True})

    def init(self, position: Vector, key: RandomKey | None = None) -> PhasePoint:
        """Start a chain at `position` (n,), which should lie on M; the key is not used."""
        return initial_point(self, position, None)

    def step(self, key: RandomKey, state: PhasePoint) -> tuple[PhasePoint, ConstrainedNUTSInfo]:
        """One trajectory of one chain, and a draw from it."""
        path, _ = bounded_while(lambda path: path.going, self.extend, self.begin(key, state), 2**self.max_depth - 1)
        return self.finish(state, path)

    def begin(self, key: RandomKey, state: PhasePoint) -> Trajectory:
        """A trajectory that has not left `state`, with momenta of its own."""
        momentum_key, key = jax.random.split(key)
        start = state._replace(momentum=tangent_normal(momentum_key, inner_mdf(self), state.linearization))
        return _begun(self, key, start)

    def extend(self, path: Trajectory) -> Trajectory:
        """One step more, and where it completes a subtree, that subtree joined to the tree."""
        return _longer(self, path)

    def finish(self, state: PhasePoint, path: Trajectory) -> tuple[PhasePoint, ConstrainedNUTSInfo]:
        """The draw of a trajectory that has ended and began at `state`."""
        # Drawn states are kept without what goes with them: one evaluation more, and no copies at every step.
        moved = path.tree.error != 0
        at = linearize(inner_mdf(self), path.tree.position)
        end = select(moved, phase_point(self, at, jnp.zeros_like(state.momentum)), state)
        acceptance = path.acceptance / jnp.maximum(path.steps, 1)
        return end, ConstrainedNUTSInfo(
            acceptance,
            path.tree.error,
            path.residual_norm,
            path.iterations,
            path.reverse_distance,
            path.reason,
            path.steps,
        )


def _begun(sampler: ConstrainedNUTS, key: RandomKey, start: PhasePoint) -> Trajectory:
    zero, none = jnp.zeros((), start.momentum.dtype), jnp.zeros((), jnp.int32)
    tree = _Draw(start.linearization.position, zero, zero, start.momentum)
    there = start._replace(momentum=-start.momentum)
    going = jnp.all(jnp.isfinite(start.momentum)) & jnp.isfinite(start.potential)
    reason = jnp.where(going, Reason.ACCEPTED, Reason.NON_FINITE).astype(jnp.int32)
    return Trajectory(
        key,
        hamiltonian(start),
        start,
        there,
        tree,
        _nothing(tree),
        none_open(sampler.max_depth, start.momentum),
        none,
        none,
        going,
        none,
        zero,
        zero,
        none,
        zero,
        reason,
    )


def _nothing(draw: _Draw) -> _Draw:
    """The draw of a tree without leaves."""
    return draw._replace(log_weight=jnp.full_like(draw.log_weight, -jnp.inf), total=jnp.zeros_like(draw.total))


def _longer(sampler: ConstrainedNUTS, path: Trajectory) -> Trajectory:
    leap = leapfrog(sampler, path.here, ~path.going)
    error = hamiltonian(leap.point) - path.before
    reason = _why_not(sampler, leap, error)
    made = reason == Reason.ACCEPTED
    uniforms = jax.random.uniform(jax.random.fold_in(path.key, path.steps), (3,), error.dtype)
    subtree = _with_leaf(path.subtree, leap.point, error, made, uniforms[0])
    subtrees, turned = with_leaf(path.subtrees, path.leaf, path.here.momentum, leap.point.momentum, subtree.total)
    path = path._replace(
        here=leap.point,
        subtree=subtree,
        subtrees=subtrees,
        leaf=path.leaf + 1,
        going=made & ~turned,
        steps=path.steps + 1,
        acceptance=path.acceptance + jnp.where(made, jnp.exp(-jnp.maximum(jnp.where(made, error, 0), 0)), 0),
        residual_norm=jnp.maximum(path.residual_norm, leap.residual_norm),
        iterations=path.iterations + leap.iterations,
        reverse_distance=jnp.maximum(path.reverse_distance, leap.reverse_distance),
        reason=reason,
    )
    complete = path.going & (path.leaf == 1 << path.depth)
    return select(complete, _joined(sampler, path, uniforms[1], uniforms[2]), path)


def _why_not(sampler: ConstrainedNUTS, leap: Leap, error: Scalar) -> Int[Array, ""]:
    reason = leap.reason
    for holds, otherwise in (
        (jnp.isfinite(error), Reason.NON_FINITE),
        (error < DIVERGENT, Reason.ENERGY),
        (on_manifold(sampler, leap.point), Reason.OUT_OF_BOUNDS),
    ):
        reason = jnp.where((reason == Reason.ACCEPTED) & ~holds, otherwise, reason)
    return reason.astype(jnp.int32)


def _with_leaf(subtree: _Draw, leaf: PhasePoint, error: Scalar, made: Any, uniform: Scalar) -> _Draw:
    """The subtree with one more state, which is its draw with its share of the weight."""
    weight = jnp.where(made, -error, -jnp.inf)
    log_weight = jnp.logaddexp(subtree.log_weight, weight)
    taken = made & (jnp.log(uniform) < weight - log_weight)
    return _Draw(
        jnp.where(taken, leaf.linearization.position, subtree.position),
        jnp.where(taken, error, subtree.error),
        log_weight,
        subtree.total + leaf.momentum,
    )


def _joined(sampler: ConstrainedNUTS, path: Trajectory, take: Scalar, turn: Scalar) -> Trajectory:
    """The tree with its complete subtree; whether to go on, and from which end."""
    tree, subtree = path.tree, path.subtree
    taken = jnp.log(take) < subtree.log_weight - tree.log_weight
    total = tree.total + subtree.total
    start, last, first, end = (
        -path.there.momentum,
        path.subtrees.lasts[:, 0],
        path.subtrees.firsts[:, 0],
        path.here.momentum,
    )
    turned = has_turned(start, end, total) | across_turned(start, last, first, end, tree.total, subtree.total)
    swap = turn < 0.5
    tree = _Draw(
        jnp.where(taken, subtree.position, tree.position),
        jnp.where(taken, subtree.error, tree.error),
        jnp.logaddexp(tree.log_weight, subtree.log_weight),
        jnp.where(swap, -total, total),
    )
    depth = path.depth + 1
    return path._replace(
        here=select(swap, path.there, path.here),
        there=select(swap, path.here, path.there),
        tree=tree,
        subtree=_nothing(tree),
        leaf=jnp.zeros_like(path.leaf),
        depth=depth,
        going=~turned & (depth < sampler.max_depth),
    )
