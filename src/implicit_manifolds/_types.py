"""The few array types and tolerances that every module shares."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial, all_leaves
from jaxtyping import Array, Bool, Float, Int, Key

Vector = Float[Array, " n"]
Residual = Float[Array, " k"]
Scalar = Float[Array, ""]
Number = float | Scalar
RandomKey = Key[Array, ""]
Points = Float[Array, "batch n"]
MDF = Callable[[Any], Any]
"""A manifold-defining function: one point (n,) to its residual (k,); a callable pytree."""
Energy = Callable[[Any], Any]
"""One point (n,) to a scalar; a callable pytree."""


def relative_tolerance(dtype) -> float:
    """Relative accuracy that rounding lets a solver reach: 1.2e-6 in float32, 4e-14 in float64."""
    return float(jnp.finfo(dtype).eps) ** (6 / 7)


def callable_pytree(function: Callable[..., Any]) -> Any:
    """A function that may travel through `jit`: itself where it is a pytree, such as a Flax module, else a Partial."""
    return Partial(function) if all_leaves([function]) else function


def select(predicate: Bool[Array, ""], if_true, if_false):
    """Choose between two pytrees of one structure, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(predicate, a, b), if_true, if_false)


__all__ = [
    "MDF",
    "Array",
    "Bool",
    "Energy",
    "Float",
    "Int",
    "Key",
    "Number",
    "Points",
    "RandomKey",
    "Residual",
    "Scalar",
    "Vector",
    "callable_pytree",
    "relative_tolerance",
    "select",
]
