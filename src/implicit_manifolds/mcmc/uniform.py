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
    """Nearly uniform points of a manifold too large for charts, any number of constraints.

    Constrained Langevin chains with E = 0: uniform by volume within each connected part up to O(noise_scale²), once
    chains are long enough to forget their starts; the parts keep the starts' shares, and nothing is learned of the
    volume: where charts can be had (`cover`) they give both.

    Arguments:
        key: a `jax.random` key.
        mdf: F, a callable pytree, (n,) to (k,).
        starts: (chains, n), on M.
        num_steps: of each chain.
        noise_scale: length of a step in units of x.
        box: not to be left; None for no box.

    Returns:
        Ends of the chains, (chains, n).

    >>> mcmc.uniform_chains(jax.random.key(0), circle.mdf, circle.anchors).shape
    (4, 2)
    """
    sampler = ConstrainedLangevin(mdf, Partial(_flat), noise_scale, box=box)
    return run(key, sampler, jnp.asarray(starts), 1, num_steps).positions[0]
