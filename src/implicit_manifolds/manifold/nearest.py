"""The zero of F nearest to a point: minimises the distance, and is differentiable.

`project` of the module beside it is another thing: it follows Gauss-Newton steps to *a* zero, and is cheap.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg

from .._loops import bounded_while
from .._types import MDF, Array, Bool, Float, Residual, Scalar, Vector, relative_tolerance, select
from .multipliers import quasi_newton, residual_weights
from .projection import project, smooth_norm, within_domain
from .tangent import FramedMDF, Linearization, framed, gram_solve, jacobian_times, linearize, tangent_projection
from .triangular import gram_cholesky, lower_solve, upper_solve

Stacked = Float[Array, " n_plus_k"]  # a point and a multiplier, end to end


class NearestPoint(NamedTuple):
    """position y (n,) on M, distance ‖y - x‖ in the units of x, multiplier λ (k,) with y - x + Jᵀλ = 0.

    converged says that F(y) = 0 and that y - x is normal to M, both to the tolerance of the dtype.
    """

    position: Vector
    distance: Scalar
    multiplier: Residual
    converged: Bool[Array, ""]


def nearest_point(mdf: MDF, point: Vector, start: Vector | None = None, max_iterations: int = 50) -> NearestPoint:
    """The zero of F nearest to a point x: y = argmin ‖y - x‖ subject to F(y) = 0.

    Riemannian Newton with truncated conjugate gradients; a local minimiser. Differentiable in
    `point` and in the parameters of `mdf` through the optimality conditions,
    dy = [P (I + Σ λ_i ∇²F_i) P]⁺ dx, never through the iterations.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        point: x (n,), anywhere.
        start: (n,), near the zero that is sought; None for `project(mdf, point)`. Give one where several sheets of M
            are equally near.
        max_iterations: how many Newton steps at most.

    Returns:
        `NearestPoint`: the zero (n,), its distance, the multiplier (k,), and whether both conditions hold there.

    >>> float(manifold.nearest_point(circle.mdf, jnp.array([3.0, 4.0])).distance.round(3))
    4.0
    """
    if start is None:
        start = project(mdf, jax.lax.stop_gradient(point)).position
    optimum = _optimum(max_iterations, mdf, point, start)
    position, multiplier = optimum[: point.size], optimum[point.size :]
    slack = jax.lax.stop_gradient(_optimality(mdf, point, optimum))
    tangent_part, residual = slack[: point.size], slack[point.size :]
    at = jax.lax.stop_gradient(linearize(mdf, position))
    small = jnp.linalg.norm(tangent_part) <= 100 * _position_tolerance(point)
    on_manifold = jnp.linalg.norm(residual_weights(at) * residual) <= 2
    return NearestPoint(position, smooth_norm(position - point), multiplier, within_domain(at, small & on_manifold))


def _position_tolerance(point: Vector) -> Scalar:
    return relative_tolerance(point.dtype) * (1 + jnp.linalg.norm(point))


def _optimality(mdf: MDF, point: Vector, unknown: Stacked) -> Stacked:
    """(y - x + J(y)ᵀλ, F(y)), zero at the nearest point; y and λ come as one flat vector."""
    y, multiplier = unknown[: point.size], unknown[point.size :]
    residual, pull = jax.vjp(_local(mdf, y), y)
    return jnp.concatenate([y - point + pull(multiplier)[0], residual])


def _local(mdf: MDF, y: Vector) -> MDF:
    """An MDF of k numbers around y: F itself, or F by its frame there, held fixed."""
    if not isinstance(mdf, FramedMDF):
        return mdf
    return framed(mdf, linearize(*jax.lax.stop_gradient((mdf, y))))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _optimum(max_iterations: int, mdf: MDF, point: Vector, start: Vector) -> Stacked:
    at = _descend(mdf, point, start, max_iterations)
    multiplier = gram_solve(mdf, at, jacobian_times(mdf, at, point - at.position))
    return jnp.concatenate([at.position, multiplier])


@_optimum.defjvp
def _optimum_jvp(max_iterations, primals, tangents):
    """Differentiate the optimality conditions: their Jacobian in (y, λ) times d(y, λ) = -d(conditions)."""
    mdf, point, start = primals
    optimum = _optimum(max_iterations, mdf, point, start)
    _, shift = jax.jvp(lambda f, x: _optimality(f, x, optimum), primals[:2], tangents[:2])
    _, linear = jax.linearize(partial(_optimality, mdf, point), optimum)
    return optimum, -_solve_optimality(point.size, linear, shift)


def _descend(mdf: MDF, point: Vector, start: Vector, max_iterations: int) -> Linearization:
    """Minimise ½‖y - x‖² over M by Newton steps in the tangent space, retracted along normals."""
    limit = _position_tolerance(point)

    def gradient(at):
        return tangent_projection(mdf, at, at.position - point)

    def unsolved(carry):
        at, fraction = carry
        return (jnp.linalg.norm(gradient(at)) > limit) & (fraction > 1e-3)

    def body(carry):
        at, fraction = carry
        offset = at.position - point
        multiplier = -gram_solve(mdf, at, jacobian_times(mdf, at, offset))
        product = _lagrangian_hessian(framed(mdf, at), at.position, multiplier)
        direction = _truncated_cg(lambda v: tangent_projection(mdf, at, product(v)), -gradient(at))
        landed = quasi_newton(mdf, at, at.position + fraction * direction)
        before, after = jnp.sum(offset**2), jnp.sum((landed.position - point) ** 2)
        # The last Newton steps change the distance by less than rounding shows.
        better = landed.converged & (after <= before + limit**2 + 4 * limit * jnp.sqrt(before))
        new = linearize(mdf, landed.position)
        fraction = jnp.where(better, jnp.minimum(1.0, 2 * fraction), fraction / 2)
        return select(better, new, at), fraction

    carry = (_off_stationary(mdf, point, linearize(mdf, start)), jnp.ones((), point.dtype))
    return bounded_while(unsolved, body, carry, max_iterations)[0][0]


def _off_stationary(mdf: MDF, point: Vector, at: Linearization) -> Linearization:
    """`at`, or a place beside it where the distance to `point` is nearly stationary: it may be a maximum there.

    `project` of a point on an axis of symmetry ends on that axis, where no descent would leave again.
    """
    offset = at.position - point
    distance = jnp.linalg.norm(offset)
    anywhere = jax.random.normal(jax.random.key(0), point.shape, point.dtype)
    aside = tangent_projection(mdf, at, anywhere)
    aside *= 0.01 * distance / jnp.linalg.norm(aside)
    landed = quasi_newton(mdf, at, at.position + aside)
    stationary = jnp.linalg.norm(tangent_projection(mdf, at, offset)) < 1e-3 * distance
    return select(stationary & landed.converged, linearize(mdf, landed.position), at)


def _lagrangian_hessian(mdf: MDF, position: Vector, multiplier: Residual):
    """V -> (I + Σ λ_i ∇²F_i) v, the Hessian of ½‖y - x‖² + λᵀF, matrix-free."""

    def slope(y):
        return jax.vjp(mdf, y)[1](multiplier)[0]

    _, push = jax.linearize(slope, position)
    return lambda v: v + push(v)


def _truncated_cg(product, right_side: Vector) -> Vector:
    """Conjugate gradients for H d = b, stopped at negative curvature (Steihaug 1983), at most n steps."""
    tolerance = 1e-3 * jnp.linalg.norm(right_side)

    def unsolved(carry):
        _, residual, _, bent, _ = carry
        return (jnp.vdot(residual, residual) > tolerance**2) & ~bent

    def body(carry):
        solution, residual, direction, _, first = carry
        image = product(direction)
        squared, curvature = jnp.vdot(residual, residual), jnp.vdot(direction, image)
        bent = curvature <= 1e-3 * jnp.vdot(direction, direction)
        length = squared / jnp.where(bent, 1, curvature)
        forward = solution + length * direction
        fallback = jnp.where(first, right_side, solution)
        remaining = residual - length * image
        ratio = jnp.vdot(remaining, remaining) / squared
        solution = jnp.where(bent, fallback, forward)
        return solution, remaining, remaining + ratio * direction, bent, jnp.asarray(False)

    false, true = jnp.asarray(False), jnp.asarray(True)
    start = (jnp.zeros_like(right_side), right_side, right_side, false, true)
    return bounded_while(unsolved, body, start, right_side.size)[0][0]


def _solve_optimality(size: int, linear_conditions, right_side: Stacked) -> Stacked:
    """Solve the linearised optimality conditions [H Jᵀ; J 0](a, b) = (p, q), symmetric, matrix-free in H."""
    # Padding with constants, not with zeros_like: transposition needs operators free of right_side.
    codimension = right_side.size - size

    def blocks(a):
        image = linear_conditions(jnp.pad(a, (0, codimension)))
        return image[:size], image[size:]

    def row(b):
        return linear_conditions(jnp.pad(b, (size, 0)))[:size]

    rows = jax.vmap(row)(jnp.eye(codimension, dtype=right_side.dtype))
    factor = gram_cholesky(rows)
    gram_solved = lambda b: upper_solve(factor, lower_solve(factor, b))

    def tangent(a):
        return a - gram_solved(rows @ a) @ rows

    # The identity on the normal space keeps rounding errors there from blowing up in CG.
    def bordered(v):
        inside = tangent(v)
        return tangent(blocks(inside)[0]) + v - inside

    def solve(_, right_side):
        p, q = right_side[:size], right_side[size:]
        normal = gram_solved(q) @ rows
        right = tangent(p - blocks(normal)[0])
        along, _ = cg(bordered, right, tol=relative_tolerance(p.dtype), maxiter=2 * size)
        a = normal + tangent(along)
        return jnp.concatenate([a, gram_solved(rows @ (p - blocks(a)[0]))])

    return jax.lax.custom_linear_solve(linear_conditions, right_side, solve, symmetric=True)
