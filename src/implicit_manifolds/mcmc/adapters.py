"""Energies from what other libraries call a log-density or a potential."""

from collections.abc import Callable
from typing import Any

from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial


def energy_from_potential(potential: Callable, like: Any = None) -> Partial:
    """The energy of NumPyro's `potential_fn`, which is -log density.

    like: a position as the function takes it, such as NumPyro's dict of sites; a point (n,) holds its entries in the
    order of `jax.flatten_util.ravel_pytree`. None: the function takes the point itself.
    """
    unravel = (lambda x: x) if like is None else ravel_pytree(like)[1]
    function = potential if isinstance(potential, Partial) else Partial(potential)
    return Partial(lambda function, x: function(unravel(x)), function)


def energy_from_log_density(log_density: Callable, like: Any = None) -> Partial:
    """The energy of a log-density as BlackJAX takes it; `like` as for `energy_from_potential`."""
    energy = energy_from_potential(log_density, like)
    return Partial(lambda energy, x: -energy(x), energy)
