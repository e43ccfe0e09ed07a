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
from .eigenvalues import least_eigenvalue
from .multipliers import quasi_newton, residual_weights
from .projection import project, smooth_norm, within_domain
from .tangent import (
    FramedMDF,
    Linearization,
    codimension_of,
    framed,
    gram_solve,
    jacobian_times,
    linearize,
    tangent_projection,
)
from .triangular import gram_cholesky, lower_solve, upper_solve

ASIDE, ROUNDS = 0.25, 4
"""How far from a saddle the search goes on, in distances to the point, halved each time; and how often."""
MOST_CURVATURES = 16
"""Steps of Lanczos' method; where M has more dimensions the least curvature is an estimate, from above."""

Stacked = Float[Array, " n_plus_k"]  # a point and a multiplier, end to end


class NearestPoint(NamedTuple):
    """position y (n,) on M, distance ‖y - x‖ in the units of x, multiplier λ (k,) with y - x + Jᵀλ = 0.

    converged says that F(y) = 0, that y - x is normal to M, both to the tolerance of the dtype, and that y is a
    minimum: curvature is positive. That is the least eigenvalue of I + Σ λ_i ∇²F_i on the tangent space, 1 at points of
    M and 0 at its centres of curvature, where no point is the nearest: y moves at most 1/curvature times as far as x.
    """

    position: Vector
    distance: Scalar
    multiplier: Residual
    converged: Bool[Array, ""]
    curvature: Scalar


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
    optimum, curvature = _optimum(max_iterations, mdf, point, start)
    position, multiplier = optimum[: point.size], optimum[point.size :]
    slack = jax.lax.stop_gradient(_optimality(mdf, point, optimum))
    tangent_part, residual = slack[: point.size], slack[point.size :]
    at = jax.lax.stop_gradient(linearize(mdf, position))
    small = jnp.linalg.norm(tangent_part) <= 100 * _position_tolerance(point)
    on_manifold = jnp.linalg.norm(residual_weights(at) * residual) <= 2
    found = within_domain(at, small & on_manifold) & (curvature > _rounding(point))
    return NearestPoint(position, smooth_norm(position - point), multiplier, found, curvature)


def _rounding(point: Vector) -> float:
    """What rounding may make of a curvature of zero."""
    return 100 * float(jnp.finfo(point.dtype).eps)


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
def _optimum(max_iterations: int, mdf: MDF, point: Vector, start: Vector) -> tuple[Stacked, Scalar]:
    at, curvature = _minimum(mdf, point, start, max_iterations)
    return jnp.concatenate([at.position, _multiplier(mdf, point, at)]), curvature


def _multiplier(mdf: MDF, point: Vector, at: Linearization) -> Residual:
    """The λ that leaves least of y - x + Jᵀλ."""
    return gram_solve(mdf, at, jacobian_times(mdf, at, point - at.position))


@_optimum.defjvp
def _optimum_jvp(max_iterations, primals, tangents):
    """Differentiate the optimality conditions: their Jacobian in (y, λ) times d(y, λ) = -d(conditions)."""
    mdf, point, start = primals
    optimum, curvature = _optimum(max_iterations, mdf, point, start)
    _, shift = jax.jvp(lambda f, x: _optimality(f, x, optimum), primals[:2], tangents[:2])
    _, linear = jax.linearize(partial(_optimality, mdf, point), optimum)
    return (optimum, curvature), (-_solve_optimality(point.size, linear, shift), jnp.zeros_like(curvature))


def _minimum(mdf: MDF, point: Vector, start: Vector, max_iterations: int) -> tuple[Linearization, Scalar]:
    """Descend; where that ends in a saddle or a maximum, as it must from an axis of symmetry, go on from beside it."""

    def bent(carry):
        return carry[1] < _rounding(point)

    def body(carry):
        at, _, direction, size = carry
        at = _descend(mdf, point, _beside(mdf, point, at, size * direction), max_iterations)
        curvature, direction = _least_curvature(mdf, point, at)
        return at, curvature, direction, size / 2

    nowhere = jnp.zeros_like(point)
    carry = linearize(mdf, start), -jnp.ones((), point.dtype), nowhere, jnp.asarray(ASIDE, point.dtype)
    at, curvature, *_ = bounded_while(bent, body, carry, ROUNDS)[0]
    return at, curvature


def _beside(mdf: MDF, point: Vector, at: Linearization, step: Vector) -> Linearization:
    """Where a tangent step, in units of the distance to the point, leads; `at` where it does not come nearer."""
    offset = at.position - point
    landed = quasi_newton(mdf, at, at.position + jnp.linalg.norm(offset) * step)
    nearer = jnp.sum((landed.position - point) ** 2) < jnp.sum(offset**2)
    return select(landed.converged & nearer, linearize(mdf, landed.position), at)


def _least_curvature(mdf: MDF, point: Vector, at: Linearization) -> tuple[Scalar, Vector]:
    """The least eigenvalue of I + Σ λ_i ∇²F_i on the tangent space, and its vector (n,), by Lanczos' method."""
    product = _lagrangian_hessian(framed(mdf, at), at.position, _multiplier(mdf, point, at))
    steps = min(point.size - codimension_of(mdf, point), MOST_CURVATURES)
    inside = lambda v: tangent_projection(mdf, at, v)
    anywhere = jax.random.normal(jax.random.key(0), point.shape, point.dtype)
    return least_eigenvalue(lambda v: inside(product(v)), inside, inside(anywhere), steps)


def _descend(mdf: MDF, point: Vector, start: Linearization, max_iterations: int) -> Linearization:
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
        product = _lagrangian_hessian(framed(mdf, at), at.position, _multiplier(mdf, point, at))
        direction = _truncated_cg(lambda v: tangent_projection(mdf, at, product(v)), -gradient(at))
        landed = quasi_newton(mdf, at, at.position + fraction * direction)
        before, after = jnp.sum(offset**2), jnp.sum((landed.position - point) ** 2)
        # The last Newton steps change the distance by less than rounding shows.
        better = landed.converged & (after <= before + limit**2 + 4 * limit * jnp.sqrt(before))
        new = linearize(mdf, landed.position)
        fraction = jnp.where(better, jnp.minimum(1.0, 2 * fraction), fraction / 2)
        return select(better, new, at), fraction

    carry = (start, jnp.ones((), point.dtype))
    return bounded_while(unsolved, body, carry, max_iterations)[0][0]


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
