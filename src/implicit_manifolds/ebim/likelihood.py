"""Step 2 by maximum likelihood against points of known volume: no Markov chain in the loop."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._pytree import pytree
from .._random import derived_keys
from .._types import Array, Energy, Float, RandomKey
from ..networks.mixtures import EnergyMixture
from ..tables import Rows
from ..training.loop import History, train_afresh
from ..training.objective import Objective, Terms
from ..volumes.importance import MIN_NORMALIZER_DRAWS, energies_at
from ..volumes.pools import Pool, PoolSource, log_integral
from .kernels import FoldDensities, kernel_energy, masses, mixture_weights
from .members import (
    Best,
    FoldedPoints,
    MembersConfig,
    better,
    initial_members,
    member_energies,
    own_fold_losses,
    summed_losses,
    untrained,
)


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig(MembersConfig):
    """Step 2 by maximum likelihood: the energies, and the points of M they are normalised with."""

    num_steps: int = 600
    batch_size: int = 200
    learning_rate: float = 0.005
    pool_size: int = 5000  # points of M, redrawn twenty times
    pool_batch: int = 500
    held_out: int = 10_000  # points of M that validate
    kernel: bool = True  # mix in an adaptive kernel density, as far as held-out folds ask for it


def likelihood_loss(
    energy: Energy,
    points: Float[Array | np.ndarray, "batch n"],
    pool: Float[Array, "m n"],
    log_volumes: Float[Array, " m"],
    weights: Float[Array, " batch"] | None = None,
) -> Terms:
    """Σ w E(x) / Σ w + log mean V(u) exp(-E(u)): the negative log-likelihood.

    points x (batch, n) from the data with optional weights w (batch,); pool u (m, n), points of M of which each stands
    for the volume V / m, log_volumes log V (m,), -inf for a point to be left out. The log of a mean over few u is
    biased low, and an energy trained on one fixed pool learns to fall between its points: redraw the pool, and judge by
    another. Returns the loss and its terms.
    """
    data = jnp.average(jax.vmap(energy)(points), weights=weights)
    log_z = jax.nn.logsumexp(log_volumes - jax.vmap(energy)(pool)) - jnp.log(pool.shape[0])
    return data + log_z, {"data": data, "log_z": log_z}


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


class LikelihoodMemory(NamedTuple):
    """pool, the points of M in use; best, what early stopping keeps."""

    pool: VolumePoints
    best: Best


@pytree
@dataclass(frozen=True, eq=False)
class LikelihoodObjective(Objective):
    """Maximum likelihood of stacked energies against pools redrawn between chunks.

    Member j trains on the data of all folds but j, and its parameters with the least loss on fold j, against
    `held_out`, points of M that no member trains on, are kept: early stopping.
    """

    data: FoldedPoints
    held_out: VolumePoints
    source: PoolSource = field(metadata={"static": True})
    config: LikelihoodConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model) -> LikelihoodMemory:
        """No pool yet, and untrained members."""
        empty = jax.tree.map(lambda leaf: jnp.zeros((self.config.pool_size, *leaf.shape[1:])), self.held_out)
        return LikelihoodMemory(empty, untrained(model, self.config.members))

    def refresh(self, key: RandomKey, model, memory: LikelihoodMemory) -> LikelihoodMemory:
        """A fresh pool, and whichever of each member's parameters validate best."""
        best = _judged_by_likelihood(model, memory.best, self.data, self.held_out)
        pool = self.source.draw(key, self.config.pool_size)
        return LikelihoodMemory(volume_points(pool, self.config.pool_size), best)

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """`pool_batch` points of M from the pool, the same for all members; the memory as it is."""
        picked = jax.random.uniform(key, (self.config.pool_batch,)) * memory.pool.points.shape[0]
        return jax.tree.map(lambda leaf: leaf[picked.astype(int)], memory.pool), memory

    def loss(self, key: RandomKey, model, batch: FoldedPoints, negatives: VolumePoints):
        """Summed `likelihood_loss` of the members, so that each has the gradient of its own; terms are means."""
        return summed_losses(lambda member, seen: likelihood_loss(member, batch.points, *negatives, seen), model, batch)


@jax.jit
def _judged_by_likelihood(members, best: Best, data: FoldedPoints, held_out: VolumePoints) -> Best:
    losses = own_fold_losses(lambda m, fold: likelihood_loss(m, data.points, *held_out, fold), members, data)
    return better(members, losses, best)


def fit_likelihood(
    key: RandomKey,
    source: PoolSource,
    data: FoldDensities,
    config: LikelihoodConfig = LikelihoodConfig(),
    *,
    stream: Rows | None = None,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[EnergyMixture, History]:
    """Learn E on a frozen M by maximum likelihood; source draws its points of known volume.

    `config.members` energies are trained side by side, each on all folds of the data but one, on which it is
    stopped early. The mean of their normalised densities is mixed with a kernel density by the likelihood that folds
    have under what did not see them, where that is surely better. Where the data are a sample, members are trained on
    the stream of all, `FoldedPoints`, and judged by the sample. No pool that trained a member validates or
    normalises it. Returns E and the history. Raises TrainingDiverged.
    """
    model_key, held_out_key, train_key, normalizer_key = derived_keys(key, 4)
    points, fold = data.folded
    members = initial_members(model_key, points.shape[1], config)
    folded = FoldedPoints(jnp.asarray(points), jnp.asarray(fold))
    held_out = volume_points(source.draw(held_out_key, config.held_out), config.held_out)
    objective = LikelihoodObjective(folded, held_out, source, config)
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    seen = folded if stream is None else stream
    state, history = train_afresh("energy", train_key, members, objective, seen, config, **options)
    pool = source.draw(normalizer_key, MIN_NORMALIZER_DRAWS)
    return normalised(state.memory.best.members, data, pool, config.kernel), history


def normalised(members, data: FoldDensities, pool: Pool, with_kernel: bool) -> EnergyMixture:
    """The mean of the members' densities, normalised by a pool, and mixed with kernels where folds ask for that."""
    log_z = np.array([log_integral(pool, -column).value for column in member_energies(members, pool.points).T])
    log_weights, kernel = -log_z - math.log(len(log_z)), None
    centres, fold = (np.asarray(rows)[: len(data.densities)] for rows in data.folded)
    if with_kernel:
        unseen = member_energies(members, centres)[np.arange(len(fold)), fold] + log_z[fold]
        mass = masses(centres, data.dimension, pool)
        network, multiples = _stacked(np.exp(-unseen), data.densities / mass)
        if network < 1:
            kernel = kernel_energy(centres, multiples / mass, data.dimension)
            kernel_log_z = log_integral(pool, -energies_at(kernel, pool.points)).value
            log_weights = np.append(log_weights + math.log(network), math.log(1 - network) - kernel_log_z)
    return EnergyMixture(members, kernel, jnp.asarray(log_weights, centres.dtype))


def _stacked(network: Float[np.ndarray, " a"], kernels: Float[np.ndarray, "a s"]) -> tuple[float, np.ndarray]:
    """Weights of the networks' density and of the kernels' (s,), by points (a,) that none of them has seen.

    The networks' weight is 1 unless kernels raise the mean log-density by more than two of its standard errors.
    """
    columns = np.column_stack([network, kernels]) + np.finfo(np.float32).tiny
    weights = mixture_weights(columns)
    gain = np.log(columns @ weights) - np.log(columns[:, 0])
    if gain.mean() <= 2 * gain.std() / math.sqrt(len(gain)):
        return 1.0, weights[1:]
    return max(weights[0], 1e-30), weights[1:]
