"""Step 2: an energy on a frozen manifold, by contrastive divergence or by maximum likelihood, and its normaliser."""

import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._loops import in_blocks
from ._random import Box, derived_keys, host_generator
from ._types import MDF, Array, Energy, Float, RandomKey
from .config import EnergyConfig, LikelihoodConfig
from .ebim import BLOCK, LogNormalizer, energies_at
from .manifold.volume import Pool, integrate, pool_of_size, uniform_pool
from .models.energy import EnergyMixture, FourierEnergy
from .models.mlp import EnergyMLP
from .training.likelihood import Folded, LikelihoodObjective, folds
from .training.loop import History, train_afresh
from .training.objectives import ContrastiveObjective

NORMALIZER_ERROR = 0.003
MIN_NORMALIZER_LINES, MAX_NORMALIZER_LINES = 2**15, 2**20


def has_pools(dimension: int, codimension: int) -> bool:
    """Whether uniform points of M, and with them Z, can be had: one constraint, and a box that random lines fill."""
    return codimension == 1 and dimension <= 5


def fit_contrastive(
    key: RandomKey,
    mdf: MDF,
    points: Float[Array, "points n"],
    starts: Float[Array, "starts n"],
    box: Box,
    config: EnergyConfig = EnergyConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[EnergyMLP, History]:
    """Learn E on the frozen {F = 0} from `points` (N, n), standardised, as the paper does; E and the history.

    starts (s, n): points of M for fresh chains. Raises TrainingDiverged.
    """
    model_key, train_key = derived_keys(key, 2)
    energy = _initial_energy(model_key, (points.shape[1], *config.hidden))
    objective = ContrastiveObjective(mdf, starts, *box, config)
    state, history = train_afresh(
        "energy", train_key, energy, objective, points, config, progress=progress, checkpoint_dir=checkpoint_dir
    )
    return state.model, history


def fit_likelihood(
    key: RandomKey,
    mdf: MDF,
    points: Float[Array, "points n"],
    box: Box,
    config: LikelihoodConfig = LikelihoodConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[EnergyMixture, History]:
    """Learn E on the frozen {F = 0}, one constraint, from `points` (N, n), standardised, by maximum likelihood.

    `config.members` energies are trained side by side, each on all folds of the data but one, on which it is
    stopped early; E is that of the mean of their normalised densities. No pool that trained a member validates or
    normalises it. Returns E and the history. Raises TrainingDiverged, and ArithmeticError where random lines
    hardly ever meet the manifold.
    """
    model_key, held_out_key, fold_key, train_key, normalizer_key = derived_keys(key, 5)
    sizes = (points.shape[1], config.hidden, config.features, config.bandwidths)
    members = _initial_members(model_key, sizes, config.members)
    data = Folded(points, jnp.asarray(folds(host_generator(fold_key), np.asarray(points), config.members)))
    held_out = pool_of_size(held_out_key, mdf, box, config.held_out).points[: config.held_out]
    objective = LikelihoodObjective(mdf, *box, data, jnp.asarray(held_out), config)
    state, history = train_afresh(
        "energy", train_key, members, objective, data, config, progress=progress, checkpoint_dir=checkpoint_dir
    )
    members = state.memory.best
    pool = pool_of_size(normalizer_key, mdf, box, config.held_out)
    energies = in_blocks(lambda rows: _member_energies(members, rows), pool.points, BLOCK).astype(np.float64)
    log_z = [log_integral(pool, -column).value for column in energies.T]
    return EnergyMixture(members, jnp.asarray(log_z, points.dtype)), history


@partial(jax.jit, static_argnames="sizes")
def _initial_energy(key, sizes):
    return EnergyMLP(sizes, rngs=nnx.Rngs(key))


@partial(jax.jit, static_argnames=("sizes", "count"))
def _initial_members(key, sizes, count):
    """`count` energies stacked along a leading axis."""
    return jax.vmap(lambda k: FourierEnergy(*sizes, rngs=nnx.Rngs(k)))(jax.random.split(key, count))


@jax.jit
def _member_energies(members, points):
    return jax.vmap(lambda x: jax.vmap(lambda member: member(x))(members))(points)


def log_integral(pool: Pool, logarithms: Float[np.ndarray, " c"]) -> LogNormalizer:
    """Log of the integral over M of exp(`logarithms`), by the delta method's standard error."""
    top = logarithms.max()
    found = integrate(pool, np.exp(logarithms - top))
    return LogNormalizer(top + math.log(found.value), found.standard_error / found.value)


def log_normalizer(
    key: RandomKey, mdf: MDF, energy: Energy, box: Box, target: float = NORMALIZER_ERROR
) -> LogNormalizer:
    """Log Z over {F = 0} in the box, one constraint, from fresh pools until its standard error is at most `target`.

    In the units of the box, with respect to Riemannian volume. Gives up at 2²⁰ lines and reports the error reached.
    """
    lines = MIN_NORMALIZER_LINES
    while True:
        # One evenly spread pool of twice the lines is worth more than two pools.
        pool = uniform_pool(jax.random.fold_in(key, lines), mdf, box, lines)
        found = log_integral(pool, -energies_at(energy, pool.points))
        if found.standard_error <= target or lines >= MAX_NORMALIZER_LINES:
            return found
        lines *= 2
