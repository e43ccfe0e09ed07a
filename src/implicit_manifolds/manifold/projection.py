"""From ambient points to {F = 0}: a zero nearby, and a distance to first order."""

from typing import NamedTuple

import jax.numpy as jnp

from .._loops import bounded_while
from .._types import MDF, Array, Bool, Int, Number, Residual, Scalar, Vector, relative_tolerance, select
from .multipliers import residual_weights
from .tangent import FramedMDF, Linearization, linearize, linearize_near, pseudo_inverse_times

INEXACT, INEXACT_MOST = 0.1, 100
"""Share of F that conjugate gradients may leave to the next Gauss-Newton step, which sees another F anyway; and their
iterations, which few singular values near zero would multiply. A step that is cut short still leads down ‖F‖."""


class Projection(NamedTuple):
    """position (n,) reached, its residual F (k,), iterations, and whether ‖F‖ met the tolerance within F's domain."""

    position: Vector
    residual: Residual
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


def project(mdf: MDF, point: Vector, tolerance: Number | None = None, max_iterations: int = 50) -> Projection:
    """A zero of F near a point, by Gauss-Newton steps x -= J⁺F inside a trust region.

    With many constraints the steps are inexact (Dembo, Eisenstat & Steihaug 1982). Where no zero is
    reached (a plateau of ‖F‖, a rank-deficient J) `converged` is False and `position` is the best iterate.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        point: (n,), anywhere.
        tolerance: of ‖F‖; None for what the dtype allows (`residual_weights`).
        max_iterations: how many steps at most.

    Returns:
        `Projection`: the zero (n,), its residual (k,), iterations, and whether it converged.

    >>> manifold.project(circle.mdf, jnp.array([3.0, 4.0])).position.round(3).tolist()
    [0.6..., 0.8...]
    """

    def excess(at):
        return jnp.linalg.norm(residual_weights(at, tolerance) * at.residual)

    def unsolved(carry):
        at, radius = carry
        stuck = radius < relative_tolerance(point.dtype)
        return (excess(at) > 1) & ~stuck & jnp.isfinite(excess(at))

    def body(carry):
        at, radius = carry
        step = -pseudo_inverse_times(mdf, at, at.residual, INEXACT, INEXACT_MOST)
        length = jnp.linalg.norm(step)
        usable = jnp.isfinite(length) & (length > 0)
        taken = jnp.minimum(length, radius)
        step = jnp.where(usable, step * (taken / jnp.where(usable, length, 1)), 0)
        trial = linearize_near(mdf, at, at.position + step)
        better = jnp.linalg.norm(trial.residual) < jnp.linalg.norm(at.residual)
        radius = jnp.where(better, 2 * radius, taken / 2) * usable
        return select(better, trial, at), radius

    # Half the reach of the point: F far outside the data is arbitrary, so no step may leap there.
    radius = (1 + jnp.linalg.norm(point)) / 2
    start = mdf.approach(point) if isinstance(mdf, FramedMDF) else point
    carry = (linearize(mdf, start), radius)
    (at, _), iterations = bounded_while(unsolved, body, carry, max_iterations)
    return Projection(at.position, at.residual, iterations, within_domain(at, excess(at) <= 1))


def within_domain(at: Linearization, found: Bool[Array, ""]) -> Bool[Array, ""]:
    """Whether a point was found, and is within F's own domain, if F has one."""
    return found if at.within is None else found & at.within


def sampson_distance(mdf: MDF, point: Vector) -> Scalar:
    """First-order distance (FᵀG⁻¹F)^½ of a point from M (Sampson 1982), in the units of the point.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        point: (n,); the nearer to M, the nearer is the result to the distance.

    Returns:
        A scalar, not finite where J loses rank.

    >>> round(float(manifold.sampson_distance(circle.mdf, jnp.array([0.0, 1.01]))), 3)
    0.01
    """
    at = linearize(mdf, point)
    return smooth_norm(pseudo_inverse_times(mdf, at, at.residual))


def smooth_norm(v: Vector) -> Scalar:
    """Euclidean norm whose derivative at zero is zero rather than NaN; what is not finite stays so."""
    squared = jnp.sum(v**2)
    return jnp.where(squared == 0, 0, jnp.sqrt(jnp.where(squared == 0, 1, squared)))
