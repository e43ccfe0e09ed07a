"""Step 2 by maximum likelihood or score matching: members side by side, each judged on a fold it does not see."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import MDF, Array, Float, Int, RandomKey, select
from ..config import LikelihoodConfig, ScoreMatchingConfig
from ..losses.likelihood import likelihood_loss
from ..losses.score_matching import score_matching_loss
from ..manifold.volume import Pool, PoolSource


class Folded(NamedTuple):
    """Points (N, n) with the member (N,) that does not train on each."""

    points: Float[Array, "points n"]
    fold: Int[Array, " points"]


class VolumePoints(NamedTuple):
    """points (m, n) of M, and log V (m,), V / m the volume each stands for; -inf for rows that hold no point."""

    points: Float[Array, "m n"]
    log_volumes: Float[Array, " m"]


def volume_points(pool: Pool, rows: int) -> VolumePoints:
    """A pool of at most `rows` points as arrays of that many rows, so that no new size compiles again."""
    missing = rows - len(pool.points)
    log_volumes = np.append(np.log(rows * pool.weights), np.full(missing, -np.inf))
    points = np.pad(pool.points, ((0, missing), (0, 0)))
    return VolumePoints(jnp.asarray(points), jnp.asarray(log_volumes, points.dtype))


class Best(NamedTuple):
    """Of each member the best parameters so far, and their validation loss (members,)."""

    members: Any
    losses: Float[Array, " members"]


def untrained(members, count: int) -> Best:
    """Members none of which has been judged."""
    return Best(members, jnp.full(count, jnp.inf))


def better(members, losses: Float[Array, " members"], best: Best) -> Best:
    """Of each member, whichever of its present and best parameters has less loss; one that is not finite never has."""
    improved = losses < best.losses
    kept = jax.vmap(select)(improved, members, best.members)
    return Best(kept, jnp.where(improved, losses, best.losses))


class LikelihoodMemory(NamedTuple):
    """pool, the points of M in use; best, what early stopping keeps."""

    pool: VolumePoints
    best: Best


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LikelihoodObjective:
    """Maximum likelihood of stacked energies against pools redrawn between chunks.

    Member j trains on the data of all folds but j, and its parameters with the least loss on fold j, against
    `held_out`, points of M that no member trains on, are kept: early stopping.
    """

    data: Folded
    held_out: VolumePoints
    source: PoolSource = field(metadata={"static": True})
    config: LikelihoodConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model) -> LikelihoodMemory:
        """No pool yet, and untrained members."""
        empty = jax.tree.map(lambda leaf: jnp.zeros((self.config.pool_size, *leaf.shape[1:])), self.held_out)
        return LikelihoodMemory(empty, untrained(model, self.config.members))

    def between(self, key: RandomKey, model, memory: LikelihoodMemory) -> LikelihoodMemory:
        """A fresh pool, and whichever of each member's parameters validate best."""
        best = _judged_by_likelihood(model, memory.best, self.data, self.held_out)
        pool = self.source.draw(key, self.config.pool_size)
        return LikelihoodMemory(volume_points(pool, self.config.pool_size), best)

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """`pool_batch` points of M from the pool, the same for all members; the memory as it is."""
        picked = jax.random.uniform(key, (self.config.pool_batch,)) * memory.pool.points.shape[0]
        return jax.tree.map(lambda leaf: leaf[picked.astype(int)], memory.pool), memory

    def loss(self, key: RandomKey, model, batch: Folded, negatives: VolumePoints):
        """Summed `likelihood_loss` of the members, so that each has the gradient of its own; terms are means."""
        return _summed(lambda member, seen: likelihood_loss(member, batch.points, *negatives, seen), model, batch)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ScoreMatchingObjective:
    """Tangential score matching of stacked energies on M, no pool needed; early stopping as in `LikelihoodObjective`.

    The memory is `Best`.
    """

    mdf: MDF
    data: Folded
    config: ScoreMatchingConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model) -> Best:
        """Untrained members."""
        return untrained(model, self.config.members)

    def between(self, key: RandomKey, model, memory: Best) -> Best:
        """Whichever of each member's parameters validate best, judged by the same probes each time."""
        return _judged_by_score(jax.random.key(0), self.mdf, model, memory, self.data)

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """No negatives."""
        return (), memory

    def loss(self, key: RandomKey, model, batch: Folded, negatives):
        """Summed `score_matching_loss` of the members; terms are means."""
        one = lambda member, seen: score_matching_loss(key, self.mdf, member, batch.points, seen)  # noqa: E731
        return _summed(one, model, batch)


def _summed(loss, members, batch: Folded):
    """The sum of each member's loss on what of the batch it may see, and the terms' means."""

    def one(member, j):
        return loss(member, (batch.fold != j).astype(batch.points.dtype))

    losses, terms = jax.vmap(one)(members, jnp.arange(jax.tree.leaves(members)[0].shape[0]))
    return jnp.sum(losses), jax.tree.map(jnp.mean, terms)


@jax.jit
def _judged_by_likelihood(members, best: Best, data: Folded, held_out: VolumePoints) -> Best:
    def one(member, j):
        fold = (data.fold == j).astype(data.points.dtype)
        return likelihood_loss(member, data.points, *held_out, fold)[0]

    return better(members, jax.vmap(one)(members, jnp.arange(len(best.losses))), best)


@jax.jit
def _judged_by_score(key, mdf, members, best: Best, data: Folded) -> Best:
    def one(member, j):
        fold = (data.fold == j).astype(data.points.dtype)
        return score_matching_loss(key, mdf, member, data.points, fold)[0]

    return better(members, jax.vmap(one)(members, jnp.arange(len(best.losses))), best)


def folds(random: np.random.Generator, points: Float[np.ndarray, "points n"], count: int) -> Int[np.ndarray, " points"]:
    """A random fold for each point, (N,), equal points in one fold: a repeated point must not validate itself."""
    _, group = np.unique(points, axis=0, return_inverse=True)
    return random.permutation(np.arange(group.max() + 1) % count)[group.ravel()]
