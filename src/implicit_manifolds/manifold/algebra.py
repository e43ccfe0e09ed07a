"""Arithmetic of manifolds: intersections, unions and changes of variables (Ross et al. 2023, §3.1)."""

import jax.numpy as jnp
from jax.tree_util import Partial

from .._types import MDF, Residual, Vector


def _intersection(mdfs, x: Vector) -> Residual:
    return jnp.concatenate([mdf(x) for mdf in mdfs])


def intersection(*mdfs: MDF) -> Partial:
    """X -> concat(F₁(x), F₂(x), ...), (n,) -> (Σ k_i,); its density has the summed energies.

    Generically empty where Σ k_i > n.
    """
    return Partial(_intersection, mdfs)


def union(*mdfs: MDF) -> Partial:
    """X -> F₁(x) · F₂(x) · ..., (n,) -> (1,); codimension 1 only, since a product of vectors loses rank.

    Its gradient vanishes where two factors meet: to sample a union, choose the factor first and use
    that factor alone. Raises ValueError at the first call where a factor has more than one component.
    """
    return Partial(_union, mdfs)


def _union(mdfs, x: Vector) -> Residual:
    factors = [mdf(x) for mdf in mdfs]
    if any(factor.shape != (1,) for factor in factors):
        raise ValueError("a union needs codimension 1; in higher codimension mix the components instead")
    return jnp.prod(jnp.stack(factors), axis=0)


def _pull_back(mdf, transform, x: Vector) -> Residual:
    return mdf(transform(x))


def pull_back(mdf: MDF, transform) -> Partial:
    """X -> F(transform(x)): the manifold seen through an invertible change of variables, a callable pytree.

    To shift M by `offset`, pull back by x -> x - offset, that is `translate`.
    """
    return Partial(_pull_back, mdf, transform)


def _translate(mdf, offset, x: Vector) -> Residual:
    return mdf(x - offset)


def translate(mdf: MDF, offset: Vector) -> Partial:
    """X -> F(x - offset): M shifted by `offset` (n,)."""
    return Partial(_translate, mdf, offset)
