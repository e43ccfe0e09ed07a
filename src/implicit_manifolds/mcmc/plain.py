"""Plain functions as the callable pytrees that travel through jit, and F with one number as one with one constraint."""

from typing import Any

import jax.numpy as jnp
from jax.tree_util import Partial, all_leaves

from ..choices import Choices


def _at_least_one(mdf, x):
    return jnp.atleast_1d(mdf(x))


class Target(Choices):
    """A sampler whose `mdf` and `energy` may be given as plain functions, and F may return a scalar."""

    def __post_init__(self) -> None:
        """Make pytrees of plain functions; jit knows such a function by identity, so define it once."""
        super().__post_init__()
        for name in ("mdf", "energy"):
            function: Any = getattr(self, name, None)
            if callable(function) and all_leaves([function]):  # while jit rebuilds it, it may hold anything
                function = Partial(function)
                object.__setattr__(self, name, Partial(_at_least_one, function) if name == "mdf" else function)
