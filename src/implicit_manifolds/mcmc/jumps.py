"""Proposals from anywhere on M, so that chains cross between its parts: Metropolis–Hastings with draws of an atlas."""

import jax
import jax.numpy as jnp

from .._types import MDF, RandomKey, Scalar, select
from ..manifold.tangent import linearize
from ..volumes.manifold import Atlas
from ..volumes.proposals import draw_one, lifts_back
from .outcome import all_finite
from .phase_space import PhasePoint, initial_point, on_manifold, potential_by_volume, reverse_tolerance
from .reparametrised import reparametrisation


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
    drawn = draw_one(draw_key, mdf, atlas)
    there, (here, potential) = drawn.linearization, _by_volume(sampler, state)
    proposal = initial_point(sampler, there.position, momentum_key, state.turn)
    before, distance = lifts_back(back_key, mdf, atlas, here)
    log_ratio = potential - _by_volume(sampler, proposal)[1] + before - drawn.log_density
    moved = jnp.linalg.norm(there.position - here.position)
    made = jnp.isfinite(drawn.log_density) & (distance <= reverse_tolerance(sampler, here, moved))
    made &= drawn.distance <= reverse_tolerance(sampler, there, moved)
    made &= all_finite(proposal) & on_manifold(sampler, proposal)
    probability = jnp.where(made, jnp.exp(jnp.minimum(jnp.where(made, log_ratio, 0), 0)), 0)
    accepted = jax.random.uniform(accept_key, (), probability.dtype) < probability
    return select(accepted, proposal, state), probability


def _by_volume(sampler, point: PhasePoint):
    """F to first order in x, which is what charts know of, and -log of the density by volume in x."""
    if reparametrisation(sampler) is None:
        return point.linearization, point.potential
    return linearize(sampler.mdf, point.position), potential_by_volume(sampler, point.position)
