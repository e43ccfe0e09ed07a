"""Fitting an energy-based implicit manifold: step 1 learns {F = 0}, step 2 an energy on it."""

import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from .._random import derived_keys
from .._types import Energy, RandomKey
from ..certificate.orientation import has_edge
from ..choices import Choices
from ..errors import InputError
from ..manifold.tangent import codimension_of
from ..points import check_training_points
from ..training import checkpoint
from ..training.loop import History
from ..volumes.atlas import pool_source
from ..volumes.importance import log_normalizer
from ..volumes.manifold import Manifold
from .anchors import points_on_manifold, shuffled, warn_of_distance
from .contrastive import EnergyConfig, fit_contrastive
from .dimension import Dimension
from .forms import Form, fit_form
from .holes import warn_of_holes
from .kernels import FoldDensities
from .likelihood import LikelihoodConfig, fit_likelihood
from .manifold import ManifoldConfig
from .model import EBIM, ChainScales
from .ridge import RidgeConfig
from .score_matching import ScoreMatchingConfig, fit_score_matching
from .survey import Survey, has_pools, survey
from .units import Units, standardized

MAX_ANCHORS = 10_000
EnergyLoss = Literal["likelihood", "contrastive", "score-matching"]


@dataclass(frozen=True)
class FitConfig(Choices):
    """Everything `fit` can be told.

    >>> config = im.FitConfig(energy_loss="contrastive")
    >>> config.zero_set.hidden
    (64, 64, 64)
    """

    zero_set: ManifoldConfig = field(default_factory=ManifoldConfig)
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    score_matching: ScoreMatchingConfig = field(default_factory=ScoreMatchingConfig)
    energy_loss: EnergyLoss | None = None  # unless given, likelihood where points of known volume can be had
    standardize: bool = True
    box_margin: float = 0.25  # of the largest extent, added on each side of the data
    box_half_widths: tuple[float, ...] | None = None  # of a box about the origin of standardised space, instead
    manifold: Form = "auto"  # a ridge, unless a zero set is as good (`forms.fit_form`)
    ridge: RidgeConfig = field(default_factory=RidgeConfig)  # its denoising is also how a codimension is found


class Fit(NamedTuple):
    """A fitted model with the history of each step, and the wall seconds of each, compilation included.

    dimension: what the data's spectrum said of the codimension, None where it was given and a zero set asked for.
    reason: why M is a zero set or a ridge, "" where that was asked for.
    """

    model: EBIM
    manifold_history: History
    energy_history: History
    seconds_manifold: float
    seconds_energy: float
    dimension: Dimension | None = None
    reason: str = ""


def fit(
    key: RandomKey,
    points,
    codimension: int | None = None,
    config: FitConfig = FitConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> Fit:
    """Learn manifold and density from `points` (N, n), any scale and offset, in data units.

    codimension is k, the number of constraints, 1 ≤ k < n; unless given it is found from the data (`Fit.dimension`).
    M is a zero set or a ridge, as `config.manifold` says, or by the rule of `forms.fit_form` (`Fit.reason`): a ridge
    needs no sides and no framing, and can have edges. Unless a zero set is asked for, columns of uneven spread, and
    parts far from each other, are each given their own scale where that helps (`units.standardized`).
    With `checkpoint_dir` a run that was killed goes on, bit for bit. Raises InputError for points that cannot be used,
    such as those whose codimension cannot be found, and TrainingDiverged.

    Arguments:
        key: a JAX random key; the same key gives the same model.
        points: (N, n) training points in data units, N of at least a few hundred.
        codimension: number of constraints k, so that the manifold has dimension n - k; None where it is to be found.
        config: settings of both steps.
        progress: print a line of the losses now and then.
        checkpoint_dir: directory that a killed run goes on from.

    Returns:
        `Fit`: the model, the history of each step and the seconds each took.

    >>> angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    >>> ring = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> config = im.FitConfig(
    ...     im.ManifoldConfig(hidden=(16,), restarts=2, warmup_steps=500, num_steps=50),
    ...     energy_loss="contrastive",
    ...     energy=im.EnergyConfig(hidden=(8,), num_steps=20),
    ... )
    >>> found = im.fit(jax.random.key(0), ring, 1, config)
    >>> found.model.manifold.dimension
    1
    """
    points = check_training_points(points, codimension)
    if codimension is not None:
        _refuse_likelihood(points.shape[1], codimension, config)
    if checkpoint_dir is not None:
        checkpoint.claim(checkpoint_dir, key, points, repr((codimension, config)))
    started = time.perf_counter()
    manifold_key, start_key, energy_key = derived_keys(key, 3)
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    own = config.standardize and config.manifold != "zero-set"
    units = Units(config.standardize, config.box_margin, config.box_half_widths, own)
    scaling, standard, box = standardized(key, points, codimension, units, config.ridge.denoising, **options)
    mdf, manifold_history, dimension, reason = fit_form(
        manifold_key, standard, codimension, box, config.manifold, config.zero_set, config.ridge, **options
    )
    codimension = codimension_of(mdf, standard[0])
    pools = _refuse_likelihood(points.shape[1], codimension, config)
    between = time.perf_counter()
    near = shuffled(start_key, standard)
    anchors, starts = points_on_manifold(start_key, mdf, near, box, config.energy.starts)
    warn_of_distance(standard, anchors, 0.0 if dimension is None else dimension.noise)
    manifold = Manifold(mdf, box, anchors[:MAX_ANCHORS])
    survey_key, normalizer_key, energy_key = derived_keys(energy_key, 3)
    data, normalizer = None, None
    if pools and (found := _surveyed(survey_key, manifold, anchors, starts, config)):
        manifold, data = found
        if config.manifold != "zero-set":
            warn_of_holes(survey_key, manifold, anchors)
    energy, energy_history = _fit_energy(energy_key, manifold, standard, anchors, starts, data, config, options)
    if manifold.atlas is not None:
        normalizer = log_normalizer(normalizer_key, pool_source(manifold), energy)
    chains = ChainScales(config.energy.noise_scale, config.energy.drift_scale)
    model = EBIM(manifold, energy, scaling, chains, normalizer)
    jax.block_until_ready(model.energy)
    ended = time.perf_counter()
    return Fit(model, manifold_history, energy_history, between - started, ended - between, dimension, reason)


def _refuse_likelihood(dimension: int, codimension: int, config: FitConfig) -> bool:
    """Whether points of known volume can be had. Raises InputError where they cannot and likelihood needs them."""
    pools = has_pools(dimension, codimension)
    if config.energy_loss == "likelihood" and not pools:
        raise InputError(
            "likelihood needs at most 5 constraints in 10 dimensions, or a manifold of at most 4; choose another "
            "--energy-loss"
        )
    return pools


def _surveyed(key, manifold: Manifold, anchors, starts, config: FitConfig) -> Survey | None:
    """What charts tell of M; None, with a warning, where there are none and nobody asked for what needs them."""
    try:
        return survey(key, manifold, anchors, starts, config.likelihood.members)
    except ArithmeticError as error:
        if config.energy_loss == "likelihood":
            raise
        warnings.warn(f"{error}; densities stay unnormalised", stacklevel=3)
        return None


def _fit_energy(
    key, manifold: Manifold, points, anchors, starts, data: FoldDensities | None, config: FitConfig, options
) -> tuple[Energy, History]:
    """The energy by the loss asked for; unless asked, by likelihood where there are charts."""
    loss = config.energy_loss or ("contrastive" if data is None else "likelihood")
    if loss == "contrastive":
        return fit_contrastive(key, manifold, points, starts, config.energy, **options)
    if loss == "score-matching":
        if manifold.atlas is not None and has_edge(manifold):
            raise InputError("score matching presumes no edge, and this manifold has one; choose another --energy-loss")
        return fit_score_matching(key, manifold, anchors, config.score_matching, **options)
    assert data is not None
    return fit_likelihood(key, pool_source(manifold), data, config.likelihood, **options)
