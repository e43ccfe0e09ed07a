"""One RATTLE step of H = U + ½‖p‖², and whether it leads back when it is reversed."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from .._types import Array, Bool, Int, Scalar, select
from .outcome import Reason, all_finite
from .phase_space import PhasePoint, geodesic_step, iteration_cap, phase_point, reverse_tolerance
from .reparametrised import inner_mdf


class Leap(NamedTuple):
    """Where a step ended, or where it started if it could not be made or undone, and why.

    residual_norm: ‖F‖ that the forward solve left, 0 where it did not converge. iterations: of both solves.
    reverse_distance: from its start of where the reversed step ended, infinite where that solve failed, 0 where there
    was no way back to try.
    """

    point: PhasePoint
    reason: Int[Array, ""]
    residual_norm: Scalar
    iterations: Int[Array, ""]
    reverse_distance: Scalar


def leapfrog(sampler: Any, point: PhasePoint, stands: Bool[Array, ""]) -> Leap:
    """p½ = p - (h/2) P∇U, z' = z + h p½ - J(z)ᵀμ with F(z') = 0, p' = P(z') (z' - z)/h - (h/2) P∇U(z'), and back.

    A lane that `stands` goes nowhere, where solves cost nothing.
    """
    at, step_size = point.linearization, jnp.asarray(sampler.step_size, point.momentum.dtype)
    half = 0.5 * step_size
    momentum = jnp.where(stands, 0, point.momentum - half * point.slope)
    arrived, velocity, found = geodesic_step(sampler, at, momentum, step_size)
    # Where the way there failed there is no way back to try; a solve from z itself costs nothing.
    undone = jnp.where(found.converged, arrived.position - step_size * velocity, at.position)
    origin = select(found.converged, arrived, at)
    back = sampler.solver(inner_mdf(sampler), origin, undone, sampler.tolerance, iteration_cap(sampler, at))
    distance = jnp.where(back.converged, jnp.linalg.norm(back.position - at.position), jnp.inf)
    allowed = reverse_tolerance(sampler, at, jnp.linalg.norm(found.position - at.position))
    end = phase_point(sampler, arrived, velocity, point.turn)
    end = end._replace(momentum=velocity - half * end.slope)
    reason = jnp.where(all_finite(end), Reason.ACCEPTED, Reason.NON_FINITE)
    reason = jnp.where(distance <= allowed, reason, Reason.NOT_REVERSIBLE)
    reason = jnp.where(found.converged, reason, Reason.NOT_CONVERGED)
    reason = jnp.where(jnp.all(jnp.isfinite(momentum)), reason, Reason.NON_FINITE).astype(jnp.int32)
    return Leap(
        select(reason == Reason.ACCEPTED, end, point),
        reason,
        jnp.where(found.converged, jnp.linalg.norm(found.residual), 0),
        found.iterations + back.iterations,
        jnp.where(found.converged, distance, 0),
    )


def hamiltonian(point: PhasePoint) -> Scalar:
    """H = U + ½‖p‖²."""
    return point.potential + 0.5 * jnp.sum(point.momentum**2)
