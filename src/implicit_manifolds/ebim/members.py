"""Energies side by side, each stopped early on a fold of the data that it does not see."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._loops import in_blocks
from .._types import Array, Float, Int, select
from ..networks.energy import FourierEnergy
from .model import BLOCK


class Folded(NamedTuple):
    """Points (N, n) with the member (N,) that does not train on each."""

    points: Float[Array, "points n"]
    fold: Int[Array, " points"]


class Best(NamedTuple):
    """Of each member the best parameters so far, and their validation loss (members,)."""

    members: Any
    losses: Float[Array, " members"]


def folds(random: np.random.Generator, points: Float[np.ndarray, "points n"], count: int) -> Int[np.ndarray, " points"]:
    """A random fold for each point, (N,), equal points in one fold: a repeated point must not validate itself."""
    _, group = np.unique(points, axis=0, return_inverse=True)
    return random.permutation(np.arange(group.max() + 1) % count)[group.ravel()]


def untrained(members, count: int) -> Best:
    """Members none of which has been judged."""
    return Best(members, jnp.full(count, jnp.inf))


def better(members, losses: Float[Array, " members"], best: Best) -> Best:
    """Of each member, whichever of its present and best parameters has less loss; one that is not finite never has."""
    improved = losses < best.losses
    kept = jax.vmap(select)(improved, members, best.members)
    return Best(kept, jnp.where(improved, losses, best.losses))


def _summed(loss, members, batch: Folded):
    """The sum of each member's loss on what of the batch it may see, and the terms' means."""

    def one(member, j):
        return loss(member, (batch.fold != j).astype(batch.points.dtype))

    losses, terms = jax.vmap(one)(members, jnp.arange(jax.tree.leaves(members)[0].shape[0]))
    return jnp.sum(losses), jax.tree.map(jnp.mean, terms)


def _sizes(points, config):
    return points.shape[1], config.hidden, config.features, config.bandwidths


@partial(jax.jit, static_argnames=("sizes", "count"))
def _initial_members(key, sizes, count):
    """`count` energies stacked along a leading axis."""
    return jax.vmap(lambda k: FourierEnergy(*sizes, rngs=nnx.Rngs(k)))(jax.random.split(key, count))


def _member_energies(members, points) -> Float[np.ndarray, "points members"]:
    return in_blocks(lambda rows: _block_energies(members, rows), points, BLOCK).astype(np.float64)


@jax.jit
def _block_energies(members, points):
    return jax.vmap(lambda x: jax.vmap(lambda member: member(x))(members))(points)
