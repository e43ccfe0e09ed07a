"""Fitting an energy-based implicit manifold: step 1 learns {F = 0}, step 2 an energy on it."""

import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from .._random import derived_keys
from .._types import Energy, RandomKey
from ..errors import InputError
from ..points import check_training_points
from ..scaling import standardization
from ..training import checkpoint
from ..training.loop import History
from ..volume.atlas import pool_source
from ..volume.importance import log_normalizer
from .anchors import points_on_manifold
from .contrastive import EnergyConfig, fit_contrastive
from .likelihood import LikelihoodConfig, fit_likelihood
from .manifold import ManifoldConfig, _some, fit_manifold
from .model import EBIM
from .score_matching import ScoreMatchingConfig, fit_score_matching
from .survey import Survey, has_pools, survey

MAX_ANCHORS = 10_000
EnergyLoss = Literal["likelihood", "contrastive", "score-matching"]


@dataclass(frozen=True)
class FitConfig:
    """Everything `fit` can be told."""

    manifold: ManifoldConfig = field(default_factory=ManifoldConfig)
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    score_matching: ScoreMatchingConfig = field(default_factory=ScoreMatchingConfig)
    energy_loss: EnergyLoss | None = None  # unless given, likelihood where points of known volume can be had
    standardize: bool = True
    box_margin: float = 0.25  # of the largest extent, added on each side of the data
    box: tuple[float, ...] | None = None  # half-widths about the origin of standardised space, instead


class Fit(NamedTuple):
    """A fitted model with the history of each step, and the wall seconds of each, compilation included."""

    model: EBIM
    manifold_history: History
    energy_history: History
    seconds_manifold: float
    seconds_energy: float


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
    scaling, standard, box = standardization(points, config.standardize, config.box_margin, config.box)
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
