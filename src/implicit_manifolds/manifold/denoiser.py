"""Manifolds of denoisers, in many dimensions: nothing of n x n or k x n is ever formed."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from .._loops import bounded_while
from .._pytree import pytree
from .._types import Array, Float, Vector
from .tangent import Linearization

PASSES, FOLLOWED = 30, 1
"""Passes of subspace iteration from a random basis, and from one of a point nearby."""
APPROACHES = 50
"""Most denoisings of a point that is too far off to begin a search from."""


@pytree
@dataclass(frozen=True, eq=False)
class DenoiserManifold:
    """M = {x: (1 - T Tᵀ)(x - D(x, σ)) = 0}, T (n, m) the leading eigenvectors of the symmetric part of D's derivative.

    For D(x, σ) = E[x₀ | x₀ + σ z = x], z standard normal, x - D is -σ² ∇ log p_σ (Efron, JASA 106, 2011) and D's
    derivative is the covariance of x₀ given x over σ², near 1 along the data's manifold and near 0 across it. So M is
    the density ridge of p_σ (Genovese et al. 2014), which for small σ lies inside of a manifold without noise, of a
    sphere of dimension m and radius r by about m σ²/2r. A denoiser may be a network, or a plain function; of a
    diffusion model take its posterior mean at one noise level.

    It is an F of constant rank n - m that keeps a basis of the tangent space in place of normals: T comes by subspace
    iteration, a product of D's derivative and its transpose with m + 1 vectors a pass, from a random basis or from that
    of a point nearby. J is taken to be 1 - T Tᵀ, which leaves out how fast T turns and what D is across M; solvers that
    learn from their steps (`scaled_chord`) make up for the second. Where eigenvalues have no gap, T is arbitrary.

    Arguments:
        denoiser: D, a callable pytree of a point (n,) and σ, to (n,).
        dimension: m, at least 1 and less than n.
        sigma: σ, in units of x.
        gap: by how much the m-th eigenvalue exceeds the next one at least.
        reach: largest ‖x - D(x, σ)‖, a length; it leaves out ridges far from all data.

    >>> circle_law = lambda x, sigma: x / jnp.linalg.norm(x)
    >>> ring = manifold.DenoiserManifold(jax.tree_util.Partial(circle_law), 1, 0.1)
    >>> manifold.project(ring, jnp.array([3.0, 4.0])).position.round(3).tolist()
    [0.6..., 0.8...]
    """

    denoiser: Any
    dimension: int = field(metadata={"static": True})
    sigma: Any
    gap: Any = 0.0
    reach: Any = jnp.inf

    def rank(self, point) -> int:
        """n - m, given a point (n,) of which only the shape counts."""
        return len(point) - self.dimension

    def field(self, x: Vector) -> Vector:
        """x - D(x, σ), (n,)."""
        return x - self.denoiser(x, self.sigma)

    def __call__(self, x: Vector) -> Vector:
        """What of x - D(x, σ) is normal to M, (n,)."""
        return self.linearize(x).residual

    def linearize(self, x: Vector, near: Linearization | None = None) -> Linearization:
        """The tangent basis at x, found from that of a point `near` it if given, and what of x - D(x, σ) is normal."""
        value, basis, eigenvalues = self.spectrum(x, near)
        tangent = basis[:, :-1]
        apart = eigenvalues[-2] - eigenvalues[-1] >= self.gap
        within = apart & (jnp.linalg.norm(value) <= self.reach)
        residual = value - tangent @ (tangent.T @ value)
        return Linearization(x, residual, jnp.ones_like(x), None, None, None, within, tangent, basis[:, -1])

    def spectrum(
        self, x: Vector, near: Linearization | None = None
    ) -> tuple[Vector, Float[Array, "n q"], Float[Array, " q"]]:
        """x - D(x, σ), m + 1 leading eigenvectors (n, m + 1) and their eigenvalues, the largest first."""
        denoised, push = jax.linearize(lambda y: self.denoiser(y, self.sigma), x)
        pull = jax.linear_transpose(push, x)
        product = jax.vmap(lambda v: 0.5 * (push(v) + pull(v)[0]), in_axes=1, out_axes=1)
        if near is None:
            start = jax.random.normal(jax.random.key(0), (len(x), self.dimension + 1), x.dtype)
        else:
            start = jnp.column_stack([jnp.asarray(near.tangent), jnp.asarray(near.beside)])
        basis = jnp.linalg.qr(start)[0]
        times = PASSES if near is None else FOLLOWED
        basis = jax.lax.fori_loop(0, times - 1, lambda _, basis: jnp.linalg.qr(product(basis))[0], basis)
        # Rayleigh and Ritz: of the last space, its own eigenvectors.
        image = product(basis)
        eigenvalues, turn = jnp.linalg.eigh(_symmetric(basis.T @ image))
        better = jnp.linalg.qr(image @ turn[:, ::-1])[0]
        return x - denoised, better, eigenvalues[::-1]

    def approach(self, x: Vector) -> Vector:
        """Where denoising leads from x until ‖x - D(x, σ)‖ ≤ reach."""
        carry = (x, self.field(x))
        far = lambda carry: jnp.linalg.norm(carry[1]) > self.reach
        step = lambda carry: (carry[0] - carry[1], self.field(carry[0] - carry[1]))
        return bounded_while(far, step, carry, APPROACHES)[0][0]


def _symmetric(matrix):
    return (matrix + matrix.T) / 2
