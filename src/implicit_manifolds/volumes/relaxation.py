"""Paths of points on M, relaxed to discrete geodesics with their ends held, by Newton's method."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._loops import bounded_while
from .._types import MDF, Array, Bool, Float, Scalar, Vector, relative_tolerance, select
from ..manifold.multipliers import quasi_newton, residual_weights
from ..manifold.projection import project
from ..manifold.tangent import Linearization, framed, linearize
from ..manifold.triangular import cholesky, lower_solve, orthonormal_complement, upper_solve

MOST_STEPS = 40
LARGEST_DAMPING = 1e6
STEEPEST_CHORD = 0.5
"""Largest share of a chord that may be normal to M: one that crosses a gap is all normal, one along M is h κ/2."""
OFF_BY = 2
"""How far off M points of a path may be, in units of the tolerance of the multiplier solvers."""


class Relaxed(NamedTuple):
    """points (s + 1, n), whether they are a discrete geodesic of {F = 0}, and whether all lie in F's domain."""

    points: Float[Array, "s_plus_1 n"]
    converged: Bool[Array, ""]
    within: Bool[Array, ""]


class _Path(NamedTuple):
    """F to first order at the inner points of a path, and ½Σ‖d‖² of all its chords."""

    at: Linearization
    energy: Scalar


class _System(NamedTuple):
    """The tangent basis of each inner point, the gradient, and blocks of the Hessian of E in these bases.

    stiffness: diagonal blocks of PLP; curvature: those of what F's second derivatives add; coupling: blocks of PLP
    beside the diagonal, of which the last is zero.
    """

    basis: Float[Array, "p n m"]
    gradient: Float[Array, "p m"]
    stiffness: Float[Array, "p m m"]
    curvature: Float[Array, "p m m"]
    coupling: Float[Array, "p m m"]


def relaxed(mdf: MDF, path: Float[Array, "s_plus_1 n"]) -> Relaxed:
    """The discrete geodesic near a path (s + 1, n) whose ends are on M: a local minimum of E = ½Σ‖x_{i+1} - x_i‖².

    Newton's method on the product of the tangent spaces. With L the second difference, the Hessian is
    PLP - Σ_a λ_ia ∇²F_a, λ_i the multipliers of (Lx)_i = J_iᵀλ_i + tangent part; block tridiagonal, so a step costs as
    much as its points. Steps are damped in the metric PLP until they lower E (Levenberg-Marquardt): where the Hessian
    has a negative direction its Cholesky factor is NaN, the step is refused, and damping grows.
    """
    inner = jax.vmap(lambda x: project(mdf, x).position)(path[1:-1])
    whole = lambda at: jnp.concatenate([path[:1], at.position, path[-1:]])
    rounding = _rounding(path, len(linearize(mdf, path[0], dense=True).residual))
    tolerance = relative_tolerance(path.dtype)

    def evaluated(points):
        at = jax.vmap(lambda x: linearize(mdf, x, dense=True))(points)
        return _Path(at, jnp.sum(jnp.diff(whole(at), axis=0) ** 2) / 2)

    def unsolved(carry):
        here, damping, decrement = carry
        return ~(decrement <= tolerance * here.energy + rounding) & (damping < LARGEST_DAMPING)

    def body(carry):
        here, damping, _ = carry
        system = _system(mdf, here.at, whole(here.at))
        step, decrement = _newton_step(system, damping)
        goal = here.at.position + jnp.einsum("pnm,pm->pn", system.basis, step)
        landed = jax.vmap(lambda at, point: quasi_newton(mdf, at, point))(here.at, goal)
        there = evaluated(landed.position)
        lower = there.energy <= here.energy * (1 + tolerance)
        better = lower & landed.converged.all() & jnp.isfinite(step).all()
        damping = jnp.where(better, jnp.where(damping > 0.1, damping / 8, 0), jnp.maximum(1, 4 * damping))
        return select(better, there, here), damping, decrement

    start = evaluated(inner)
    carry = (start, jnp.zeros((), path.dtype), jnp.full_like(start.energy, jnp.inf))
    (here, _, decrement), _ = bounded_while(unsolved, body, carry, MOST_STEPS)
    points = whole(here.at)
    off = jax.vmap(lambda at: jnp.linalg.norm(residual_weights(at) * at.residual))(here.at)
    small = decrement <= tolerance * here.energy + rounding
    converged = small & (off <= OFF_BY).all() & _follows(here.at, points)
    return Relaxed(points, converged, _within(mdf, points))


def _rounding(path, codimension: int) -> Scalar:
    """What rounding of the points alone leaves of gᵀ(PLP)⁻¹g: its square by the trace of the inverse of L, s²/6."""
    segments, dimension = len(path) - 1, path.shape[1] - codimension
    return dimension * segments**2 / 6 * (2 * jnp.finfo(path.dtype).eps * jnp.abs(path).max()) ** 2


def _basis(at: Linearization) -> Float[Array, "n m"]:
    """Orthonormal tangent vectors at a point, as columns (n, m)."""
    return orthonormal_complement(jnp.asarray(at.jacobian)).T


def _system(mdf: MDF, at: Linearization, points: Float[Array, "s_plus_1 n"]) -> _System:
    """Gradient and Hessian of E in tangent coordinates of the inner points."""
    basis = jax.vmap(_basis)(at)
    pull = -jnp.diff(points, n=2, axis=0)
    stiffness = 2 * jnp.broadcast_to(jnp.eye(basis.shape[2], dtype=points.dtype), (len(basis), *(basis.shape[2],) * 2))
    curvature = jax.vmap(lambda *row: _curvature(mdf, *row))(at, pull, basis)
    coupling = -jnp.einsum("pni,pnj->pij", basis, jnp.roll(basis, -1, axis=0)).at[-1].set(0)
    return _System(basis, jnp.einsum("pnm,pn->pm", basis, pull), stiffness, curvature, coupling)


def _curvature(mdf: MDF, at: Linearization, pull: Vector, basis: Float[Array, "n m"]) -> Float[Array, "m m"]:
    """-Σ_a λ_a ∇²F_a between tangent vectors, λ the multipliers of the normal part of a point's pull."""
    factor, local = jnp.asarray(at.gram_factor), framed(mdf, at)
    multiplier = upper_solve(factor, lower_solve(factor, jnp.asarray(at.jacobian) @ pull))
    bend = jax.jacfwd(jax.jacfwd(lambda shift: multiplier @ local(at.position + basis @ shift)))
    block = -bend(jnp.zeros_like(basis[0]))
    return (block + block.T) / 2


def _newton_step(system: _System, damping: Scalar) -> tuple[Float[Array, "p m"], Scalar]:
    """Solve ((1 + damping) PLP + curvature) u = -g by block Cholesky; u, and the decrement (1 + damping) gᵀu of E.

    Not finite where the matrix is not positive definite.
    """
    scale = 1 + damping
    diagonal, beside = scale * system.stiffness + system.curvature, scale * system.coupling

    def eliminate(carry, row):
        before, known = carry
        block, next_block, right = row
        factor = cholesky(block - before.T @ before)
        after, known = lower_solve(factor, next_block), lower_solve(factor, right - before.T @ known)
        return (after, known), (factor, after, known)

    def substitute(ahead, row):
        factor, after, known = row
        step = upper_solve(factor, known - after @ ahead)
        return step, step

    zero = jnp.zeros_like(system.gradient[0])
    start = (jnp.zeros_like(system.coupling[0]), zero)
    _, rows = jax.lax.scan(eliminate, start, (diagonal, beside, -system.gradient))
    _, step = jax.lax.scan(substitute, zero, rows, reverse=True)
    return step, scale * jnp.sum(rows[2] ** 2)


def _follows(at: Linearization, points: Float[Array, "s_plus_1 n"]) -> Bool[Array, ""]:
    """Whether all chords follow M rather than cross a gap of it."""
    chords = jnp.diff(points, axis=0)
    normal = lambda at, chord: jnp.linalg.norm(lower_solve(at.gram_factor, at.jacobian @ chord))
    length = jnp.linalg.norm(chords, axis=1)
    # Each inner point sees the chords before and behind it.
    before, behind = (jax.vmap(normal)(at, part) for part in (chords[:-1], chords[1:]))
    return (before <= STEEPEST_CHORD * length[:-1]).all() & (behind <= STEEPEST_CHORD * length[1:]).all()


def _within(mdf: MDF, points: Float[Array, "s_plus_1 n"]) -> Bool[Array, ""]:
    within = jax.vmap(lambda x: linearize(mdf, x).within)(points)
    return jnp.asarray(True) if within is None else within.all()
