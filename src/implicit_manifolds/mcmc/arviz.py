"""Chains as ArviZ knows them: named variables, and statistics of each draw."""

import math
from typing import Any

import jax
import numpy as np

from ..errors import InputError
from .outcome import Reason
from .run import Chains

NAMES = {"acceptance_probability": "acceptance_rate", "potential": "energy", "num_steps": "n_steps"}
"""What ArviZ calls some of them."""


def to_arviz(chains: Chains, like: Any = None):
    """The draws as an `xarray.DataTree` that ArviZ reads. Needs the extra `arviz`.

    Raises InputError where `like` has another number of entries than the points.

    Arguments:
        chains: what `run` returned.
        like: as for `energy_from_potential`, a dict of variables in whose shapes the coordinates are put; None for one
            variable, `position`.

    Returns:
        posterior (chain, draw, ...); sample_stats (chain, draw): `acceptance_rate`, `energy`, `reason` (a `Reason`),
        `diverging` where a state was not finite, and whatever else the sampler's Info holds.

    >>> chains = mcmc.run(0, mcmc.ConstrainedHMC(circle.mdf, lambda x: -2 * x[0]), circle.anchors, 5)
    >>> mcmc.to_arviz(chains)["posterior/position"].dims
    ('chain', 'draw', 'coordinate')
    """
    import xarray

    draws = np.moveaxis(np.asarray(chains.positions), 0, 1)
    labels = {"chain": np.arange(draws.shape[0]), "draw": np.arange(draws.shape[1])}
    stats = {NAMES.get(name, name): _statistic(name, value) for name, value in chains.statistics.items()}
    if "reason" in stats:
        stats["diverging"] = (("chain", "draw"), chains.statistics["reason"].T == Reason.NON_FINITE)
    return xarray.DataTree.from_dict(
        {
            "posterior": xarray.Dataset(_variables(draws, like), labels),
            "sample_stats": xarray.Dataset(stats, labels),
        }
    )


def _statistic(name: str, value: np.ndarray):
    """Dimensions and values of one number a draw, or of several."""
    further = tuple(f"{name}_dim_{axis}" for axis in range(value.ndim - 2))
    return ("chain", "draw", *further), np.moveaxis(value, 0, 1)


def _variables(draws: np.ndarray, like: Any) -> dict[str, Any]:
    """Name to (dimensions, values (chain, draw, ...))."""
    if like is None:
        return {"position": (("chain", "draw", "coordinate"), draws)}
    leaves = jax.tree_util.tree_leaves_with_path(like)
    sizes = [math.prod(np.shape(leaf)) for _, leaf in leaves]
    if sum(sizes) != draws.shape[2]:
        raise InputError(f"`like` holds {sum(sizes)} numbers and a point {draws.shape[2]}; give one that holds as many")
    found: dict[str, Any] = {}
    for (path, leaf), part in zip(leaves, np.split(draws, np.cumsum(sizes)[:-1], axis=2), strict=True):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "position"
        dimensions = tuple(f"{name}_dim_{axis}" for axis in range(np.ndim(leaf)))
        found[name] = (("chain", "draw", *dimensions), part.reshape(*draws.shape[:2], *np.shape(leaf)))
    return found
