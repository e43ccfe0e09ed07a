"""Ridges: manifolds of any topology, with edges, as places where a field has no normal part."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from .._loops import bounded_while
from .._pytree import pytree
from .._types import Array, Energy, Float, Scalar, Vector, callable_pytree
from .spectrum import descending_eigh, leading_projector
from .tangent import Linearization, linearized

APPROACHES = 20
LONGEST = 0.5
DAMPING = 0.7
"""Steps x -= min(0.7, 0.5/‖F‖) F before a search, at most so many: away from M only F itself leads to it, P F leads to
ridges that are no part of M."""


@pytree
@dataclass(frozen=True, eq=False)
class Ridge:
    """M = {x: P F = 0, λ_k - max(λ_{k+1}, 0) ≥ gap, ‖F‖ ≤ reach}, P the projector on k leading eigenvectors of DF.

    λ_1 ≥ ... ≥ λ_n and P are those of the symmetric part H of DF. For F = x - r(x) with r the nearest point of M, or a
    denoiser, they are near 1 in the k normal directions and near 0 in the others; for F = ∇f, f = -log density, M is
    the density ridge of codimension k (Eberly 1996; Ozertem & Erdogmus 2011; Genovese et al. 2014). P F takes values in
    the bundle of normal spaces, not in R^k, so M need not be orientable nor have a framing; it is a manifold of
    dimension n - k wherever the gap holds. Beyond an edge of the data F turns tangential and its norm is the distance
    to the edge: `reach` ends M there, and leaves out the stray zeros that topology forces on P F.

    It is an F of constant rank (`FramedMDF`): projections, charts, samplers and densities take it as `mdf`. Its frame V
    has the k leading eigenvectors; with u_i = Σ_{j>k} v_j (v_jᵀF) / (λ_i - λ_j), V and u held fixed, the Jacobian of
    Vᵀ P F at x has the rows v_iᵀ DF + ∇(v_iᵀ H u_i), which is exact on M and off it.

    Arguments:
        field: F, a callable pytree, (n,) to (n,); `gradient_of(f)` for a scalar f.
        codimension: k, at least 1 and less than n.
        gap: by how much λ_k exceeds λ_{k+1} and 0 at least, in units of DF.
        reach: largest ‖F‖, a length where F is one.

    >>> parabola = manifold.gradient_of(lambda x: 2 * (x[1] - x[0] ** 2) ** 2 + 0.05 * x[0] ** 2)
    >>> ridge = manifold.Ridge(parabola, 1, reach=0.2)
    >>> found = manifold.project(ridge, jnp.array([0.1, 0.3]))
    >>> bool(found.converged), bool(jnp.linalg.norm(ridge(found.position)) < 1e-5)
    (True, True)
    """

    field: Any
    codimension: int = field(metadata={"static": True})
    gap: Any = 0.2
    reach: Any = jnp.inf

    def rank(self, point) -> int:
        """k, at any point."""
        return self.codimension

    def __call__(self, x: Vector) -> Vector:
        """P(x) F(x), the normal part of the field, (n,)."""
        value, derivative = value_and_derivative(self.field, x)
        return leading_projector(_symmetric(derivative), self.codimension) @ value

    def linearize(self, x: Vector) -> Linearization:
        """VᵀF at x with its exact Jacobian for V held fixed, and whether the gap and the reach are kept."""
        value, derivative = value_and_derivative(self.field, x)
        eigenvalues, vectors = descending_eigh(_symmetric(derivative))
        rank = self.codimension
        normal, tangent = vectors[:, :rank], vectors[:, rank:]
        gaps = eigenvalues[:rank, None] - eigenvalues[None, rank:]
        along = (tangent.T @ value)[None] / jnp.where(gaps > 0, gaps, jnp.nan) @ tangent.T
        turning = jax.vmap(_bilinear_gradient, (None, None, 0, 0))(self.field, x, normal.T, along)
        apart = jnp.minimum(gaps[-1, 0], eigenvalues[rank - 1]) >= self.gap
        within = apart & (jnp.linalg.norm(value) <= self.reach)
        return linearized(x, value @ normal, normal.T @ derivative + turning, normal, within)

    def approach(self, x: Vector) -> Vector:
        """Where damped steps along -F lead from x until ‖F‖ ≤ reach."""
        carry = (x, self.field(x))
        far = lambda carry: jnp.linalg.norm(carry[1]) > self.reach

        def step(carry):
            x, value = carry
            length = jnp.linalg.norm(value)
            x = x - jnp.minimum(DAMPING, LONGEST / jnp.where(length > 0, length, 1)) * value
            return x, self.field(x)

        return bounded_while(far, step, carry, APPROACHES)[0][0]


def gradient_of(potential: Energy) -> Partial:
    """The field ∇f of a scalar f, a callable pytree, for a `Ridge`.

    Arguments:
        potential: f, (n,) to a scalar, near half the squared distance to M, or -log of a density.

    Returns:
        A callable pytree, (n,) to (n,).

    >>> manifold.gradient_of(lambda x: x @ x)(jnp.array([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    return Partial(_gradient, callable_pytree(potential))


def _gradient(potential, x):
    return jax.grad(potential)(x)


def value_and_derivative(field, x: Vector) -> tuple[Vector, Float[Array, "n n"]]:
    """F(x) (n,) and DF(x) (n, n), from one evaluation and n pushes."""
    value, push = jax.linearize(field, x)
    return value, jax.vmap(push, out_axes=1)(jnp.eye(len(x), dtype=x.dtype))


def _symmetric(derivative):
    return (derivative + derivative.T) / 2


def _bilinear_gradient(field, x: Vector, left: Vector, right: Vector) -> Vector:
    """∇(leftᵀ H right), both held fixed, H the symmetric part of DF."""

    def form(y) -> Scalar:
        _, push = jax.linearize(field, y)
        return (left @ push(right) + right @ push(left)) / 2

    return jax.grad(form)(x)
