"""The energy-based implicit manifold as a value, and what one does with it: sample, project, score."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._loops import over_points
from .._random import host_generator
from .._types import Energy, RandomKey, Scalar
from ..choices import check_choice
from ..errors import InputError
from ..manifold.nearest import nearest_point
from ..manifold.projection import project, sampson_distance, within_domain
from ..manifold.stretching import log_stretch, stretched
from ..manifold.tangent import linearize
from ..mcmc.constrained_langevin import ConstrainedLangevin
from ..mcmc.outcome import Reason
from ..mcmc.run import run
from ..pieces import Pieces
from ..points import check_points
from ..scaling import Scaling
from ..volumes.atlas import pool_source
from ..volumes.importance import energies_at, resampled
from ..volumes.manifold import Manifold
from ..volumes.pools import Estimate

Method = Literal["importance", "chains"]
MAX_CHAINS = 10_000
SEARCHED = 256
"""Points whose nearest ones are searched for together: all wait for the last."""
ON_MANIFOLD = 1e-4
"""Largest first-order distance, in standardised units, of a point that counts as on M."""


class ChainScales(NamedTuple):
    """ε and α of constrained Langevin chains; drift_scale None is ε², the one value that targets exp(-E)."""

    noise_scale: float | Scalar
    drift_scale: float | Scalar | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EBIM:
    """A learned manifold {F = 0} and the energy of a density exp(-E)/Z on it, in standardised units.

    manifold: F with its box, projected training points as anchors, where chains start, and charts where there are any
    to be had. energy: a callable pytree, (n,) -> (). scaling takes data units to standardised ones. chains: scales of
    training's. log_normalizer: log Z in standardised units, None without charts (Ross et al. 2023).

    >>> model.manifold.codimension, model.manifold.ambient_dimension
    (1, 2)
    >>> float(model.energy(jnp.array([1.0, 0.0])))
    0.0
    """

    manifold: Manifold
    energy: Energy
    scaling: Scaling | Pieces
    chains: ChainScales
    log_normalizer: Estimate | None = None


class Samples(NamedTuple):
    """Draws from a model.

    points (N, n) in data units. distance (N,): `sampson_distance` of each from M, in data units; on_manifold (N,): it
    is at most 1e-4 in standardised ones, and the point within M's box and domain. method: "importance" (independent
    points) or "chains". effective_size: of the importance weights, (Σw)²/Σw², None for chains. taken_fraction: mean
    share of chain steps that moved, else None.
    """

    points: np.ndarray
    distance: np.ndarray
    on_manifold: np.ndarray
    method: Method
    effective_size: float | None
    taken_fraction: float | None


class NearestPoints(NamedTuple):
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


def chain_sampler(model: EBIM) -> ConstrainedLangevin:
    """The constrained Langevin chains of a model, kept inside its box, on standardised points."""
    manifold = model.manifold
    return ConstrainedLangevin(manifold.mdf, model.energy, *model.chains, box=manifold.box)


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

    Arguments:
        key: a JAX random key.
        model: a fitted model.
        count: how many points.
        num_steps: steps of each chain, where chains are run.
        method: "importance" or "chains"; what is best for the model unless given.
        progress: print how far chains are.

    Returns:
        `Samples`: points (count, n) in data units, their distances from M, and how they were drawn.

    Raises:
        InputError: "importance" was asked of a model without charts, or the method has another name.

    >>> drawn = im.sample(jax.random.key(0), model, 100)
    >>> drawn.points.shape, bool(drawn.on_manifold.all()), drawn.method
    ((100, 2), True, 'importance')
    """
    if method is not None:
        check_choice("method", method, Method)
    else:
        method = "chains" if model.log_normalizer is None else "importance"
    if method == "importance":
        if model.manifold.atlas is None:
            raise InputError("the model has no charts to draw independent points from; sample with method='chains'")
        standard, effective_size = resampled(key, pool_source(model.manifold), model.energy, count)
        taken_fraction = None
    else:
        standard, taken_fraction = _chain_ends(key, model, count, num_steps, progress)
        effective_size = None
    box = model.manifold.box.on_host()
    return Samples(
        model.scaling.restore(standard),
        _first_order_distance(model, standard),
        over_points(_is_on, model.manifold.mdf, standard) & box.contains(standard),
        method,
        effective_size,
        taken_fraction,
    )


def _chain_ends(key, model, count, num_steps, progress):
    chains = min(count, MAX_CHAINS)
    anchors = model.manifold.anchors
    rows = -(-chains // len(anchors))
    random = host_generator(key)
    starts = np.concatenate([random.permutation(anchors) for _ in range(rows)])[:chains]
    rounds = -(-count // chains)
    result = run(key, chain_sampler(model), jnp.asarray(starts), rounds, num_steps, progress=progress, chunk_size=1)
    return result.positions.reshape(-1, starts.shape[1])[:count], float(result.info.reason[:, Reason.ACCEPTED].mean())


def nearest_points(model: EBIM, points) -> NearestPoints:
    """Nearest points of the learned manifold to `points` (N, n), in data units. Raises InputError.

    Arguments:
        model: a fitted model.
        points: (N, n) in data units.

    Returns:
        `NearestPoints`: points (N, n) of M, distances (N,) to them, and whether each search converged (N,).

    >>> found = im.nearest_points(model, [[2.0, 0.0]])
    >>> bool(np.allclose(found.points, [[1.0, 0.0]], atol=1e-5)), found.distance.round(3).tolist()
    (True, [1.0])
    """
    position, distance, converged = _nearest(model, points)
    return NearestPoints(model.scaling.restore(position), distance, converged)


def log_density(model: EBIM, points) -> Densities:
    """Log p = -E - log Z at the nearest point of M, and the distance to it, for `points` (N, n). Raises InputError.

    The density is with respect to the Riemannian volume of the learned M in its box, in data units: volume goes by
    scale^m under standardisation, and by `log_stretch` where each column has a scale of its own. It says nothing of
    how far a point is from M, so read both.

    Arguments:
        model: a fitted model.
        points: (N, n) in data units, on M or near it.

    Returns:
        `Densities`: log p and E (N,) at the nearest points of M, the distances to them, and convergence.

    >>> scored = im.log_density(model, [[0.0, 1.0]])  # uniform on a circle of length 2π
    >>> bool(abs(scored.log_density[0] + np.log(2 * np.pi)) < 0.02)
    True
    """
    position, distance, converged = _nearest(model, points)
    energy = energies_at(model.energy, position)
    log_z = np.nan if model.log_normalizer is None else float(model.log_normalizer.value)
    return Densities(-energy - log_z - log_volume_scale(model, position), energy, distance, converged)


def log_volume_scale(model: EBIM, standard) -> np.ndarray | float:
    """Log of the volume of M in data units over that in standardised ones, at points of it.

    Weights of a pool of `model.manifold` times its exponential are volumes in the units of the data. It is m log(scale)
    where all columns have one scale, and by `stretching.log_stretch` where each has its own.

    Arguments:
        model: a fitted model.
        standard: (N, n), points of M in standardised units.

    Returns:
        (N,), or one number where it is the same everywhere.

    >>> pool = im.draw_pool(jax.random.key(0), model.manifold, 10_000)
    >>> length = np.sum(pool.weights * np.exp(im.log_volume_scale(model, pool.points)))
    >>> bool(abs(length - 2 * np.pi) < 0.05)  # of a unit circle
    True
    """
    scaling, manifold = model.scaling, model.manifold
    uniform = manifold.dimension * np.log(scaling.lengths_at(standard))
    if scaling.stretches is None:
        return uniform
    return uniform + over_points(_log_stretch, (manifold.mdf, _stretches(model)), standard).astype(np.float64)


def _nearest(model: EBIM, points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised nearest points, their distances in data units, and whether they are in M."""
    points = check_points(points, dimension=model.manifold.ambient_dimension)
    manifold, standard = model.manifold, model.scaling.standardize(points)
    if model.scaling.stretches is None:
        found = over_points(nearest_point, manifold.mdf, standard, SEARCHED)
    else:
        found = over_points(_nearest_as_stretched, (manifold.mdf, _stretches(model)), standard, SEARCHED)
    # {F = 0} goes on outside the box, where it is not M.
    inside = manifold.box.on_host().contains(found.position)
    distance = found.distance * model.scaling.lengths_at(found.position)
    return found.position, distance, found.converged & inside


def _first_order_distance(model: EBIM, standard) -> np.ndarray:
    mdf, length = model.manifold.mdf, model.scaling.lengths_at(standard)
    if model.scaling.stretches is None:
        return over_points(sampson_distance, mdf, standard) * length
    return over_points(_sampson_as_stretched, (mdf, _stretches(model)), standard) * length


def _stretches(model: EBIM) -> jax.Array:
    return jnp.asarray(model.scaling.stretches, jnp.result_type(float))


def _is_on(mdf, x):
    at = linearize(mdf, x)
    return within_domain(at, sampson_distance(mdf, x) <= ON_MANIFOLD)


def _log_stretch(tree, x):
    return log_stretch(*tree, x)


def _sampson_as_stretched(tree, x):
    mdf, stretches = tree
    return sampson_distance(stretched(mdf, stretches), stretches * x)


def _nearest_as_stretched(tree, x):
    """Nearest as the data's distances have it, from a zero found where all columns count the same."""
    mdf, stretches = tree
    start = project(mdf, x).position
    found = nearest_point(stretched(mdf, stretches), stretches * x, stretches * start)
    return found._replace(position=found.position / stretches)
