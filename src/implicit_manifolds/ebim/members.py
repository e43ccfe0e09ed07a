"""Energies side by side, each stopped early on a fold of the data that it does not see."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._loops import over_points
from .._types import Array, Float, Int, RandomKey, select
from ..errors import InputError
from ..networks.energy import FourierEnergy
from ..training.config import Network, TrainingConfig
from ..training.objective import Terms


@dataclass(frozen=True, kw_only=True)
class MembersConfig(TrainingConfig):
    """Energies on Fourier features, trained side by side and averaged."""

    hidden: tuple[int, ...] = (32, 32)
    features: int = 16  # Fourier features
    bandwidths: tuple[float, ...] = (0.5, 1.0, 2.0)  # of the features, in radians per standard unit
    members: int = 4  # each stopped early on a fold that it does not see
    network: Network = field(default=None, repr=False)  # E, (n,) to (), in place of one on Fourier features

    def __post_init__(self) -> None:
        """One alone would train on no fold."""
        super().__post_init__()
        if self.members < 2:
            raise InputError(f"members is {self.members}; it must be at least 2, each of which sees what others do not")


class FoldedPoints(NamedTuple):
    """Points (N, n) with the member (N,) that does not train on each."""

    points: Float[Array | np.ndarray, "points n"]
    fold: Int[Array | np.ndarray, " points"]


class Best(NamedTuple):
    """Of each member the best parameters so far, and their validation loss (members,)."""

    members: Any
    losses: Float[Array, " members"]


def folds(random: np.random.Generator, points: Float[np.ndarray, "points n"], count: int) -> Int[np.ndarray, " points"]:
    """A random fold for each point, (N,), equal points in one fold: a repeated point must not validate itself."""
    _, group = np.unique(points, axis=0, return_inverse=True)
    return random.permutation(np.arange(group.max() + 1) % count)[group.ravel()]


def hashed_folds(points: Float[np.ndarray, "points n"], count: int) -> Int[np.ndarray, " points"]:
    """A fold for each point, (N,), by its digits alone, so that whoever meets a point later finds its fold."""
    words = np.ascontiguousarray(points).view(np.uint8).reshape(len(points), -1)
    return np.array([zlib.crc32(row.tobytes()) for row in words]) % count


def untrained(members, count: int) -> Best:
    """Members none of which has been judged."""
    return Best(members, jnp.full(count, jnp.inf))


def better(members, losses: Float[Array, " members"], best: Best) -> Best:
    """Of each member, whichever of its present and best parameters has less loss; one that is not finite never has."""
    improved = losses < best.losses
    kept = jax.vmap(select)(improved, members, best.members)
    return Best(kept, jnp.where(improved, losses, best.losses))


def summed_losses(loss: Callable, members, batch: FoldedPoints) -> Terms:
    """The sum of each member's loss on what of the batch it may see, and the means of losses and terms."""

    def one(member, j):
        return loss(member, (batch.fold != j).astype(batch.points.dtype))

    losses, terms = jax.vmap(one)(members, jnp.arange(jax.tree.leaves(members)[0].shape[0]))
    return jnp.sum(losses), jax.tree.map(jnp.mean, terms | {"loss": losses})


def own_fold_losses(loss: Callable, members, data: FoldedPoints) -> Float[Array, " members"]:
    """Each member's loss on the fold that it does not train on, loss(member, weights of the points), (members,)."""

    def one(member, j):
        return loss(member, (data.fold == j).astype(data.points.dtype))[0]

    return jax.vmap(one)(members, jnp.arange(jax.tree.leaves(members)[0].shape[0]))


def initial_members(key: RandomKey, dimension: int, config: MembersConfig) -> Any:
    """`config.members` energies of points (n,), stacked along a leading axis."""
    sizes = dimension, config.hidden, config.features, config.bandwidths
    return _initial_members(key, config.network, sizes, config.members)


@partial(jax.jit, static_argnames=("network", "sizes", "count"))
def _initial_members(key, network, sizes, count):
    made = network or (lambda rngs: FourierEnergy(*sizes, rngs=rngs))
    return jax.vmap(lambda key: made(nnx.Rngs(key)))(jax.random.split(key, count))


def member_energies(members, points: Float[np.ndarray | Array, "points n"]) -> Float[np.ndarray, "points members"]:
    """The energy of each member at points (N, n), in double."""
    return over_points(_of_each, members, points).astype(np.float64)


def _of_each(members, x):
    return jax.vmap(lambda member: member(x))(members)
