"""What a change of the units of coordinates, each by a factor of its own, does to M."""

import jax.numpy as jnp
from jax.tree_util import Partial

from .._types import MDF, Scalar, Vector
from .algebra import pull_back
from .tangent import linearize, normals_of
from .triangular import gram_cholesky


def stretched(mdf: MDF, factors: Vector) -> MDF:
    """Y -> F(y / s): zero at s · x where F is zero at x, for factors s (n,) of the coordinates."""
    return pull_back(mdf, Partial(_divided, factors))


def _divided(factors, y):
    return y / factors


def log_stretch(mdf: MDF, factors: Vector, x: Vector) -> Scalar:
    """Log of the m-volume at s · x over that at x, of a piece of M at x, for factors s (n,) of the coordinates.

    With T an orthonormal basis of the tangent space, N of the normal one and S = diag(s) it is half the logarithm of
    det(TᵀS²T) = det(S²) det(N S⁻² Nᵀ), so that normals suffice.
    """
    normals = normals_of(linearize(mdf, x, dense=True)) / factors[None]
    return jnp.sum(jnp.log(factors)) + jnp.sum(jnp.log(jnp.diag(gram_cholesky(normals))))
