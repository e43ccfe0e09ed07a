"""Multipliers that bring a point back onto {F = 0} along the normals of another point.

Every solver answers the same question: given the linearisation at x and a point y near x, find μ
with F(y - J(x)ᵀμ) = 0. The paper's multiplier (Ross et al. 2023, eq. 13) is λ = 2μ/α.
All share one signature, `solver(mdf, at, point, tolerance=None, max_iterations=None)`, and stop where
‖F‖ ≤ tolerance or, without one, at the accuracy of the dtype (`residual_weights`). A solution need not
exist: look at `converged`, never at `position` alone.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg

from .._loops import bounded_while
from .._types import MDF, Array, Bool, Int, Number, Residual, Vector, relative_tolerance
from .tangent import Linearization, framed, gram_solve, linearize, operators
from .triangular import lower_solve, upper_solve


class MultiplierSolution(NamedTuple):
    """multiplier μ (k,), position y - J(x)ᵀμ (n,), its residual F (k,), iterations, converged."""

    multiplier: Residual
    position: Vector
    residual: Residual
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


@runtime_checkable
class MultiplierSolver(Protocol):
    """The signature that all solvers of this module share."""

    def __call__(
        self,
        mdf: MDF,
        at: Linearization,
        point: Vector,
        tolerance: Number | None = None,
        max_iterations: int | None = None,
    ) -> MultiplierSolution:
        """Solve F(point - J(at)ᵀμ) = 0 for μ."""
        ...


def residual_weights(at: Linearization, tolerance: Number | None = None) -> Residual:
    """Weights w (k,) for which F counts as zero where ‖w F‖ ≤ 1.

    Without a tolerance on ‖F‖, 1/w_i is what rounding allows of |F_i| near `at`: `relative_tolerance` ·
    ‖∇F_i‖ · max(1, ‖x‖), so the units of each constraint do not matter. NaN where a gradient is zero or not finite.
    """
    if tolerance is not None:
        return jnp.full_like(at.residual, 1 / tolerance)
    reach = jnp.maximum(1, jnp.linalg.norm(at.position))
    usable = (at.row_norms > 0) & jnp.isfinite(at.row_norms)
    return jnp.where(usable, 1 / (relative_tolerance(at.position.dtype) * reach * at.row_norms), jnp.nan)


def iterate(
    mdf: MDF,
    at: Linearization,
    point: Vector,
    tolerance: Number | None,
    max_iterations: int,
    correction: Callable,
    memory,
) -> MultiplierSolution:
    """Repeat μ += correction until F counts as zero, the cap, or a residual that is not finite.

    `correction(position, residual, memory) -> (δ, memory)`.
    """
    weights, local = residual_weights(at, tolerance), framed(mdf, at)
    _, pull = operators(mdf, at)

    def evaluate(multiplier):
        position = point - pull(multiplier)
        return position, local(position)

    def unsolved(carry):
        size = jnp.linalg.norm(weights * carry[2])
        return (size > 1) & jnp.isfinite(size)

    def body(carry):
        multiplier, position, residual, memory = carry
        delta, memory = correction(position, residual, memory)
        multiplier = multiplier + delta
        return multiplier, *evaluate(multiplier), memory

    start = jnp.zeros_like(at.residual)
    carry, iterations = bounded_while(unsolved, body, (start, *evaluate(start), memory), max_iterations)
    multiplier, position, residual, _ = carry
    converged = jnp.linalg.norm(weights * residual) <= 1
    return MultiplierSolution(multiplier, position, residual, iterations, converged)


def quasi_newton(
    mdf: MDF,
    at: Linearization,
    point: Vector,
    tolerance: Number | None = None,
    max_iterations: int | None = None,
) -> MultiplierSolution:
    """Broyden's method started from the Gram matrix at hand, J(x)J(x)ᵀ; the default solver.

    One evaluation of F and one solve with the Gram factor an iteration, no new Jacobian (Zappa, Holmes-Cerfon &
    Goodman 2018, §2.2, freeze the Gram and learn nothing from the steps). For one constraint it is the secant
    method; for several it learns the k x k inverse Jacobian by Broyden's good update (1965, eq. 4.5), and where the
    linearisation is matrix-free from the last step alone. It is the default because it measured fastest of the four at
    equal residual (`benchmarks/clmc.py`).

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        at: F linearised at x, whose normals are used.
        point: y (n,), near x.
        tolerance: of ‖F‖; None for what the dtype allows (`residual_weights`).
        max_iterations: None for 12.

    Returns:
        `MultiplierSolution`: μ (k,), y - J(x)ᵀμ (n,), its residual (k,), iterations, and whether it converged.

    >>> at = manifold.linearize(circle.mdf, jnp.array([1.0, 0.0]))
    >>> manifold.quasi_newton(circle.mdf, at, jnp.array([1.0, 0.6])).position.round(3).tolist()
    [0.8..., 0.6...]
    """
    nothing = jnp.zeros_like(at.residual)
    if at.gram_factor is None:
        correction, memory = _last_step(mdf, at), (nothing, nothing)
    else:
        correction, memory = _broyden(at), (jnp.eye(len(nothing), dtype=nothing.dtype), nothing)
    cap = 12 if max_iterations is None else max_iterations
    return iterate(mdf, at, point, tolerance, cap, correction, memory)


def _broyden(at: Linearization) -> Callable:
    """Good Broyden steps; memory: the inverse H (k, k) and the last step, in u = Lᵀμ, where G = LLᵀ is the identity.

    In these units H starts at I and no scale of F matters. With δ the last step and g = H r the next one by the old
    inverse, r = L⁻¹F, the update H ← H + g δᵀH / (δᵀδ - δᵀg) makes the next step g δᵀδ / (δᵀδ - δᵀg).
    """

    def correction(_, residual, memory):
        inverse, last = memory
        white = lower_solve(at.gram_factor, residual)
        step = inverse @ white
        square = jnp.vdot(last, last)
        overlap = jnp.vdot(last, step)
        factor, usable = _extrapolation(overlap, square - overlap)
        step = (1 + factor) * step
        inverse += jnp.outer(step, last @ inverse) / jnp.where(usable, square, 1)
        # Where the update is no guide all that was learned is dropped: from chords every lane can start again.
        step = jnp.where(usable, step, white)
        inverse = jnp.where(usable, inverse, jnp.eye(len(white), dtype=white.dtype))
        return upper_solve(at.gram_factor, step), (inverse, step)

    return correction


def _last_step(mdf: MDF, at: Linearization) -> Callable:
    """Broyden steps that always start from G⁻¹ and learn from the last step alone; memory: its chord and itself."""

    def correction(_, residual, memory):
        last_chord, last = memory
        chord = gram_solve(mdf, at, residual)
        change = last_chord - chord
        factor, _ = _extrapolation(jnp.vdot(last, chord), jnp.vdot(last, change))
        step = chord + factor * (last - change)
        return step, (chord, step)

    return correction


def _extrapolation(overlap, rest):
    """q/(1-q) = overlap/rest, q the share of the last step that the next one repeats; and whether to trust it.

    Outside (-0.5, 4) the residual shrank by less than 4/5, or flipped and grew: the secant is then no guide.
    """
    factor = overlap / jnp.where(rest == 0, 1, rest)
    usable = (rest != 0) & (factor > -0.5) & (factor < 4)
    return jnp.where(usable, factor, 0), usable


def newton(
    mdf: MDF,
    at: Linearization,
    point: Vector,
    tolerance: Number | None = None,
    max_iterations: int | None = None,
) -> MultiplierSolution:
    """Newton: solve (J(x') J(x)ᵀ) δ = F(x') afresh each iteration (Lelièvre, Rousset & Stoltz 2019).

    A new Jacobian an iteration; k x k by LU, or conjugate gradients on the normal equations where the
    linearisation is matrix-free.
    Fewer iterations than `quasi_newton`, each about three times dearer.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        at: F linearised at x, whose normals are used.
        point: y (n,), near x.
        tolerance: of ‖F‖; None for what the dtype allows (`residual_weights`).
        max_iterations: None for 12.

    Returns:
        `MultiplierSolution`: μ (k,), y - J(x)ᵀμ (n,), its residual (k,), iterations, and whether it converged.

    >>> at = manifold.linearize(circle.mdf, jnp.array([1.0, 0.0]))
    >>> manifold.newton(circle.mdf, at, jnp.array([1.0, 0.6])).position.round(3).tolist()
    [0.8..., 0.6...]
    """
    push_there, pull_there = operators(mdf, at)
    local = framed(mdf, at)

    def correction(position, residual, memory):
        if at.jacobian is not None:
            jacobian = linearize(local, position, dense=True).jacobian
            matrix = jacobian @ at.jacobian.T
            if residual.shape[0] == 1:
                return residual / matrix[0], memory
            return jnp.linalg.solve(matrix, residual), memory
        _, push = jax.linearize(local, position)
        pull = jax.linear_transpose(push, position)

        def normal_product(u):
            return push_there(pull(push(pull_there(u)))[0])

        right = push_there(pull(residual)[0])
        tolerance = relative_tolerance(residual.dtype)
        return cg(normal_product, right, tol=tolerance, maxiter=residual.shape[0])[0], memory

    cap = 12 if max_iterations is None else max_iterations
    return iterate(mdf, at, point, tolerance, cap, correction, ())
