"""Fitting an energy-based implicit manifold: step 1 learns {F = 0}, step 2 an energy on it."""

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._types import MDF, Array, Float, RandomKey, Vector
from .config import EnergyConfig, FitConfig, ManifoldConfig
from .ebim import EBIM, project_all
from .manifold.projection import project, sampson_distance
from .models.mlp import MLP, EnergyMLP
from .points import check_training_points
from .scaling import Scaling
from .training.loop import History, adam, initial_state, train
from .training.objectives import ContrastiveObjective, ManifoldObjective, RestartsObjective, uniform_in_box

MAX_ANCHORS = 10_000
CHOICE_POINTS = 1000


class Fit(NamedTuple):
    """A fitted model with the history of each step."""

    model: EBIM
    manifold_history: History
    energy_history: History


def box_around(points: Float[Array, "points n"], margin: float) -> tuple[Vector, Vector]:
    """The data's bounding box widened on each side by `margin` times its largest extent: low, high (n,)."""
    low, high = points.min(axis=0), points.max(axis=0)
    widening = margin * (high - low).max()
    return low - widening, high + widening


def fit_manifold(
    key: RandomKey,
    points: Float[Array, "points n"],
    codimension: int,
    box: tuple[Vector, Vector],
    config: ManifoldConfig = ManifoldConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[MLP, History]:
    """Step 1: learn F with {F = 0} through `points` (N, n), standardised; returns F and the history.

    A warm-up without negatives comes first. Where data are sparse, negatives from the start open the manifold
    (they are most often just there), while F alone closes it smoothly; what it leaves are stray zeros, which
    `config.restarts` networks side by side and a choice among them (`_misfit`) avoid, and the negatives of the
    main training remove. Raises TrainingDiverged.
    """
    model_key, warm_key, choice_key, train_key = jax.random.split(key, 4)
    sizes = [points.shape[1], *config.hidden, codimension]
    members = [MLP(sizes, rngs=nnx.Rngs(k)) for k in jax.random.split(model_key, config.restarts)]
    models = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    options = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    if config.warmup_steps:
        calm = replace(
            config,
            negative_weight=0.0,
            square_weight=0.0,
            num_steps=config.warmup_steps,
            learning_rate=config.warmup_learning_rate,
        )
        objective = RestartsObjective(ManifoldObjective(*box, calm), config.restarts)
        models, _ = _train("warm-up", warm_key, models, objective, points, calm, **options)
    best = jnp.argmin(_misfit(models, points, uniform_in_box(choice_key, *box, CHOICE_POINTS), box))
    mdf = jax.tree.map(lambda leaf: leaf[best], models)
    return _train("manifold", train_key, mdf, ManifoldObjective(*box, config), points, config, **options)


@jax.jit
def _misfit(models, points, noise, box):
    """Root mean square distance from data to zeros plus mean distance from zeros to data, (restarts,).

    The first is first-order; the second takes the zeros in the box that `noise` projects to, and the nearest of
    `CHOICE_POINTS` data points, so stray zeros count by their share and remoteness.
    """
    data = points[:CHOICE_POINTS]

    def one(mdf):
        to_zeros = jax.vmap(lambda x: sampson_distance(mdf, x))(points)
        found = jax.vmap(lambda x: project(mdf, x))(noise)
        gaps = jnp.linalg.norm(found.position[:, None] - data, axis=-1).min(axis=1)
        to_data = jnp.mean(gaps, where=_usable(found, box))
        misfit = jnp.sqrt(jnp.mean(to_zeros**2)) + to_data
        return jnp.where(jnp.isfinite(misfit), misfit, jnp.inf)

    return jax.vmap(one)(models)


def fit_energy(
    key: RandomKey,
    mdf: MDF,
    points: Float[Array, "points n"],
    starts: Float[Array, "starts n"],
    box: tuple[Vector, Vector],
    config: EnergyConfig = EnergyConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[EnergyMLP, History]:
    """Step 2: learn E on the frozen {F = 0} from `points` (N, n), standardised; returns E and the history.

    starts (s, n): points of M for fresh chains. Raises TrainingDiverged.
    """
    model_key, train_key = jax.random.split(key)
    energy = EnergyMLP([points.shape[1], *config.hidden], rngs=nnx.Rngs(model_key))
    objective = ContrastiveObjective(mdf, starts, *box, config)
    return _train(
        "energy", train_key, energy, objective, points, config, progress=progress, checkpoint_dir=checkpoint_dir
    )


def _train(name, key, model, objective, points, config, *, progress, checkpoint_dir):
    """What both steps do: Adam on shuffled batches, with the objective's memory begun afresh."""
    memory_key, state_key = jax.random.split(key)
    optimizer = adam(config.learning_rate, config.num_steps if config.decay else None, config.clip_norm)
    state = initial_state(model, optimizer, objective.initial_memory(memory_key), state_key)
    state, history = train(
        objective,
        optimizer,
        state,
        points,
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        name=name,
        progress=progress,
        checkpoint_dir=None if checkpoint_dir is None else checkpoint_dir / name,
    )
    return state.model, history


def on_manifold_anchors(mdf: MDF, points: Float[Array, "points n"], box) -> Float[Array, "anchors n"]:
    """Training points projected onto {F = 0}, those that reach it inside the box, (a, n).

    Raises ArithmeticError where none does: F has then no zeros near the data.
    """
    found = project_all(mdf, points)
    kept = np.asarray(found.position)[np.asarray(_usable(found, box))]
    if len(kept) == 0:
        raise ArithmeticError(
            "no training point could be projected onto the learned manifold; train longer or with another seed"
        )
    if len(kept) < 0.99 * len(points):
        warnings.warn(
            f"{len(points) - len(kept)} of {len(points)} points could not be projected onto the learned manifold",
            stacklevel=2,
        )
    return jnp.asarray(kept)


def fresh_starts(
    key: RandomKey, mdf: MDF, anchors: Float[Array, "anchors n"], box, count: int
) -> Float[Array, "count n"]:
    """Points of M for fresh chains, (count, n): uniform noise of the box, projected.

    Noise that does not reach M (a plateau of ‖F‖), or reaches it outside the box, is replaced by a random
    anchor, so that every start lies on M.
    """
    noise_key, anchor_key = jax.random.split(key)
    found = project_all(mdf, uniform_in_box(noise_key, *box, count))
    spare = anchors[jax.random.randint(anchor_key, (count,), 0, anchors.shape[0])]
    return jnp.where(_usable(found, box)[:, None], found.position, spare)


def _usable(found, box):
    low, high = box
    inside = jnp.all((found.position >= low) & (found.position <= high), axis=1)
    return found.converged & inside


def fit(
    key: RandomKey,
    points,
    codimension: int,
    config: FitConfig = FitConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> Fit:
    """Learn manifold and density from `points` (N, n), any scale and offset, in data units.

    codimension is k, the number of constraints, 1 ≤ k < n. With `checkpoint_dir` a run that was
    killed goes on, bit for bit. Raises InputError for points that cannot be used and TrainingDiverged.
    """
    points = check_training_points(points, codimension)
    shift = points.mean(axis=0) if config.standardize else np.zeros(points.shape[1])
    scale = math.sqrt(((points - shift) ** 2).mean()) if config.standardize else 1.0
    scaling = Scaling(shift, scale)
    standard = scaling.standardize(points)
    box = box_around(standard, config.box_margin)
    manifold_key, start_key, energy_key = jax.random.split(key, 3)
    mdf, manifold_history = fit_manifold(
        manifold_key,
        standard,
        codimension,
        box,
        config.manifold,
        progress=progress,
        checkpoint_dir=checkpoint_dir,
    )
    anchors = on_manifold_anchors(mdf, standard, box)
    starts = fresh_starts(start_key, mdf, anchors, box, config.energy.starts)
    energy, energy_history = fit_energy(
        energy_key,
        mdf,
        standard,
        starts,
        box,
        config.energy,
        progress=progress,
        checkpoint_dir=checkpoint_dir,
    )
    model = EBIM(mdf, energy, scaling, *box, anchors[:MAX_ANCHORS], config.energy.noise_scale, config.energy.step_size)
    return Fit(model, manifold_history, energy_history)
