"""The energy-based implicit manifold as a value, and what one does with it: sample, project, score."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._random import host_generator
from ._types import MDF, Array, Energy, Float, RandomKey, Scalar, Vector
from .manifold.projection import nearest_point, sampson_distance
from .mcmc.constrained_langevin import ConstrainedLangevin
from .mcmc.run import run
from .points import check_points
from .scaling import Scaling

MAX_CHAINS = 10_000
ON_MANIFOLD = 1e-4
"""Largest first-order distance, in units of the data's scale, of a point that counts as on M."""


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
    noise_scale: float | Scalar
    step_size: float | Scalar | None


class Samples(NamedTuple):
    """Draws from a model.

    points (N, n) in data units. distance (N,): `sampson_distance` of each from M, in data units; on_manifold (N,): it
    is at most 1e-4 of the data's scale. taken_fraction: mean share of steps that moved.
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


@jax.jit
def _nearest_all(mdf, points):
    return jax.vmap(lambda x: nearest_point(mdf, x))(points)


@jax.jit
def _energies(energy, points):
    return jax.vmap(energy)(points)


@jax.jit
def _first_order_distances(mdf, points):
    return jax.vmap(lambda x: sampson_distance(mdf, x))(points)


def chain_sampler(model: EBIM) -> ConstrainedLangevin:
    """The constrained Langevin chains of a model, kept inside its box, on standardised points."""
    bounds = (model.low, model.high)
    return ConstrainedLangevin(model.mdf, model.energy, model.noise_scale, model.step_size, bounds=bounds)


def sample(key: RandomKey, model: EBIM, count: int, num_steps: int = 300, *, progress: bool = False) -> Samples:
    """`count` points of the model's density, each the end of `num_steps` constrained Langevin steps.

    Chains start at the anchors, each used once before any is used again, so chains that cannot cross
    between components keep the data's share of each. Above `MAX_CHAINS` points every chain gives several,
    `num_steps` apart.
    """
    chains = min(count, MAX_CHAINS)
    rows = -(-chains // len(model.anchors))
    random = host_generator(key)
    starts = np.concatenate([random.permutation(model.anchors) for _ in range(rows)])[:chains]
    rounds = -(-count // chains)
    result = run(chain_sampler(model), key, jnp.asarray(starts), rounds, num_steps, progress=progress, chunk_size=1)
    standard = result.positions.reshape(-1, starts.shape[1])[:count]
    distance = np.asarray(_first_order_distances(model.mdf, jnp.asarray(standard)))
    return Samples(
        model.scaling.restore(standard),
        distance * float(model.scaling.scale),
        distance <= ON_MANIFOLD,
        float(result.info.taken.mean()),
    )


def project_points(model: EBIM, points) -> Projections:
    """Nearest points of the learned manifold to `points` (N, n), in data units. Raises InputError."""
    found = _nearest(model, points)
    scale = float(model.scaling.scale)
    return Projections(
        model.scaling.restore(found.position), np.asarray(found.distance) * scale, np.asarray(found.converged)
    )


def score(model: EBIM, points) -> Scores:
    """Energy at the nearest point of M, and the distance to it, for `points` (N, n). Raises InputError.

    The energy is the negative log-density with respect to the volume of M up to a constant; it says nothing of
    how far a point is from M, so read both.
    """
    found = _nearest(model, points)
    distance = np.asarray(found.distance) * float(model.scaling.scale)
    return Scores(np.asarray(_energies(model.energy, found.position)), distance, np.asarray(found.converged))


def _nearest(model: EBIM, points):
    points = check_points(points, dimension=len(model.low))
    return _nearest_all(model.mdf, model.scaling.standardize(points))
