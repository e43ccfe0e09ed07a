"""Arithmetic of functions of constant rank (`FramedMDF`): stacked with others, and after a change of variables."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.linalg import block_diag

from .._pytree import pytree
from .._types import MDF, Residual, Vector
from .tangent import FramedMDF, Linearization, codimension_of, linearize, linearized


@pytree
@dataclass(frozen=True, eq=False)
class FramedIntersection:
    """X -> concat(F₁(x), F₂(x), ...), where some F_i have constant rank: its rank is the sum of theirs."""

    mdfs: tuple[MDF, ...]

    def rank(self, point) -> int:
        """The sum of ranks and numbers of constraints."""
        return sum(codimension_of(mdf, point) for mdf in self.mdfs)

    def __call__(self, x: Vector) -> Residual:
        """All residuals, end to end."""
        return jnp.concatenate([mdf(x) for mdf in self.mdfs])

    def linearize(self, x: Vector) -> Linearization:
        """By a frame of blocks, the identity where an F_i has none; within all domains."""
        parts = [linearize(mdf, x, dense=True) for mdf in self.mdfs]
        frames = [jnp.eye(len(part.residual)) if part.frame is None else part.frame for part in parts]
        within = jnp.all(jnp.stack([jnp.asarray(part.within is None or part.within) for part in parts]))
        residual = jnp.concatenate([part.residual for part in parts])
        jacobian = jnp.concatenate([part.jacobian for part in parts])  # type: ignore[misc]
        return linearized(x, residual, jacobian, block_diag(*frames).astype(x.dtype), within)

    def approach(self, x: Vector) -> Vector:
        """Where each in turn leads."""
        for mdf in self.mdfs:
            x = mdf.approach(x) if isinstance(mdf, FramedMDF) else x
        return x


@pytree
@dataclass(frozen=True, eq=False)
class FramedPullBack:
    """X -> F(T(x)) of an F of constant rank, T an invertible change of variables; its domain is that of F."""

    mdf: FramedMDF
    transform: Callable[[Vector], Vector]

    def rank(self, point) -> int:
        """That of F."""
        return self.mdf.rank(point)

    def __call__(self, x: Vector) -> Residual:
        """F(T(x)), (n,) to (K,)."""
        return self.mdf(self.transform(x))

    def linearize(self, x: Vector) -> Linearization:
        """By the frame of F at T(x)."""
        at = self.mdf.linearize(self.transform(x))
        assert at.jacobian is not None
        return linearized(x, at.residual, at.jacobian @ jax.jacobian(self.transform)(x), at.frame, at.within)

    def approach(self, x: Vector) -> Vector:
        """Where that of F leads, to first order in T."""
        there = self.transform(x)
        return x + jnp.linalg.solve(jax.jacobian(self.transform)(x), self.mdf.approach(there) - there)
