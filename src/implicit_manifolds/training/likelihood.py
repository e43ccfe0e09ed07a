"""Step 2 by maximum likelihood: several energies side by side, each judged on a fold it does not see."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._random import host_generator
from .._types import MDF, Array, Float, Int, RandomKey, Vector, select
from ..config import LikelihoodConfig
from ..losses.likelihood import likelihood_loss
from ..manifold.volume import pool_of_size


class Folded(NamedTuple):
    """Points (N, n) with the member (N,) that does not train on each."""

    points: Float[Array, "points n"]
    fold: Int[Array, " points"]


class LikelihoodMemory(NamedTuple):
    """pool (m, n), the uniform points in use; of each member the best parameters so far, with their validation
    loss (members,).
    """

    pool: Float[Array, "m n"]
    best: Any
    losses: Float[Array, " members"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LikelihoodObjective:
    """Maximum likelihood of stacked energies against uniform pools redrawn between chunks.

    Member j trains on the data of all folds but j, and its parameters with the least loss on fold j, against
    `held_out` (v, n), uniform points that no member trains on, are kept: early stopping.
    """

    mdf: MDF
    low: Vector
    high: Vector
    data: Folded
    held_out: Float[Array, "v n"]
    config: LikelihoodConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model) -> LikelihoodMemory:
        """No pool yet, and untrained members."""
        pool = jnp.zeros((self.config.pool_size, len(self.low)), self.low.dtype)
        return LikelihoodMemory(pool, model, jnp.full(self.config.members, jnp.inf, self.low.dtype))

    def between(self, key: RandomKey, model, memory: LikelihoodMemory) -> LikelihoodMemory:
        """A fresh pool, and whichever of each member's parameters validate best."""
        best, losses = _best(model, memory, self.data, self.held_out)
        pool = pool_of_size(key, self.mdf, (self.low, self.high), self.config.pool_size)
        picked = host_generator(key).choice(len(pool.points), self.config.pool_size, replace=False)
        return LikelihoodMemory(jnp.asarray(pool.points[picked]), best, losses)

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """Uniform points (pool_batch, n) from the pool, the same for all members; the memory as it is."""
        picked = jax.random.uniform(key, (self.config.pool_batch,)) * memory.pool.shape[0]
        return memory.pool[picked.astype(int)], memory

    def loss(self, key: RandomKey, model, batch: Folded, negatives):
        """Summed `likelihood_loss` of the members, so that each has the gradient of its own; terms are means."""

        def one(member, j):
            seen = (batch.fold != j).astype(batch.points.dtype)
            return likelihood_loss(member, batch.points, negatives, seen)

        losses, terms = jax.vmap(one)(model, jnp.arange(self.config.members))
        return jnp.sum(losses), jax.tree.map(jnp.mean, terms)


@jax.jit
def _best(members, memory: LikelihoodMemory, data: Folded, held_out):
    """Of each member, whichever of its present and best parameters validate better, and their loss."""

    def one(member, best, least, j):
        fold = (data.fold == j).astype(held_out.dtype)
        loss = likelihood_loss(member, data.points, held_out, fold)[0]
        better = loss < least  # False where the loss is not finite
        return select(better, member, best), jnp.where(better, loss, least)

    return jax.vmap(one)(members, memory.best, memory.losses, jnp.arange(len(memory.losses)))


def folds(random: np.random.Generator, points: Float[np.ndarray, "points n"], count: int) -> Int[np.ndarray, " points"]:
    """A random fold for each point, (N,), equal points in one fold: a repeated point must not validate itself."""
    _, group = np.unique(points, axis=0, return_inverse=True)
    return random.permutation(np.arange(group.max() + 1) % count)[group.ravel()]
