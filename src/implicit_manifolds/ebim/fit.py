"""Fitting an energy-based implicit manifold: step 1 learns {F = 0}, step 2 an energy on it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from .._devices import shared_among
from .._random import check_key, derived_keys
from .._types import RandomKey
from ..errors import InputError
from ..manifold.tangent import codimension_of
from ..points import check_training_points
from ..tables import Stream, held
from ..training import checkpoint
from ..training.loop import History
from .config import FitConfig
from .density import check_constraints, density_on, refuse_likelihood
from .dimension import Dimension
from .forms import fit_form
from .holes import warn_of_holes
from .model import EBIM
from .units import Units, standardized


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
    mesh: Mesh | None = None,
) -> Fit:
    """Learn manifold and density from `points` (N, n), any scale and offset, in data units.

    codimension is k, the number of constraints, 1 ≤ k < n; unless given it is found from the data (`Fit.dimension`).
    M is a zero set or a ridge, as `config.manifold` says, or by the rule of `forms.fit_form` (`Fit.reason`): a ridge
    needs no sides and no framing, and can have edges. With a network of one's own (`config.zero_set.network`) it is a
    zero set of as many constraints as that gives. Unless a zero set is asked for, columns of uneven spread, and
    parts far from each other, are each given their own scale where that helps (`units.standardized`).
    With `checkpoint_dir` a run that was killed goes on, bit for bit. Raises InputError for points that cannot be used,
    such as those whose codimension cannot be found, and TrainingDiverged.

    Arguments:
        key: a JAX random key; the same key gives the same model.
        points: (N, n) training points in data units, N of at least a few hundred. Of more than 200,000, in memory or
            a memory map, as many at random tell units, edges, charts and kernels, and a ridge is fitted to them, while
            the networks' other trainings read rows of all.
        codimension: number of constraints k, so that the manifold has dimension n - k; None where it is to be found.
        config: settings of both steps.
        progress: print a line of the losses now and then.
        checkpoint_dir: directory that a killed run goes on from.
        mesh: devices to share batches, projections and pools among; None for the one that JAX uses by itself. The
            numbers are those of one device but for the order of sums. With several processes (`jax.distributed`)
            each calls `fit` alike and gets the whole model.

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
    check_key(key)
    with shared_among(mesh):
        return _fit(key, points, codimension, config, progress, checkpoint_dir)


def _fit(key, points, codimension: int | None, config: FitConfig, progress: bool, checkpoint_dir: Path | None) -> Fit:
    points, table = held(key, points)
    points = check_training_points(points, codimension)
    config, codimension = _of_own_network(config, codimension, points.shape[1])
    if codimension is not None:
        refuse_likelihood(points.shape[1], codimension, config)
    if checkpoint_dir is not None:
        checkpoint.claim(checkpoint_dir, key, points if table is None else table, repr((codimension, config)))
    started = time.perf_counter()
    manifold_key, start_key, energy_key = derived_keys(key, 3)
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    own = config.standardize and config.manifold != "zero-set"
    units = Units(config.standardize, config.box_margin, config.box_half_widths, own)
    scaling, standard, box = standardized(key, points, codimension, units, config.ridge.denoising, **options)
    stream = None
    if table is not None:
        # By the very operations that the stream goes through, which tells folds by digits.
        standard, stream = scaling.standardize(points), Stream(table, scaling)
    mdf, manifold_history, dimension, reason = fit_form(
        manifold_key, standard, codimension, box, config.manifold, config.zero_set, config.ridge, stream, **options
    )
    refuse_likelihood(points.shape[1], codimension_of(mdf, standard[0]), config)
    between = time.perf_counter()
    noise = 0.0 if dimension is None else dimension.noise
    keys = start_key, energy_key
    model, energy_history = density_on(*keys, mdf, box, scaling, standard, config, noise, stream, **options)
    if config.manifold != "zero-set" and model.manifold.atlas is not None:
        warn_of_holes(start_key, model.manifold, jnp.asarray(model.manifold.anchors))
    ended = time.perf_counter()
    return Fit(model, manifold_history, energy_history, between - started, ended - between, dimension, reason)


def _of_own_network(config: FitConfig, codimension: int | None, dimension: int) -> tuple[FitConfig, int | None]:
    """Settings and codimension, where F is a network of one's own: a zero set of as many constraints as it gives."""
    network = config.zero_set.network
    if network is None:
        return config, codimension
    if config.manifold == "ridge":
        raise InputError("a network of your own gives a zero set; leave the form of the manifold open")
    shape = jax.eval_shape(lambda x: network(nnx.Rngs(0))(x), jnp.zeros(dimension)).shape
    check_constraints(shape, dimension)
    own = shape[0]
    if codimension not in (None, own):
        raise InputError(f"the network gives {own} constraints, and codimension is {codimension}; leave that out")
    return replace(config, manifold="zero-set"), own
