"""The energy-based implicit manifold: fit both steps to points, then sample, project and score."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._types import MDF, Array, Energy, Float, RandomKey, Vector
from .config import EnergyConfig, FitConfig, ManifoldConfig
from .manifold.multipliers import residual_tolerance
from .manifold.projection import nearest_point, project
from .manifold.tangent import linearize
from .mcmc.constrained_langevin import ConstrainedLangevin
from .mcmc.run import run
from .models.mlp import MLP, EnergyMLP
from .points import check_points, check_training_points
from .scaling import Scaling
from .training.loop import History, adam, initial_state, train
from .training.objectives import ContrastiveObjective, ManifoldObjective, uniform_in_box

MAX_CHAINS = 10_000


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EBIM:
    """A learned manifold {F = 0} and the energy of a density exp(-E)/Z on it, in standardised units.

    mdf (n,) -> (k,) and energy (n,) -> () are callable pytrees. scaling takes data units to standardised
    ones. low, high (n,): the box inside which {F = 0} counts as the manifold. anchors (a, n): training points
    projected onto it, where chains start. noise_scale ε and step_size α (None: ε²) are those of training.
    """

    mdf: MDF
    energy: Energy
    scaling: Scaling
    low: Vector
    high: Vector
    anchors: Float[Array, "anchors n"]
    noise_scale: Float[Array, ""]
    step_size: Float[Array, ""] | None


class Samples(NamedTuple):
    """Draws from a model.

    points (N, n) in data units. distance (N,): first-order distance ‖F‖/‖∇F‖ of each from M, in data units; on_manifold
    (N,): it is at most 1e-4 of the data's scale. taken_fraction: mean share of steps that moved.
    """

    points: np.ndarray
    distance: np.ndarray
    on_manifold: np.ndarray
    taken_fraction: float


class Projections(NamedTuple):
    """points (N, n) and distance (N,) in data units; converged (N,), False where no nearest point was found."""

    points: np.ndarray
    distance: np.ndarray
    converged: np.ndarray


class Scores(NamedTuple):
    """energy (N,) E at the projection of each point, distance (N,) in data units, converged (N,)."""

    energy: np.ndarray
    distance: np.ndarray
    converged: np.ndarray


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

    Raises TrainingDiverged.
    """
    model_key, memory_key, state_key = jax.random.split(key, 3)
    sizes = [points.shape[1], *config.hidden, codimension]
    mdf = MLP(sizes, rngs=nnx.Rngs(model_key))
    objective = ManifoldObjective(*box, config)
    optimizer = adam(config.learning_rate, config.num_steps if config.decay else None, config.clip_norm)
    state = initial_state(mdf, optimizer, objective.initial_memory(memory_key), state_key)
    state, history = train(
        objective,
        optimizer,
        state,
        points,
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        name="manifold",
        progress=progress,
        checkpoint_dir=checkpoint_dir,
    )
    return state.model, history


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
    model_key, memory_key, state_key = jax.random.split(key, 3)
    energy = EnergyMLP([points.shape[1], *config.hidden], rngs=nnx.Rngs(model_key))
    objective = ContrastiveObjective(mdf, starts, *box, config)
    optimizer = adam(config.learning_rate, config.num_steps if config.decay else None, config.clip_norm)
    state = initial_state(energy, optimizer, objective.initial_memory(memory_key), state_key)
    state, history = train(
        objective,
        optimizer,
        state,
        points,
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        name="energy",
        progress=progress,
        checkpoint_dir=checkpoint_dir,
    )
    return state.model, history


@jax.jit
def _project_all(mdf, points):
    return jax.vmap(lambda x: project(mdf, x))(points)


@jax.jit
def _nearest_all(mdf, points):
    return jax.vmap(lambda x: nearest_point(mdf, x))(points)


@jax.jit
def _energies(energy, points):
    return jax.vmap(energy)(points)


@jax.jit
def _first_order_distances(mdf, points):
    def distance(x):
        at = linearize(mdf, x)
        return jnp.linalg.norm(at.residual) / at.row_norm

    return jax.vmap(distance)(points)


def on_manifold_anchors(mdf: MDF, points: Float[Array, "points n"], box) -> Float[Array, "anchors n"]:
    """Training points projected onto {F = 0}, those that reach it inside the box, (a, n).

    Raises ArithmeticError where none does: F has then no zeros near the data.
    """
    found = _project_all(mdf, points)
    kept = np.asarray(found.position)[np.asarray(_usable(found, box))]
    if len(kept) == 0:
        raise ArithmeticError("no training point could be projected onto the learned manifold; train longer or with another seed")
    if len(kept) < 0.99 * len(points):
        warnings.warn(f"{len(points) - len(kept)} of {len(points)} points could not be projected onto the learned manifold", stacklevel=2)
    return jnp.asarray(kept)


def fresh_starts(key: RandomKey, mdf: MDF, anchors: Float[Array, "anchors n"], box, count: int) -> Float[Array, "count n"]:
    """Points of M for fresh chains, (count, n): uniform noise of the box, projected.

    Noise that does not reach M (a plateau of ‖F‖), or reaches it outside the box, is replaced by a random
    anchor, so that every start lies on M.
    """
    noise_key, anchor_key = jax.random.split(key)
    found = _project_all(mdf, uniform_in_box(noise_key, *box, count))
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
    folders = [None, None] if checkpoint_dir is None else [checkpoint_dir / "manifold", checkpoint_dir / "energy"]
    mdf, manifold_history = fit_manifold(
        manifold_key, standard, codimension, box, config.manifold, progress=progress, checkpoint_dir=folders[0]
    )
    anchors = on_manifold_anchors(mdf, standard, box)
    starts = fresh_starts(start_key, mdf, anchors, box, config.energy.starts)
    energy, energy_history = fit_energy(
        energy_key, mdf, standard, starts, box, config.energy, progress=progress, checkpoint_dir=folders[1]
    )
    model = EBIM(
        mdf, energy, scaling, *box, anchors[:MAX_CHAINS], config.energy.noise_scale, config.energy.step_size
    )
    return Fit(model, manifold_history, energy_history)
