"""Tangent and normal spaces of {F = 0} at one point: Gram solves and projectors.

With J the (k, n) Jacobian of F and G = J Jᵀ its Gram matrix, the normal projector is
N = Jᵀ G⁻¹ J and the tangent projector P = I - N (Ross et al. 2023, eq. 11).

One rule chooses how G is inverted: up to `DENSE_MAX_CODIMENSION` constraints J is formed once
and G is factored by Cholesky; above it nothing of size k x n or k x k is ever formed and G⁻¹b
comes from conjugate gradients on u -> J(Jᵀu), one vjp and one jvp an iteration.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.sparse.linalg import cg
from jax.tree_util import Partial

from .._types import MDF, Array, Bool, Float, Residual, Vector, relative_tolerance
from ..errors import InputError
from .triangular import gram_cholesky, lower_solve, upper_solve

DENSE_MAX_CODIMENSION = 32


class Linearization(NamedTuple):
    """F to first order at one point, with what repeated Gram solves there can share.

    position (n,); residual F(position) (k,); row_norms ‖∇F_i‖ (k,), which turn residuals into lengths; jacobian
    (k, n) and gram_factor (k, k), the lower Cholesky factor of G. Above `DENSE_MAX_CODIMENSION` constraints both
    are None, and row_norms holds the root mean square of all k. Made by `linearize`.

    Of an `MDF` of constant rank (`FramedMDF`): frame U (K, k), which is held fixed around the position; residual,
    jacobian and factor are those of Uᵀ F, an ordinary MDF nearby. within: whether the position is in F's own domain.
    Both are None for any other F.

    tangent: T (n, m), orthonormal, of an F that keeps tangents in place of normals (`DenoiserManifold`); J is then
    1 - T Tᵀ, residuals are (n,), and jacobian, factor and frame are None. beside: the direction (n,) that comes next.
    """

    position: Vector
    residual: Residual
    row_norms: Residual
    jacobian: Float[Array, "k n"] | None
    gram_factor: Float[Array, "k k"] | None
    frame: Float[Array, "K k"] | None = None
    within: Bool[Array, ""] | None = None
    tangent: Float[Array, "n m"] | None = None
    beside: Vector | None = None


@runtime_checkable
class FramedMDF(Protocol):
    """An F of constant rank: K numbers, of which k, its rank, are independent, and a domain of its own.

    `F(x)` is (K,), zero on M; `linearize(x)` is a `Linearization` with a frame U (K, k) whose columns span what F can
    be near x, and `within`. `approach(x)` is where a search for a zero near x had better start. No result depends on
    which of the frames that span the same it is: a rotation of U rotates multipliers with it.
    """

    def rank(self, point) -> int:
        """k, given a point (n,) of which only the shape counts."""
        ...

    def __call__(self, x: Vector) -> Vector:
        """F(x), (n,) to (K,)."""
        ...

    def linearize(self, x: Vector) -> Linearization:
        """F to first order at x (n,), by a frame there."""
        ...

    def approach(self, x: Vector) -> Vector:
        """Where to start from, (n,)."""
        ...


def _framed(frame, mdf, x):
    return mdf(x) @ frame


def _across(tangent, mdf, x):
    """What of a field is normal to a tangent space that is held fixed."""
    value = mdf.field(x)
    return value - tangent @ (tangent.T @ value)


def framed(mdf: MDF, at: Linearization) -> MDF:
    """F where it has as many numbers as constraints, else what it is in the frame at a point: an MDF around it."""
    if at.tangent is not None:
        return Partial(_across, at.tangent, mdf)
    return mdf if at.frame is None else Partial(_framed, at.frame, mdf)


def codimension_of(mdf: MDF, point: Float[Array | np.ndarray, " n"]) -> int:
    """k, the number of independent constraints, given a point (n,) of which only the shape counts."""
    return mdf.rank(point) if isinstance(mdf, FramedMDF) else jax.eval_shape(mdf, point).shape[0]


def linearize(mdf: MDF, position: Vector, *, dense: bool | None = None) -> Linearization:
    """Linearise F at a point.

    Where J loses rank the factor holds NaN and solves that use it report failure. Raises InputError for an F that does
    not return (k,).

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        position: (n,), on M or off it.
        dense: whether J and a factor of J Jᵀ are formed; None for up to `DENSE_MAX_CODIMENSION` constraints. Of an F of
            constant rank they always are.

    Returns:
        `Linearization`: what the solvers and projectors of this module start from.

    >>> manifold.linearize(circle.mdf, jnp.array([0.6, 0.8])).jacobian.round(3).tolist()
    [[1.2..., 1.6...]]
    """
    if isinstance(mdf, FramedMDF):
        return mdf.linearize(position)
    residual, pull_back = jax.vjp(mdf, position)
    if residual.ndim != 1:
        raise InputError(
            f"F returns an array of shape {residual.shape}; let it return one of shape (k,), also for k = 1"
        )
    codimension = residual.shape[0]
    if dense is None:
        dense = codimension <= DENSE_MAX_CODIMENSION
    if not dense:
        # E ‖Jᵀv‖² = tr G for random signs v; one fixed draw is scale enough.
        signs = jax.random.rademacher(jax.random.key(0), (codimension,), residual.dtype)
        mean_norm = jnp.linalg.norm(pull_back(signs)[0]) / codimension**0.5
        return Linearization(position, residual, jnp.full_like(residual, mean_norm), None, None)
    jacobian = jax.vmap(lambda u: pull_back(u)[0])(jnp.eye(codimension, dtype=residual.dtype))
    return linearized(position, residual, jacobian)


def linearize_near(mdf: Any, at: Linearization, position: Vector) -> Linearization:
    """F linearised at a point near that of `at`, whose tangents are where the search for those there begins."""
    return linearize(mdf, position) if at.tangent is None else mdf.linearize(position, at)


def linearized(
    position: Vector,
    residual: Residual,
    jacobian: Float[Array, "k n"],
    frame: Float[Array, "K k"] | None = None,
    within: Bool[Array, ""] | None = None,
) -> Linearization:
    """The `Linearization` that goes with a Jacobian."""
    row_norms = jnp.linalg.norm(jacobian, axis=1)
    return Linearization(position, residual, row_norms, jacobian, gram_cholesky(jacobian), frame, within)


def normals_of(at: Linearization) -> Float[Array, "k n"]:
    """Orthonormal normals of the level set at a point, rows, where J was formed."""
    return lower_solve(jnp.asarray(at.gram_factor), jnp.asarray(at.jacobian))


def operators(mdf: MDF, at: Linearization) -> tuple[Callable[[Vector], Residual], Callable[[Residual], Vector]]:
    """The maps v -> J v and u -> Jᵀu; without J at hand both from one evaluation of F, so take them out of loops."""
    if at.tangent is not None:
        tangent = at.tangent
        across = lambda v: v - tangent @ (tangent.T @ v)
        return across, across
    if at.jacobian is not None:
        return lambda v: at.jacobian @ v, lambda u: u @ at.jacobian
    _, push = jax.linearize(mdf, at.position)
    pull = jax.linear_transpose(push, at.position)
    return push, lambda u: pull(u)[0]


def jacobian_times(mdf: MDF, at: Linearization, v: Vector) -> Residual:
    """J v, (n,) -> (k,), by one jvp where J is not at hand."""
    return operators(mdf, at)[0](v)


def transposed_times(mdf: MDF, at: Linearization, u: Residual) -> Vector:
    """Jᵀu, (k,) -> (n,), by one vjp where J is not at hand."""
    return operators(mdf, at)[1](u)


def gram_solve(mdf: MDF, at: Linearization, b: Residual) -> Residual:
    """G⁻¹ b, (k,) -> (k,): by the Cholesky factor, or to `relative_tolerance` by conjugate gradients.

    Not finite where G is singular, or so ill-conditioned that conjugate gradients end far from a solution.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        at: F linearised at a point.
        b: (k,).

    Returns:
        (J Jᵀ)⁻¹ b (k,), J as it is at that point.

    >>> mdf = manifold.intersection(lambda x: 2 * x[:1], lambda x: x[1:2])
    >>> at = manifold.linearize(mdf, jnp.zeros(3))
    >>> manifold.gram_solve(mdf, at, jnp.ones(2)).tolist()
    [0.25, 1.0]
    """
    return _gram_solve(at, *operators(mdf, at), b)


def _gram_solve(
    at: Linearization, push, pull, b: Residual, tolerance: float | None = None, most: int | None = None
) -> Residual:
    if at.tangent is not None:
        return b  # J Jᵀ is the identity on normals, and all that is solved for is normal
    if at.gram_factor is not None:
        return upper_solve(at.gram_factor, lower_solve(at.gram_factor, b))
    product = lambda u: push(pull(u))
    tolerance = relative_tolerance(b.dtype) if tolerance is None else tolerance
    # Exact in k iterations but for rounding, which at condition numbers of 1e6 takes ten times as many.
    solution = cg(product, b, tol=tolerance, maxiter=10 * b.shape[0] if most is None else most)[0]
    if most is not None:
        return solution
    solved = jnp.linalg.norm(b - product(solution)) <= tolerance**0.5 * jnp.linalg.norm(b)
    return jnp.where(solved, solution, jnp.nan)


def pseudo_inverse_times(
    mdf: MDF, at: Linearization, b: Residual, tolerance: float | None = None, most: int | None = None
) -> Vector:
    """J⁺b = JᵀG⁻¹b, (k,) -> (n,): the shortest v with J v = b.

    Conjugate gradients leave ‖b - J v‖ ≤ tolerance · ‖b‖; by default what rounding allows. After `most` iterations
    they end where they are: then (b, J v) = ‖b‖² still, since their residuals are orthogonal to the first.
    """
    push, pull = operators(mdf, at)
    return pull(_gram_solve(at, push, pull, b, tolerance, most))


def normal_projection(mdf: MDF, at: Linearization, v: Vector, tolerance: float | None = None) -> Vector:
    """N v, (n,) -> (n,): the part of v normal to the level set of F through `at.position`.

    Conjugate gradients leave ‖J (v - N v)‖ ≤ tolerance · ‖J v‖; by default what rounding allows.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        at: F linearised at a point.
        v: (n,).
        tolerance: share of J v that conjugate gradients may leave; None for what rounding allows.

    Returns:
        (n,), JᵀG⁻¹J v.

    >>> at = manifold.linearize(circle.mdf, jnp.array([0.0, 1.0]))
    >>> manifold.normal_projection(circle.mdf, at, jnp.array([3.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    push, pull = operators(mdf, at)
    return pull(_gram_solve(at, push, pull, push(v), tolerance))


def tangent_projection(mdf: MDF, at: Linearization, v: Vector, tolerance: float | None = None) -> Vector:
    """P v = v - N v, (n,) -> (n,): the part of v tangent to the level set (Ross et al. 2023, eq. 11).

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        at: F linearised at a point.
        v: (n,).
        tolerance: share of J v that conjugate gradients may leave; None for what rounding allows.

    Returns:
        (n,), v less its normal part.

    >>> at = manifold.linearize(circle.mdf, jnp.array([0.0, 1.0]))
    >>> manifold.tangent_projection(circle.mdf, at, jnp.array([3.0, 2.0])).tolist()
    [3.0, 0.0]
    """
    return v - normal_projection(mdf, at, v, tolerance)
