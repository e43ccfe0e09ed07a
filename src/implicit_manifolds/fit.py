"""Fitting an energy-based implicit manifold: step 1 learns {F = 0}, step 2 an energy on it."""

import math
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._random import Box, derived_keys, host_generator
from ._types import Array, Energy, Float, RandomKey, Vector
from .anchors import nearest_fit, points_on_manifold
from .config import FitConfig, ManifoldConfig
from .ebim import EBIM
from .fit_energy import Survey, fit_contrastive, fit_likelihood, fit_score_matching, has_pools, log_normalizer, survey
from .manifold.charts import pool_source
from .models.mlp import MLP, start_as_sphere
from .points import InputError, check_training_points
from .scaling import Scaling
from .training import checkpoint
from .training.loop import History, train_afresh
from .training.objectives import ManifoldObjective, RestartsObjective

MAX_ANCHORS = 10_000
CHOICE_POINTS = 1000


class Fit(NamedTuple):
    """A fitted model with the history of each step, and the wall seconds of each, compilation included."""

    model: EBIM
    manifold_history: History
    energy_history: History
    seconds_manifold: float
    seconds_energy: float


def box_around(points: Float[Array, "points n"], margin: float) -> tuple[Vector, Vector]:
    """The data's bounding box widened on each side by `margin` times its largest extent: low, high (n,)."""
    low, high = np.asarray(points).min(axis=0), np.asarray(points).max(axis=0)
    widening = margin * (high - low).max()
    return jnp.asarray(low - widening), jnp.asarray(high + widening)


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
    `config.restarts` networks side by side and a choice among them (`nearest_fit`) avoid, and the negatives of the
    main training remove. Raises TrainingDiverged.
    """
    model_key, warm_key, choice_key, train_key = derived_keys(key, 4)
    sizes = [points.shape[1], *config.hidden, codimension]
    models = _initial_mlps(model_key, tuple(sizes), config.restarts)
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
        models = train_afresh("warm-up", warm_key, models, objective, points, calm, **options)[0].model
    mdf = nearest_fit(choice_key, models, _some(choice_key, points, CHOICE_POINTS), box)
    full = ManifoldObjective(*box, config)
    state, history = train_afresh("manifold", train_key, mdf, full, points, config, **options)
    return state.model, history


@partial(jax.jit, static_argnames=("sizes", "count"))
def _initial_mlps(key, sizes, count):
    """`count` networks of the same sizes, stacked along a leading axis.

    With one constraint half of them start as spheres. Those have one sign all round, hence seldom stray sheets between
    parts of the manifold; the others, smoother at the start, close better where data are sparse.
    """
    spheres = count // 2 if sizes[-1] == 1 else 0

    def initial(key, sphere):
        network = MLP(sizes, rngs=nnx.Rngs(key))
        if not spheres:
            return network
        return jax.tree.map(lambda a, b: jnp.where(sphere, a, b), start_as_sphere(network), network)

    return jax.vmap(initial)(jax.random.split(key, count), jnp.arange(count) < spheres)


def _some(key, points, count):
    """At most `count` random rows of `points`, in random order."""
    return host_generator(key).permutation(np.asarray(points))[:count]


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
    pools = has_pools(points.shape[1], codimension)
    if config.energy_loss == "likelihood" and not pools:
        raise InputError("likelihood needs at most 5 constraints in 10 dimensions; choose another --energy-loss")
    if checkpoint_dir is not None:
        checkpoint.claim(checkpoint_dir, key, points, repr((codimension, config)))
    scaling, standard, box = standardization(points, config)
    started = time.perf_counter()
    manifold_key, start_key, energy_key = derived_keys(key, 3)
    mdf, manifold_history = fit_manifold(
        manifold_key,
        standard,
        codimension,
        box,
        config.manifold,
        progress=progress,
        checkpoint_dir=checkpoint_dir,
    )
    between = time.perf_counter()
    near = _some(start_key, standard, len(standard))
    anchors, starts = points_on_manifold(start_key, mdf, near, box, config.energy.starts)
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    survey_key, normalizer_key, energy_key = derived_keys(energy_key, 3)
    found = _surveyed(survey_key, mdf, anchors, starts, box, config) if pools else None
    energy, energy_history = _fit_energy(energy_key, mdf, standard, anchors, starts, found, box, config, options)
    normalizer = None
    if found is not None:
        normalizer = log_normalizer(normalizer_key, pool_source(mdf, found.atlas, box), energy)
    model = EBIM(
        mdf,
        energy,
        scaling,
        *box,
        anchors[:MAX_ANCHORS],
        config.energy.noise_scale,
        config.energy.step_size,
        None if found is None else found.atlas,
        normalizer,
    )
    jax.block_until_ready(model.energy)
    ended = time.perf_counter()
    return Fit(model, manifold_history, energy_history, between - started, ended - between)


def _surveyed(key, mdf, anchors, starts, box, config: FitConfig) -> Survey | None:
    """What charts tell of M; None, with a warning, where there are none and nobody asked for what needs them."""
    try:
        return survey(key, mdf, anchors, starts, box, config.likelihood.members)
    except ArithmeticError as error:
        if config.energy_loss == "likelihood":
            raise
        warnings.warn(f"{error}; densities stay unnormalised", stacklevel=3)
        return None


def _fit_energy(
    key, mdf, points, anchors, starts, found: Survey | None, box, config, options
) -> tuple[Energy, History]:
    """The energy by the loss asked for; unless asked, by likelihood where there are charts."""
    loss = config.energy_loss or ("contrastive" if found is None else "likelihood")
    if loss == "contrastive":
        return fit_contrastive(key, mdf, points, starts, box, config.energy, **options)
    if loss == "score-matching":
        return fit_score_matching(key, mdf, anchors, found, box, config.score_matching, **options)
    assert found is not None
    return fit_likelihood(key, pool_source(mdf, found.atlas, box), found.data, config.likelihood, **options)


def standardization(points: np.ndarray, config: FitConfig = FitConfig()) -> tuple[Scaling, Array, Box]:
    """The scaling of `points` (N, n), the points in its units, and the box of step 1 and 2 around them."""
    shift = points.mean(axis=0) if config.standardize else np.zeros(points.shape[1])
    scale = math.sqrt(((points - shift) ** 2).mean()) if config.standardize else 1.0
    scaling = Scaling(shift, scale)
    standard = scaling.standardize(points)
    if config.box is None:
        return scaling, standard, box_around(standard, config.box_margin)
    half = jnp.asarray(config.box, standard.dtype)
    return scaling, standard, (-half, half)
