"""Energies from what other libraries call a log-density or a potential."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._types import Scalar, Vector, callable_pytree
from ..errors import InputError


@pytree
@dataclass(frozen=True, eq=False)
class AdaptedEnergy:
    """sign · function(position), the position put together from a point (n,) by `structure` and `shapes` of leaves."""

    function: Callable
    sign: int = field(metadata={"static": True})
    structure: Any = field(metadata={"static": True})
    shapes: tuple[tuple[int, ...], ...] = field(metadata={"static": True})

    def __call__(self, x: Vector) -> Scalar:
        """The energy at a point (n,)."""
        if self.structure is None:
            return self.sign * self.function(x)
        if len(x) != (size := sum(map(math.prod, self.shapes))):
            raise InputError(f"the point has {len(x)} entries and `like` {size}; give a position of the same size")
        leaves, first = [], 0
        for shape in self.shapes:
            leaves.append(x[first : first + math.prod(shape)].reshape(shape))
            first += math.prod(shape)
        return self.sign * self.function(jax.tree.unflatten(self.structure, leaves))


def energy_from_potential(potential: Callable, like: Any = None) -> AdaptedEnergy:
    """The energy of NumPyro's `potential_fn`, which is -log density.

    A `jax.tree_util.Partial` keeps its arguments as leaves, so new ones compile nothing.

    Arguments:
        potential: a position to a scalar.
        like: a position as the function takes it, such as NumPyro's dict of sites; a point (n,) holds its entries leaf
            by leaf, dicts by sorted name; another number of them is an InputError. None: the function takes the point
            itself.

    Returns:
        A callable pytree, (n,) to a scalar.

    >>> energy = mcmc.energy_from_potential(lambda site: site["a"] ** 2 + site["b"][0], {"a": 0.0, "b": jnp.zeros(2)})
    >>> float(energy(jnp.array([3.0, 1.0, 0.0])))
    10.0
    """
    return _adapted(potential, 1, like)


def energy_from_log_density(log_density: Callable, like: Any = None) -> AdaptedEnergy:
    """The energy of a log-density as BlackJAX takes it.

    Arguments:
        log_density: a position to a scalar.
        like: as for `energy_from_potential`.

    Returns:
        A callable pytree, (n,) to a scalar, minus the log-density.

    >>> float(mcmc.energy_from_log_density(lambda x: -jnp.sum(x**2))(jnp.array([3.0, 1.0])))
    10.0
    """
    return _adapted(log_density, -1, like)


def _adapted(function, sign, like):
    function = callable_pytree(function)
    if like is None:
        return AdaptedEnergy(function, sign, None, ())
    leaves, structure = jax.tree.flatten(like)
    return AdaptedEnergy(function, sign, structure, tuple(jnp.shape(leaf) for leaf in leaves))
