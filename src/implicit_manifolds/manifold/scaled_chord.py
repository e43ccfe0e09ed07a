"""A multiplier solver for many constraints that are nearly isometric: no linear system is ever solved."""

import jax.numpy as jnp

from .._types import MDF, Number, Residual, Vector
from .multipliers import MultiplierSolution, iterate
from .tangent import Linearization
from .triangular import cholesky, lower_solve, upper_solve

MEMORY = 6
REGULAR = 100
"""Roundings added to the unit diagonal of the least squares, which empty rows need."""


def scaled_chord(
    mdf: MDF,
    at: Linearization,
    point: Vector,
    tolerance: Number | None = None,
    max_iterations: int | None = None,
) -> MultiplierSolution:
    """Chord steps with the mean eigenvalue in place of the Gram matrix, accelerated by the last six of them.

    One evaluation of F and one vjp an iteration. δ = F / (tr G / k) where nothing is known; along the last steps the
    changes of F that were seen take the place of that guess (Anderson 1965, as in Walker & Ni 2011). For singular
    values of J that differ little, as an isometry penalty makes them; hopeless where the least is tiny.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        at: F linearised at x, whose normals are used.
        point: y (n,), near x.
        tolerance: of ‖F‖; None for what the dtype allows (`residual_weights`).
        max_iterations: None for 60.

    Returns:
        `MultiplierSolution`: μ (k,), y - J(x)ᵀμ (n,), its residual (k,), iterations, and whether it converged.

    >>> from implicit_manifolds.manifold.scaled_chord import scaled_chord
    >>> at = manifold.linearize(circle.mdf, jnp.array([1.0, 0.0]))
    >>> scaled_chord(circle.mdf, at, jnp.array([1.0, 0.6])).position.round(3).tolist()
    [0.8..., 0.6...]
    """
    eigenvalue = jnp.mean(at.row_norms**2)
    nothing = jnp.zeros_like(at.residual)
    rows = jnp.zeros((MEMORY, len(nothing)), nothing.dtype)

    def correction(_, residual, memory):
        steps, changes, last, before = memory
        began = jnp.any(last != 0)
        steps = jnp.where(began, _pushed(steps, last), steps)
        changes = jnp.where(began, _pushed(changes, residual - before), changes)
        share = _least_squares(changes, residual)
        step = (residual - share @ changes) / eigenvalue - share @ steps
        return step, (steps, changes, step, residual)

    cap = 60 if max_iterations is None else max_iterations
    return iterate(mdf, at, point, tolerance, cap, correction, (rows, rows, nothing, nothing))


def _pushed(rows, row):
    return jnp.concatenate([row[None], rows[:-1]])


def _least_squares(rows, target: Residual):
    """Coefficients (m,) of the combination of rows (m, k) nearest to the target; zero rows get none."""
    gram = rows @ rows.T
    sizes = jnp.sqrt(jnp.diagonal(gram))
    inverse = jnp.where(sizes > 0, 1 / jnp.where(sizes > 0, sizes, 1), 0)
    unit = gram * jnp.outer(inverse, inverse)
    factor = cholesky(unit + REGULAR * jnp.finfo(rows.dtype).eps * jnp.eye(len(rows), dtype=rows.dtype))
    return upper_solve(factor, lower_solve(factor, inverse * (rows @ target))) * inverse
