"""Nearly uniform points of a manifold too large for charts: constrained chains without an energy."""

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._types import MDF, Array, Float, RandomKey
from ..box import Box
from .constrained_langevin import ConstrainedLangevin
from .run import run


def _flat(x):
    return jnp.zeros((), x.dtype)


def uniform_chains(
    key: RandomKey,
    mdf: MDF,
    starts: Float[Array | np.ndarray, "chains n"],
    num_steps: int = 300,
    noise_scale: float = 0.1,
    box: Box | None = None,
) -> Float[np.ndarray, "chains n"]:
    """Ends (chains, n) of constrained Langevin chains with E = 0 from `starts` on M, any number of constraints.

    Uniform by volume within each connected part up to O(noise_scale²), once chains are long enough to forget
    their starts; the parts keep the starts' shares, and nothing is learned of the volume: where
    charts can be had (`cover`) they give both. noise_scale: length of a step in units of x. box: not to be left.
    """
    sampler = ConstrainedLangevin(mdf, Partial(_flat), noise_scale, box=box)
    return run(key, sampler, jnp.asarray(starts), 1, num_steps).positions[0]
