"""Step 2: a density on a manifold that is there, learned or written down."""

import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from .._devices import shared_among
from .._random import check_key, derived_keys, host_generator
from .._types import MDF, Array, Energy, Float, RandomKey, callable_pytree
from ..box import Box, box_around, uniform_in_box
from ..certificate.orientation import has_edge
from ..errors import InputError
from ..manifold.algebra import Affine, pull_back
from ..manifold.tangent import FramedMDF, codimension_of
from ..pieces import Pieces
from ..points import check_training_points
from ..scaling import Scaling, standardization
from ..tables import Mapped, Stream, held
from ..training import checkpoint
from ..training.loop import History
from ..volumes.atlas import pool_source
from ..volumes.importance import log_normalizer
from ..volumes.manifold import Manifold
from ..volumes.matching import matched
from ..volumes.projected import projected
from .anchors import points_on_manifold, shuffled, warn_of_distance
from .config import FitConfig
from .contrastive import fit_contrastive
from .kernels import FoldDensities
from .likelihood import fit_likelihood
from .members import FoldedPoints, hashed_folds
from .model import EBIM, ChainScales
from .score_matching import fit_score_matching
from .survey import Survey, has_pools, survey

MAX_ANCHORS = 10_000
WIDE, LOOKED = 8.0, 2000
"""Extents of the points, on each side of them, in which so many searches look for how far a given M goes."""


class DensityFit(NamedTuple):
    """A density on a given manifold as a model, the history of its training, and the wall seconds it took."""

    model: EBIM
    history: History
    seconds: float


def fit_density(
    key: RandomKey,
    points,
    mdf: MDF,
    box: Box | None = None,
    config: FitConfig = FitConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
    mesh: Mesh | None = None,
) -> DensityFit:
    """Learn a density from points on a manifold that somebody wrote down, {F = 0}: step 2 of `fit` alone.

    Of `config` all that is of step 1 means nothing. With `checkpoint_dir` a run that was killed goes on. A `Ridge`, or
    any F of constant rank, will do as well.

    Arguments:
        key: a JAX random key; the same key gives the same model.
        points: (N, n) in data units, on M or near it.
        mdf: F in data units, one point (n,) to (k,): a function, or a callable pytree such as a Flax module.
        box: where {F = 0} is M, in data units; unless given, all of it that is found near the points, or where it has
            no end there, the box around the points, widened by `config.box_margin`, with a warning.
        config: settings.
        progress: print a line of the losses now and then.
        checkpoint_dir: directory that a killed run goes on from.
        mesh: devices to share the work among, as in `fit`.

    Returns:
        `DensityFit`: the model, the history of its training and the seconds that it took.

    Raises:
        InputError: points cannot be used, or F does not give (k,), 1 ≤ k < n.
        TrainingDiverged: a loss was not finite.
        ArithmeticError: no point could be projected onto M.

    >>> config = im.FitConfig(likelihood=im.LikelihoodConfig(hidden=(8,), members=2, num_steps=20))
    >>> unit_circle = lambda x: jnp.sum(x**2, keepdims=True) - 1
    >>> found = im.fit_density(jax.random.key(0), points, unit_circle, config=config)
    >>> bool(np.isfinite(im.log_density(found.model, [[1.0, 0.0]]).log_density[0]))
    True
    """
    check_key(key)
    with shared_among(mesh):
        return _fit_density(key, points, mdf, box, config, progress, checkpoint_dir)


def _fit_density(key, points, mdf, box, config: FitConfig, progress: bool, checkpoint_dir) -> DensityFit:
    started = time.perf_counter()
    box_key, start_key, energy_key = derived_keys(key, 3)
    points, table = held(key, points)
    points = check_training_points(points, None)
    if checkpoint_dir is not None:
        checkpoint.claim(checkpoint_dir, key, points if table is None else table, repr(config))
    scaling, standard, _ = standardization(points, config.standardize)
    stream = None if table is None else Stream(table, scaling)
    dtype = standard.dtype
    if not isinstance(mdf, FramedMDF):
        check_constraints(jax.eval_shape(mdf, standard[0]).shape, points.shape[1])
    mdf = pull_back(callable_pytree(mdf), Affine(jnp.asarray(scaling.scale, dtype), jnp.asarray(scaling.shift, dtype)))
    refuse_likelihood(points.shape[1], codimension_of(mdf, standard[0]), config)
    inner = _box_of(box_key, mdf, standard, config) if box is None else Box(*map(scaling.standardize, box))
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    found = density_on(start_key, energy_key, mdf, inner, scaling, standard, config, stream=stream, **options)
    return DensityFit(*found, time.perf_counter() - started)


def density_on(
    start_key: RandomKey,
    energy_key: RandomKey,
    mdf: MDF,
    box: Box,
    scaling: Scaling | Pieces,
    standard: Float[Array, "points n"],
    config: FitConfig,
    noise: float = 0.0,
    stream: Stream | None = None,
    **options: Any,
) -> tuple[EBIM, History]:
    """A model on {F = 0} in its box from standardised points (N, n), and the history of its energy's training.

    noise: of the points, which then lie so far from M. Where points are a sample, energies are trained on the stream of
    all. Raises as `fit_density` does.
    """
    near = shuffled(start_key, standard)
    anchors, starts, reached = points_on_manifold(start_key, mdf, near, box, config.energy.starts)
    warn_of_distance(standard, anchors, noise)
    manifold = Manifold(mdf, box, anchors[:MAX_ANCHORS])
    survey_key, normalizer_key, energy_key = derived_keys(energy_key, 3)
    data, normalizer = None, None
    pools = has_pools(manifold.ambient_dimension, manifold.codimension)
    of_more = None if stream is None else (stream, near[reached])
    fold = None if stream is None else hashed_folds(near[reached], config.likelihood.members)
    if pools and (found := _surveyed(survey_key, manifold, anchors, starts, fold, config)):
        manifold, data = found
    energy, history = fit_energy(energy_key, manifold, standard, anchors, starts, data, config, options, of_more)
    if manifold.atlas is not None:
        manifold = matched(jax.random.fold_in(normalizer_key, 1), manifold, energy)
        normalizer = log_normalizer(normalizer_key, pool_source(manifold), energy)
    chains = ChainScales(config.energy.noise_scale, config.energy.drift_scale)
    model = EBIM(manifold, energy, scaling, chains, normalizer)
    jax.block_until_ready(model.energy)
    return model, history


def _box_of(key: RandomKey, mdf: MDF, standard: Float[Array, "points n"], config: FitConfig) -> Box:
    """The box around all of {F = 0} near the points, or where it goes on far beyond them around the points alone."""
    known = np.asarray(standard)
    extent = np.ptp(known, axis=0).max()
    wide, half = (
        Box(jnp.asarray(known.min(0) - side), jnp.asarray(known.max(0) + side))
        for side in (WIDE * extent, WIDE * extent / 2)
    )
    found, usable = projected(mdf, uniform_in_box(host_generator(key), wide.on_host(), LOOKED), wide)
    zeros = found[usable]
    if not half.on_host().contains(zeros).all():
        warnings.warn(
            "the manifold goes on far beyond the points, and the density is that in a box around them; give a box",
            stacklevel=3,
        )
        zeros = zeros[:0]
    return box_around(np.concatenate([zeros, known]), config.box_margin)


def check_constraints(shape: tuple[int, ...], dimension: int) -> None:
    """Raise InputError where what an F of somebody's own gives of one point (n,) is not (k,), 1 ≤ k < n."""
    if len(shape) != 1 or not 1 <= shape[0] < dimension:
        raise InputError(
            f"F gives an array of shape {shape} of one point; it must be (k,), with k from 1 to {dimension - 1}"
        )


def refuse_likelihood(dimension: int, codimension: int, config: FitConfig) -> None:
    """Raise InputError where points of known volume cannot be had and likelihood, which needs them, is asked for."""
    if config.energy_loss == "likelihood" and not has_pools(dimension, codimension):
        raise InputError(
            "likelihood needs at most 5 constraints in 10 dimensions, or a manifold of at most 4; choose another "
            "--energy-loss"
        )


def _surveyed(key, manifold: Manifold, anchors, starts, fold, config: FitConfig) -> Survey | None:
    """What charts tell of M; None, with a warning, where there are none and nobody asked for what needs them."""
    try:
        return survey(key, manifold, anchors, starts, config.likelihood.members, fold)
    except ArithmeticError as error:
        if config.energy_loss == "likelihood":
            raise
        warnings.warn(f"{error}; densities stay unnormalised", stacklevel=3)
        return None


def fit_energy(
    key,
    manifold: Manifold,
    points,
    anchors,
    starts,
    data: FoldDensities | None,
    config: FitConfig,
    options,
    of_more: tuple[Stream, Float[np.ndarray, "anchors n"]] | None = None,
) -> tuple[Energy, History]:
    """The energy by the loss asked for; unless asked, by likelihood where there are charts.

    of_more: where the anchors are a sample the stream of all, and the points (a, n) that the anchors were.
    """
    loss = config.energy_loss or ("contrastive" if data is None else "likelihood")
    if loss == "contrastive":
        every = None if of_more is None else of_more[0]
        return fit_contrastive(key, manifold, points, starts, config.energy, stream=every, **options)
    if loss == "score-matching":
        if manifold.atlas is not None and has_edge(manifold):
            raise InputError("score matching presumes no edge, and this manifold has one; choose another --energy-loss")
        settings = config.score_matching
        if of_more is not None:
            options = {"fold": hashed_folds(of_more[1], settings.members), **options}
        stream = _on_manifold(manifold, of_more, settings.members)
        return fit_score_matching(key, manifold, anchors, settings, stream=stream, **options)
    assert data is not None
    stream = _on_manifold(manifold, of_more, config.likelihood.members)
    return fit_likelihood(key, pool_source(manifold), data, config.likelihood, stream=stream, **options)


def _on_manifold(manifold: Manifold, of_more, members: int) -> Mapped | None:
    """The stream of all points, each projected onto M and in its fold; for one that does not reach M another."""

    def on_manifold(rows) -> FoldedPoints:
        found, reached = projected(manifold.mdf, rows, manifold.box)
        if not reached.any():
            raise ArithmeticError("no training point could be projected onto the learned manifold; train longer")
        instead = np.where(reached, np.arange(len(rows)), np.resize(np.flatnonzero(reached), len(rows)))
        return FoldedPoints(found[instead], hashed_folds(rows, members)[instead])

    return None if of_more is None else Mapped(of_more[0], on_manifold)
