"""Proposals from anywhere on M, so that chains cross between its parts: Metropolis–Hastings with draws of an atlas."""

import jax
import jax.numpy as jnp

from .._types import MDF, RandomKey, Scalar, select
from ..volumes.manifold import Atlas
from ..volumes.proposals import draw_one, lifts_back
from .outcome import all_finite, inside
from .phase_space import PhasePoint, phase_point, reverse_tolerance, tangent_normal


def jump(key: RandomKey, sampler, state: PhasePoint) -> tuple[PhasePoint, Scalar]:
    """One independence proposal with a fresh momentum, taken or not, and its acceptance probability.

    The draw's density q by volume is known, and min(1, π(y) q(x) / (π(x) q(y))) is exact (Tierney 1994) if charts lift
    what they hold to itself. As one may not, the way back is tried from a chart drawn as the reverse move would have
    it, and where that does not lead to x the jump is refused. A point that no chart holds is left by local moves alone.
    """
    mdf: MDF = sampler.mdf
    atlas: Atlas = jax.tree.map(lambda leaf: jnp.asarray(leaf, state.position.dtype), sampler.atlas)
    draw_key, back_key, momentum_key, accept_key = jax.random.split(key, 4)
    at, log_density = draw_one(draw_key, mdf, atlas)
    proposal = phase_point(sampler, at, tangent_normal(momentum_key, mdf, at))
    before, distance = lifts_back(back_key, mdf, atlas, state.linearization)
    log_ratio = state.potential - proposal.potential + before - log_density
    moved = jnp.linalg.norm(proposal.position - state.position)
    made = jnp.isfinite(log_density) & (distance <= reverse_tolerance(sampler, state.linearization, moved))
    made &= all_finite(proposal) & inside(sampler.box, proposal.position)
    probability = jnp.where(made, jnp.exp(jnp.minimum(jnp.where(made, log_ratio, 0), 0)), 0)
    accepted = jax.random.uniform(accept_key, (), probability.dtype) < probability
    return select(accepted, proposal, state), probability
