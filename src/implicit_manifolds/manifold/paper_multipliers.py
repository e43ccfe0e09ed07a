"""The paper's multiplier solvers (Ross et al. 2023, appendix B): gradient descent for images, L-BFGS for the rest."""

import warnings

import jax
import jax.numpy as jnp

from .._types import MDF, Number, Vector
from .multipliers import MultiplierSolution, iterate, residual_weights
from .tangent import Linearization, framed, operators, transposed_times


def gradient_descent(
    mdf: MDF,
    at: Linearization,
    point: Vector,
    tolerance: Number | None = None,
    max_iterations: int | None = None,
) -> MultiplierSolution:
    """Gradient descent on ½‖F(x')‖² in μ (Ross et al. 2023, appendix B: their choice for images).

    The step length minimises the linearised residual (Cauchy's rule), so it has no rate to tune and
    no scale of F to know. Linear convergence at the condition number of G².

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        at: F linearised at x, whose normals are used.
        point: y (n,), near x.
        tolerance: of ‖F‖; None for what the dtype allows (`residual_weights`).
        max_iterations: None for 60.

    Returns:
        `MultiplierSolution`: μ (k,), y - J(x)ᵀμ (n,), its residual (k,), iterations, and whether it converged.

    >>> at = manifold.linearize(circle.mdf, jnp.array([1.0, 0.0]))
    >>> manifold.gradient_descent(circle.mdf, at, jnp.array([1.0, 0.6])).position.round(3).tolist()
    [0.8..., 0.6...]
    """
    push_there, pull_there = operators(mdf, at)
    local = framed(mdf, at)

    def correction(position, residual, memory):
        _, push = jax.linearize(local, position)
        pull = jax.linear_transpose(push, position)
        # Unit vectors before products: F in small or large units would under- or overflow in float32.
        gradient = _unit(push_there(_unit(pull(_unit(residual))[0])))
        image = push(pull_there(gradient))
        size = jnp.linalg.norm(image)
        length = jnp.vdot(_unit(image), residual) / jnp.where(size == 0, 1, size)
        return length * gradient, memory

    cap = 60 if max_iterations is None else max_iterations
    return iterate(mdf, at, point, tolerance, cap, correction, ())


def _unit(v):
    size = jnp.linalg.norm(v)
    return v / jnp.where(size == 0, 1, size)


def lbfgs(
    mdf: MDF,
    at: Linearization,
    point: Vector,
    tolerance: Number | None = None,
    max_iterations: int | None = None,
) -> MultiplierSolution:
    """L-BFGS with a zoom line search on ½‖F(x')‖² (the paper's low-dimensional choice), by jaxopt.

    Faithful, not fast: under `vmap` its line search runs every branch for every lane.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        at: F linearised at x, whose normals are used.
        point: y (n,), near x.
        tolerance: of ‖F‖; None for what the dtype allows (`residual_weights`).
        max_iterations: None for 60.

    Returns:
        `MultiplierSolution`: μ (k,), y - J(x)ᵀμ (n,), its residual (k,), iterations, and whether it converged.

    >>> at = manifold.linearize(circle.mdf, jnp.array([1.0, 0.0]))
    >>> manifold.lbfgs(circle.mdf, at, jnp.array([1.0, 0.6])).position.round(3).tolist()
    [0.8..., 0.6...]
    """
    with warnings.catch_warnings():  # jaxopt announces at import that it is no longer developed
        warnings.simplefilter("ignore", DeprecationWarning)
        from jaxopt import LBFGS

    weights, local = residual_weights(at, tolerance), framed(mdf, at)
    # In these units a solved lane has residual and gradient of order one, whatever F's scale is.
    unit = 1 / (weights * at.row_norms**2)

    def objective(scaled, local, at, point):
        residual = local(point - transposed_times(mdf, at, unit * scaled))
        return 0.5 * jnp.sum((weights * residual) ** 2)

    cap = 60 if max_iterations is None else max_iterations
    solver = LBFGS(objective, maxiter=cap, tol=0.3, linesearch="zoom")
    found, state = solver.run(jnp.zeros_like(at.residual), local, at, point)
    multiplier = unit * found
    position = point - transposed_times(mdf, at, multiplier)
    residual = local(position)
    iterations = jnp.asarray(state.iter_num, jnp.int32)
    converged = jnp.linalg.norm(weights * residual) <= 1
    return MultiplierSolution(multiplier, position, residual, iterations, converged)
