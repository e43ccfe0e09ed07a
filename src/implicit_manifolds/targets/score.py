"""How right draws of a target are, and how many they are worth."""

from typing import NamedTuple

import numpy as np

from .._loops import over_points, value
from .._types import Float
from ..errors import InputError
from .target import Target


class Score(NamedTuple):
    """Of each quantity, by name: what the draws say, and by how many standard errors they miss what is known.

    mean, r_hat (rank-normalised, split), ess (bulk, of all chains together); z: the mean less the known one over the
    standard error of both; residual: largest ‖F‖ of the draws.
    """

    mean: dict[str, float]
    z: dict[str, float]
    ess: dict[str, float]
    r_hat: dict[str, float]
    residual: float

    @property
    def least_ess(self) -> float:
        """Of all quantities; NaN where one is."""
        return float(np.min([*self.ess.values()]))

    @property
    def largest_r_hat(self) -> float:
        """Of all quantities; NaN where one is."""
        return float(np.max([*self.r_hat.values()]))

    @property
    def largest_z(self) -> float:
        """Of all quantities, without its sign; NaN where one is, as of draws beyond what the target allows."""
        return float(np.max(np.abs([*self.z.values()])))


def score(target: Target, draws: Float[np.ndarray, "chains draws n"]) -> Score:
    """Score draws of any sampler. Raises InputError for fewer than four a chain, or not all finite.

    Arguments:
        target: whose law they should follow.
        draws: (chains, draws, n), as they follow one another.

    Returns:
        `Score`: z, effective sizes and R-hat of each quantity.

    >>> from implicit_manifolds import targets
    >>> circle_law = targets.MADE_BY["von_mises_fisher"]()
    >>> draws = np.asarray(circle_law.starts(jax.random.key(0), 40)).reshape(4, 10, 10)
    >>> targets.score(circle_law, draws).largest_z > 4  # starts are not draws
    True
    """
    from arviz_stats.base import array_stats

    if draws.ndim != 3 or draws.shape[2] != target.dimension or draws.shape[1] < 4:
        raise InputError(
            f"draws have the shape {draws.shape}; give (chains, draws, {target.dimension}), at least 4 of each chain"
        )
    if not np.isfinite(draws).all():
        raise InputError("some draws are not finite; leave out the chains that broke down, and count them")
    flat = draws.reshape(-1, target.dimension)
    mean: dict[str, float] = {}
    z: dict[str, float] = {}
    sizes: dict[str, float] = {}
    r_hats: dict[str, float] = {}
    for name, quantity in target.quantities.items():
        values = over_points(value, quantity.function, flat).astype(np.float64).reshape(draws.shape[:2])
        ess = float(array_stats.ess(values, method="bulk", chain_axis=0, draw_axis=1))
        error = np.hypot(quantity.deviation / np.sqrt(ess), quantity.standard_error)
        r_hat = float(array_stats.rhat(values, method="rank", chain_axis=0, draw_axis=1)) if len(values) > 1 else np.nan
        mean[name], z[name] = float(values.mean()), float((values.mean() - quantity.mean) / error)
        sizes[name], r_hats[name] = ess, r_hat
    residual = np.linalg.norm(over_points(value, target.mdf, flat), axis=1).max()
    return Score(mean, z, sizes, r_hats, float(residual))
