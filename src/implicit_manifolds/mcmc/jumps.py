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
    what they hold to itself. As one may not, the same is asked of both ends, to the same accuracy: y must be where its
    chart lifts its projection, and x where a chart lifts that of x, drawn as the reverse move would have it. Asked of x
    alone, points with coarser rounding are arrived at more often than left. A point that no chart holds is left by
    local moves alone.
    """
    mdf: MDF = sampler.mdf
    atlas: Atlas = jax.tree.map(lambda leaf: jnp.asarray(leaf, state.position.dtype), sampler.atlas)
    draw_key, back_key, momentum_key, accept_key = jax.random.split(key, 4)
    drawn, here = draw_one(draw_key, mdf, atlas), state.linearization
    there = drawn.linearization
    proposal = phase_point(sampler, there, tangent_normal(momentum_key, mdf, there))
    before, distance = lifts_back(back_key, mdf, atlas, here)
    log_ratio = state.potential - proposal.potential + before - drawn.log_density
    moved = jnp.linalg.norm(proposal.position - state.position)
    made = jnp.isfinite(drawn.log_density) & (distance <= reverse_tolerance(sampler, here, moved))
    made &= drawn.distance <= reverse_tolerance(sampler, there, moved)
    made &= all_finite(proposal) & inside(sampler.box, proposal.linearization)
    probability = jnp.where(made, jnp.exp(jnp.minimum(jnp.where(made, log_ratio, 0), 0)), 0)
    accepted = jax.random.uniform(accept_key, (), probability.dtype) < probability
    return select(accepted, proposal, state), probability
