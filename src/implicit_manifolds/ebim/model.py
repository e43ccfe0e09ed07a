"""The energy-based implicit manifold as a value, and what one does with it: sample, project, score."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._random import host_generator
from .._types import MDF, Array, Energy, Float, RandomKey, Scalar, Vector
from ..errors import InputError
from ..manifold.projection import nearest_point, sampson_distance
from ..mcmc.constrained_langevin import ConstrainedLangevin
from ..mcmc.outcome import Reason
from ..mcmc.run import run
from ..points import check_points
from ..scaling import Scaling
from ..volume.atlas import Atlas, pool_source
from ..volume.importance import LogNormalizer, energies_at, resampled

Method = Literal["importance", "chains"]
MAX_CHAINS = 10_000
BLOCK = 4096
ON_MANIFOLD = 1e-4
"""Largest first-order distance, in units of the data's scale, of a point that counts as on M."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EBIM:
    """A learned manifold {F = 0} and the energy of a density exp(-E)/Z on it, in standardised units.

    mdf (n,) -> (k,) and energy (n,) -> () are callable pytrees. scaling takes data units to standardised
    ones. low, high (n,): the box inside which {F = 0} counts as the manifold. anchors (a, n): training points
    projected onto it, where chains start. noise_scale ε and step_size α (None: ε²) are those of training.
    atlas: charts that points of known volume are drawn from; log_normalizer: log Z in standardised units. Both are None
    where there are none to be had.
    """

    mdf: MDF
    energy: Energy
    scaling: Scaling
    low: Vector
    high: Vector
    anchors: Float[Array, "anchors n"]
    noise_scale: float | Scalar
    step_size: float | Scalar | None
    atlas: Atlas | None = None
    log_normalizer: LogNormalizer | None = None


class Samples(NamedTuple):
    """Draws from a model.

    points (N, n) in data units. distance (N,): `sampson_distance` of each from M, in data units; on_manifold (N,): it
    is at most 1e-4 of the data's scale. method: "importance" (independent points) or "chains". effective_size: of the
    importance weights, (Σw)²/Σw², None for chains. taken_fraction: mean share of chain steps that moved, else None.
    """

    points: np.ndarray
    distance: np.ndarray
    on_manifold: np.ndarray
    method: Method
    effective_size: float | None
    taken_fraction: float | None


class Projections(NamedTuple):
    """points (N, n) and distance (N,) in data units; converged (N,), False where no nearest point was found."""

    points: np.ndarray
    distance: np.ndarray
    converged: np.ndarray


class Densities(NamedTuple):
    """log_density (N,) and energy E (N,) at the projection of each point, distance (N,) of the point from it.

    log_density is in nats per data unit to the power m, NaN where the model has no normaliser; distance in data units;
    converged (N,), False where no nearest point was found.
    """

    log_density: np.ndarray
    energy: np.ndarray
    distance: np.ndarray
    converged: np.ndarray


@jax.jit
def _nearest_all(mdf, points):
    return jax.vmap(lambda x: nearest_point(mdf, x))(points)


@jax.jit
def _first_order_distances(mdf, points):
    return jax.vmap(lambda x: sampson_distance(mdf, x))(points)


def chain_sampler(model: EBIM) -> ConstrainedLangevin:
    """The constrained Langevin chains of a model, kept inside its box, on standardised points."""
    bounds = (model.low, model.high)
    return ConstrainedLangevin(model.mdf, model.energy, model.noise_scale, model.step_size, bounds=bounds)


def sample(
    key: RandomKey,
    model: EBIM,
    count: int,
    num_steps: int = 300,
    *,
    method: Method | None = None,
    progress: bool = False,
) -> Samples:
    """`count` points of the model's density, independent where the model has charts, else from chains.

    "importance" (the default where the model has a normaliser) resamples fresh points of known volume by exp(-E), each
    used once, and so crosses between components. "chains" are constrained Langevin chains of `num_steps` steps,
    which keep the data's share of each component: they start at the anchors, each used once before any is used
    again, and above `MAX_CHAINS` points every chain gives several, `num_steps` apart. `Samples` says which was used.
    """
    if method is None:
        method = "chains" if model.log_normalizer is None else "importance"
    if method == "importance":
        if model.atlas is None:
            raise InputError("the model has no charts to draw independent points from; sample with method='chains'")
        source = pool_source(model.mdf, model.atlas, (model.low, model.high))
        standard, effective_size = resampled(key, source, model.energy, count)
        taken_fraction = None
    else:
        standard, taken_fraction = _chain_ends(key, model, count, num_steps, progress)
        effective_size = None
    distance = np.asarray(_first_order_distances(model.mdf, jnp.asarray(standard)))
    return Samples(
        model.scaling.restore(standard),
        distance * float(model.scaling.scale),
        distance <= ON_MANIFOLD,
        method,
        effective_size,
        taken_fraction,
    )


def _chain_ends(key, model, count, num_steps, progress):
    chains = min(count, MAX_CHAINS)
    rows = -(-chains // len(model.anchors))
    random = host_generator(key)
    starts = np.concatenate([random.permutation(model.anchors) for _ in range(rows)])[:chains]
    rounds = -(-count // chains)
    result = run(chain_sampler(model), key, jnp.asarray(starts), rounds, num_steps, progress=progress, chunk_size=1)
    return result.positions.reshape(-1, starts.shape[1])[:count], float(result.info.reason[:, Reason.ACCEPTED].mean())


def project_points(model: EBIM, points) -> Projections:
    """Nearest points of the learned manifold to `points` (N, n), in data units. Raises InputError."""
    found = _nearest(model, points)
    scale = float(model.scaling.scale)
    return Projections(
        model.scaling.restore(found.position), np.asarray(found.distance) * scale, np.asarray(found.converged)
    )


def log_density(model: EBIM, points) -> Densities:
    """Log p = -E - log Z at the nearest point of M, and the distance to it, for `points` (N, n). Raises InputError.

    The density is with respect to the Riemannian volume of the learned M in its box, in data units: volume goes by
    scale^m under standardisation. It says nothing of how far a point is from M, so read both.
    """
    found = _nearest(model, points)
    scale = float(model.scaling.scale)
    energy = energies_at(model.energy, found.position)
    dimension = len(model.low) - jax.eval_shape(model.mdf, model.low).shape[0]
    log_z = np.nan if model.log_normalizer is None else float(model.log_normalizer.value)
    density = -energy - log_z - dimension * np.log(scale)
    return Densities(density, energy, np.asarray(found.distance) * scale, np.asarray(found.converged))


def _nearest(model: EBIM, points):
    points = check_points(points, dimension=len(model.low))
    return _nearest_all(model.mdf, model.scaling.standardize(points))
