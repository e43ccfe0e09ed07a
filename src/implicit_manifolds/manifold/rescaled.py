"""An F seen in other units, one for each coordinate."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from .._types import MDF, Scalar, Vector
from .tangent import FramedMDF, Linearization, linearize, linearized, lower_solve


def rescaled(mdf: MDF, factors: Vector) -> MDF:
    """y -> F(y / s): zero at s · x where F is zero at x, for factors s (n,) of the coordinates."""
    return RescaledFrame(mdf, factors) if isinstance(mdf, FramedMDF) else Partial(_rescaled, mdf, factors)


def _rescaled(mdf, factors, y):
    return mdf(y / factors)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RescaledFrame:
    """y -> F(y / s) of an F of constant rank (`FramedMDF`), whose domain it keeps."""

    mdf: FramedMDF
    factors: Vector

    @property
    def codimension(self) -> int:
        """That of F."""
        return self.mdf.codimension

    def __call__(self, y: Vector) -> Vector:
        """F(y / s), (n,) to (K,)."""
        return self.mdf(y / self.factors)

    def linearize(self, y: Vector) -> Linearization:
        """By the frame of F at y / s."""
        at = self.mdf.linearize(y / self.factors)
        assert at.jacobian is not None
        return linearized(y, at.residual, at.jacobian / self.factors, at.frame, at.within)

    def approach(self, y: Vector) -> Vector:
        """Where that of F leads."""
        return self.factors * self.mdf.approach(y / self.factors)


def log_stretch(mdf: MDF, factors: Vector, x: Vector) -> Scalar:
    """Log of the m-volume at s · x over that at x, of a piece of M at x, for factors s (n,) of the coordinates.

    With T an orthonormal basis of the tangent space, N of the normal one and S = diag(s) it is half the logarithm of
    det(TᵀS²T) = det(S²) det(N S⁻² Nᵀ), so that normals suffice.
    """
    at = linearize(mdf, x, dense=True)
    assert at.gram_factor is not None
    assert at.jacobian is not None
    normals = lower_solve(at.gram_factor, at.jacobian) / factors
    return jnp.sum(jnp.log(factors)) + jnp.linalg.slogdet(normals @ normals.T)[1] / 2
