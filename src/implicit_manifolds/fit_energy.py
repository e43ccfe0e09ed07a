"""Step 2: an energy on a frozen manifold by maximum likelihood, score matching or contrastive divergence, and its Z."""

import math
import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._loops import in_blocks
from ._random import Box, derived_keys, host_generator
from ._types import MDF, Array, Energy, Float, Int, RandomKey
from .config import EnergyConfig, LikelihoodConfig, ScoreMatchingConfig
from .ebim import BLOCK, LogNormalizer, energies_at
from .kernel import LEAST_WEIGHT, MULTIPLES, NEIGHBOUR, bandwidths, held_out_densities, kernel_energy, mixture_weights
from .manifold.charts import Atlas, components, cover, focused, part_of, pool_source
from .manifold.volume import Pool, PoolSource, log_integral
from .models.energy import EnergyMixture, FourierEnergy, PiecewiseMixture
from .models.mlp import EnergyMLP
from .training.likelihood import (
    Folded,
    LikelihoodObjective,
    ScoreMatchingObjective,
    folds,
    volume_points,
)
from .training.loop import History, train_afresh
from .training.objectives import ContrastiveObjective

NORMALIZER_ERROR = 0.003
WORST_SHARE = 0.01
MIN_NORMALIZER_DRAWS, MAX_NORMALIZER_DRAWS = 2**15, 2**20
MAX_CENTRES = 20_000
OVERLAP = 16
DISC = 3.0
"""Radius of a chart's disc in bandwidths of the kernel it is drawn for."""


class Judged(NamedTuple):
    """Points of M to train on, judged by kernels before any energy is there.

    points (a, n) and fold (a,) of each. densities (c, s): at the first c points, kernel densities of the other folds
    for each multiple of `bandwidths`. dimension: m.
    """

    points: Float[np.ndarray, "a n"]
    fold: Int[np.ndarray, " a"]
    densities: Float[np.ndarray, "c s"]
    dimension: int


class Survey(NamedTuple):
    """What is known of M and of the data on it before any energy is; half of the atlas's draws fall near data."""

    atlas: Atlas
    data: Judged


def has_pools(dimension: int, codimension: int) -> bool:
    """Whether points of known volume, and with them Z, can be had: up to five constraints in up to ten dimensions."""
    return codimension <= 5 and dimension <= 10


def survey(key: RandomKey, mdf: MDF, points, starts, box: Box, members: int) -> Survey:
    """Charts of {F = 0} in the box, found from points (a, n) and starts (s, n) on it, and the points' densities.

    Draws near data come from kernels as wide as held-out points ask for. Raises ArithmeticError where no chart is
    found.
    """
    cover_key, focus_key = derived_keys(key, 2)
    points = np.asarray(points)
    atlas = cover(cover_key, mdf, box, np.concatenate([points, np.asarray(starts)]))
    dimension = atlas.bases.shape[1] - atlas.normals.shape[1]
    random = host_generator(key)
    data = judged(random, points, dimension, members)
    centres = points[:MAX_CENTRES]
    base, radii, share = _focus(random, centres, mixture_weights(data.densities), dimension)
    atlas = focused(focus_key, mdf, atlas, centres[base], share, radii)
    for share_of, what in ((atlas.uncovered, "is on no chart"), (atlas.inconsistent, "is on charts that disagree")):
        if share_of > WORST_SHARE:
            warnings.warn(f"{share_of:.1%} of the manifold {what}: densities are off by as much", stacklevel=2)
    return Survey(atlas, data)


def judged(random: np.random.Generator, points: Float[np.ndarray, "a n"], dimension: int, members: int) -> Judged:
    """Points (a, n) of an m-dimensional M in random folds, with what kernels say of them."""
    fold = folds(random, points, members)
    densities = held_out_densities(points[:MAX_CENTRES], fold[:MAX_CENTRES], dimension)
    return Judged(points, fold, densities, dimension)


def _focus(random, centres, weights, dimension: int):
    """Charts for a kernel density of the given weights (s,): centre, radius and probability of each.

    Where kernels are wide, many hold any point; of these only as many get a chart as leaves about `OVERLAP` that do.
    """
    widths, charts = bandwidths(centres), []
    for row in np.flatnonzero(weights >= LEAST_WEIGHT):
        around = NEIGHBOUR * (DISC * MULTIPLES[row]) ** dimension
        count = math.ceil(len(centres) * min(1, OVERLAP / around))
        base = random.choice(len(centres), count, replace=False)
        charts.append((base, DISC * widths[row, base], np.full(count, weights[row] / count)))
    base, radii, share = (np.concatenate(parts) for parts in zip(*charts, strict=True))
    return base, radii, share / share.sum()


def fit_contrastive(
    key: RandomKey,
    mdf: MDF | None,
    points: Float[Array, "points n"],
    starts: Float[Array, "starts n"],
    box: Box,
    config: EnergyConfig = EnergyConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[EnergyMLP, History]:
    """Learn E on the frozen {F = 0} from `points` (N, n), standardised, as the paper does; E and the history.

    starts (s, n): points of M for fresh chains. Without an MDF, M is all of R^n in the box. Raises TrainingDiverged.
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
    source: PoolSource,
    data: Judged,
    config: LikelihoodConfig = LikelihoodConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[EnergyMixture, History]:
    """Learn E on a frozen M by maximum likelihood; source draws its points of known volume.

    `config.members` energies are trained side by side, each on all folds of the data but one, on which it is
    stopped early. The mean of their normalised densities is mixed with a kernel density by the likelihood that folds
    have under what did not see them, where that is surely better. No pool that trained a member validates or
    normalises it. Returns E and the history. Raises TrainingDiverged.
    """
    model_key, held_out_key, train_key, normalizer_key = derived_keys(key, 4)
    members = _initial_members(model_key, _sizes(data.points, config), config.members)
    folded = Folded(jnp.asarray(data.points), jnp.asarray(data.fold))
    held_out = volume_points(source.draw(held_out_key, config.held_out), config.held_out)
    objective = LikelihoodObjective(folded, held_out, source, config)
    state, history = train_afresh(
        "energy", train_key, members, objective, folded, config, progress=progress, checkpoint_dir=checkpoint_dir
    )
    members = state.memory.best.members
    pool = source.draw(normalizer_key, MIN_NORMALIZER_DRAWS)
    log_z = [log_integral(pool, -column).value for column in _member_energies(members, pool.points).T]
    log_weights = -np.asarray(log_z) - math.log(config.members)
    centres, fold = data.points[: len(data.densities)], data.fold[: len(data.densities)]
    unseen = _member_energies(members, centres)[np.arange(len(fold)), fold] + np.asarray(log_z)[fold]
    network, multiples = _stacked(np.exp(-unseen), data.densities) if config.kernel else (1.0, np.zeros(0))
    kernel = None
    if network < 1:
        kernel = kernel_energy(centres, multiples, data.dimension)
        kernel_log_z = log_integral(pool, -energies_at(kernel, pool.points)).value
        log_weights = np.append(log_weights + math.log(network), math.log(1 - network) - kernel_log_z)
    return EnergyMixture(members, kernel, jnp.asarray(log_weights, data.points.dtype)), history


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


def fit_score_matching(
    key: RandomKey,
    mdf: MDF,
    points: Float[Array, "a n"],
    found: Survey | None,
    box: Box,
    config: ScoreMatchingConfig = ScoreMatchingConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[PiecewiseMixture | FourierEnergy, History]:
    """Learn E on the frozen {F = 0} from points (a, n) on it by tangential score matching.

    Members and folds as in `fit_likelihood`. What score matching cannot see, the weights of M's connected parts, is
    set afterwards from charts (`found`); without them E is the member of least validation loss, and parts keep weights
    that mean nothing. Returns E and the history. Raises TrainingDiverged.
    """
    model_key, fold_key, train_key, weight_key = derived_keys(key, 4)
    fold = folds(host_generator(fold_key), np.asarray(points), config.members)
    members = _initial_members(model_key, _sizes(points, config), config.members)
    data = Folded(points, jnp.asarray(fold))
    objective = ScoreMatchingObjective(mdf, data, config)
    state, history = train_afresh(
        "energy", train_key, members, objective, data, config, progress=progress, checkpoint_dir=checkpoint_dir
    )
    best = state.memory
    if found is None:
        least = int(jnp.argmin(best.losses))
        return jax.tree.map(lambda leaf: leaf[least], best.members), history
    pool = pool_source(mdf, found.atlas, box).draw(weight_key, MIN_NORMALIZER_DRAWS)
    return _weighed_by_part(best.members, found.data.points, found.atlas, pool), history


def _weighed_by_part(members, points, atlas: Atlas, pool: Pool) -> PiecewiseMixture:
    """The mean of the members' densities, each connected part of M with the share of the points that lie on it."""
    part = components(atlas)
    energies = _member_energies(members, pool.points)
    of_pool, of_data = (part_of(atlas, part, rows) for rows in (pool.points, points))
    rows = []
    for number in range(part.max() + 1):
        # Half a point more for each part: one that no data are on is unlikely, not impossible.
        share = (np.sum(of_data == number) + 0.5) / (len(of_data) + 0.5 * (part.max() + 1))
        logs = np.where(of_pool[:, None] == number, -energies, -np.inf)
        rows.append([math.log(share / energies.shape[1]) - log_integral(pool, column).value for column in logs.T])
    log_weights = jnp.asarray(rows, points.dtype)
    return PiecewiseMixture(members, jnp.asarray(atlas.bases), jnp.asarray(part), log_weights)


def _sizes(points, config: LikelihoodConfig | ScoreMatchingConfig):
    return points.shape[1], config.hidden, config.features, config.bandwidths


@partial(jax.jit, static_argnames="sizes")
def _initial_energy(key, sizes):
    return EnergyMLP(sizes, rngs=nnx.Rngs(key))


@partial(jax.jit, static_argnames=("sizes", "count"))
def _initial_members(key, sizes, count):
    """`count` energies stacked along a leading axis."""
    return jax.vmap(lambda k: FourierEnergy(*sizes, rngs=nnx.Rngs(k)))(jax.random.split(key, count))


def _member_energies(members, points) -> Float[np.ndarray, "points members"]:
    return in_blocks(lambda rows: _block_energies(members, rows), points, BLOCK).astype(np.float64)


@jax.jit
def _block_energies(members, points):
    return jax.vmap(lambda x: jax.vmap(lambda member: member(x))(members))(points)


def log_normalizer(
    key: RandomKey, source: PoolSource, energy: Energy, target: float = NORMALIZER_ERROR
) -> LogNormalizer:
    """Log of the integral of exp(-E) over M, from fresh pools until its standard error is at most `target`.

    In the units of the pools, with respect to Riemannian volume. Gives up at 2²⁰ draws and reports the error reached.
    """
    draws = MIN_NORMALIZER_DRAWS
    while True:
        pool = source.draw(jax.random.fold_in(key, draws), draws)
        found = log_integral(pool, -energies_at(energy, pool.points))
        if found.standard_error <= target or draws >= MAX_NORMALIZER_DRAWS:
            return LogNormalizer(*found)
        draws *= 2
