"""Arithmetic of manifolds: intersections, unions and changes of variables (Ross et al. 2023, §3.1)."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._pytree import pytree
from .._types import MDF, Array, Float, Residual, Vector
from .constant_rank import FramedIntersection, FramedPullBack
from .tangent import FramedMDF


def _intersection(mdfs, x: Vector) -> Residual:
    return jnp.concatenate([mdf(x) for mdf in mdfs])


def intersection(*mdfs: MDF) -> MDF:
    """X -> concat(F₁(x), F₂(x), ...), (n,) -> (Σ k_i,); its density has the summed energies.

    Generically empty where Σ k_i > n.

    Arguments:
        mdfs: one F for each manifold, callable pytrees of one n.

    Returns:
        A callable pytree, (n,) to (Σ k_i,), zero where all are.

    >>> manifold.intersection(circle.mdf, lambda x: x[:1])(jnp.array([0.0, 2.0])).tolist()
    [3.0, 0.0]
    """
    if any(isinstance(mdf, FramedMDF) for mdf in mdfs):
        return FramedIntersection(mdfs)
    return Partial(_intersection, mdfs)


def union(*mdfs: MDF) -> Partial:
    """X -> F₁(x) · F₂(x) · ..., (n,) -> (1,); codimension 1 only, since a product of vectors loses rank.

    Its gradient vanishes where two factors meet: to sample a union, choose the factor first and use
    that factor alone. Raises ValueError at the first call where a factor has more than one component.

    Arguments:
        mdfs: one F: R^n -> R^1 for each manifold, callable pytrees.

    Returns:
        A callable pytree, (n,) to (1,), zero where any is.

    >>> manifold.union(circle.mdf, lambda x: x[:1])(jnp.array([0.0, 2.0])).tolist()
    [0.0]
    """
    return Partial(_union, mdfs)


def _union(mdfs, x: Vector) -> Residual:
    factors = [mdf(x) for mdf in mdfs]
    if any(factor.shape != (1,) for factor in factors):
        raise ValueError("a union needs codimension 1; in higher codimension mix the components instead")
    return jnp.prod(jnp.stack(factors), axis=0)


@pytree
@dataclass(frozen=True, eq=False)
class Affine:
    """X -> shift + scale · x, scale () or (n,), shift (n,)."""

    scale: Float[Array | np.ndarray, "*n"]
    shift: Float[Array | np.ndarray, "*models n"]

    def __call__(self, x: Vector) -> Vector:
        """One point, (n,) to (n,)."""
        return jnp.asarray(self.shift) + jnp.asarray(self.scale) * x


@pytree
@dataclass(frozen=True, eq=False)
class PullBack:
    """X -> F(T(x)), T an invertible change of variables."""

    mdf: MDF
    transform: Callable[[Vector], Vector]

    def __call__(self, x: Vector) -> Residual:
        """One point, (n,) to (k,)."""
        return self.mdf(self.transform(x))


def pull_back(mdf: MDF, transform) -> MDF:
    """X -> F(transform(x)): the manifold seen through an invertible change of variables, a callable pytree.

    To shift M by `offset`, pull back by x -> x - offset, that is `translate`.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        transform: (n,) to (n,), which takes points of the new manifold to points of the old one.

    Returns:
        A callable pytree, (n,) to (k,).

    >>> ellipse = manifold.pull_back(circle.mdf, lambda x: x * jnp.array([0.5, 1.0]))
    >>> ellipse(jnp.array([2.0, 0.0])).tolist()
    [0.0]
    """
    if isinstance(mdf, FramedMDF):
        return FramedPullBack(mdf, transform)
    return PullBack(mdf, transform)


def _translate(mdf, offset, x: Vector) -> Residual:
    return mdf(x - offset)


def translate(mdf: MDF, offset: Vector) -> MDF:
    """X -> F(x - offset): M shifted by `offset` (n,).

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        offset: (n,), in the units of x.

    Returns:
        A callable pytree, (n,) to (k,). A `Manifold` or an `EBIM` is moved whole by `implicit_manifolds.translate`.

    >>> manifold.translate(circle.mdf, jnp.array([3.0, 0.0]))(jnp.array([4.0, 0.0])).tolist()
    [0.0]
    """
    if isinstance(mdf, FramedMDF):
        return FramedPullBack(mdf, Partial(_less, offset))
    return Partial(_translate, mdf, offset)


def _less(offset, x: Vector) -> Vector:
    return x - offset
