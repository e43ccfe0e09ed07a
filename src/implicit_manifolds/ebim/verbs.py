"""What one does with a model on the host, to many points at once: sample, project, score; checks, blocks, progress.

Those of points are the pure functions of `functional` in blocks of rows that compile once.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._loops import chunk_sizes, over_points
from .._random import check_key, host_generator
from .._types import RandomKey
from ..choices import check_choice
from ..errors import InputError
from ..mcmc.outcome import Reason
from ..mcmc.run import run
from ..points import as_numbers, check_points
from ..volumes.atlas import pool_source
from ..volumes.importance import Resampled, resampled
from ..volumes.manifold import Manifold
from . import pointwise
from .functional import Method
from .model import EBIM

MAX_CHAINS = 10_000
TOGETHER = 100_000
"""Independent points that are drawn at once."""
SEARCHED = 256
"""Points whose nearest ones are searched for together: all wait for the last."""
ON_MANIFOLD = 1e-4
"""Largest first-order distance, in standardised units, of a point that counts as on M."""


class Samples(NamedTuple):
    """Draws from a model.

    points (N, n) in data units. distance (N,): `sampson_distance` of each from M, in data units; on_manifold (N,): it
    is at most 1e-4 in standardised ones, and the point within M's box and domain. method: "importance" (independent
    points) or "chains". effective_size: of the importance weights, (Σw)²/Σw², None for chains. taken_fraction: mean
    share of chain steps that moved, else None. flattened: the share of the points' probability that is lost where the
    weights of candidates have collapsed, 0 but for a warning; None for chains.
    """

    points: np.ndarray
    distance: np.ndarray
    on_manifold: np.ndarray
    method: Method
    effective_size: float | None
    taken_fraction: float | None
    flattened: float | None = None


class NearestPoints(NamedTuple):
    """points (N, n) and distance (N,) in data units; converged (N,), False where no nearest point was found.

    curvature (N,): 1 on M, 0 where the nearest point is about to be another (`manifold.NearestPoint`); not known of
    baselines.
    """

    points: np.ndarray
    distance: np.ndarray
    converged: np.ndarray
    curvature: np.ndarray | None = None


class Densities(NamedTuple):
    """log_density (N,) and energy E (N,) at the projection of each point, distance (N,) of the point from it.

    log_density is in nats per data unit to the power m, NaN where the model has no normaliser; distance in data units;
    converged (N,), False where no nearest point was found, and the first two are NaN.
    """

    log_density: np.ndarray
    energy: np.ndarray
    distance: np.ndarray
    converged: np.ndarray


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
        InputError: "importance" was asked of a model without charts, the method has another name, or the key is none.

    >>> drawn = im.sample(jax.random.key(0), model, 100)
    >>> drawn.points.shape, bool(drawn.on_manifold.all()), drawn.method
    ((100, 2), True, 'importance')
    """
    check_key(key)
    if count < 1 or num_steps < 1:
        raise InputError("the number of points and of steps must be at least 1")
    if method is not None:
        check_choice("method", method, Method)
    else:
        method = "chains" if model.log_normalizer is None else "importance"
    if method == "importance":
        if model.manifold.atlas is None:
            raise InputError("the model has no charts to draw independent points from; sample with method='chains'")
        standard, effective_size, flattened = _independent(key, model, count)
        worth: tuple[float | None, ...] = (effective_size, None, flattened)
    else:
        standard, taken_fraction = _chain_ends(key, model, count, num_steps, progress)
        worth = None, taken_fraction, None
    distance, on_manifold = over_points(_whereabouts, bare(model), standard)
    return Samples(model.scaling.restore(standard), distance.astype(np.float64), on_manifold, method, *worth)


def _independent(key: RandomKey, model: EBIM, count: int) -> Resampled:
    source, parts = pool_source(model.manifold), []
    for first, size in chunk_sizes(0, count, TOGETHER):
        parts.append(resampled(jax.random.fold_in(key, first) if first else key, source, model.energy, size))
    points, sizes, flattened = zip(*parts, strict=True)
    return Resampled(np.concatenate(points), float(sum(sizes)), max(flattened))


def _chain_ends(key, model, count, num_steps, progress):
    chains = min(count, MAX_CHAINS)
    anchors = model.manifold.anchors
    rows = -(-chains // len(anchors))
    random = host_generator(key)
    starts = np.concatenate([random.permutation(anchors) for _ in range(rows)])[:chains]
    rounds = -(-count // chains)
    result = run(
        key, pointwise.chain_sampler(model), jnp.asarray(starts), rounds, num_steps, progress=progress, chunk_size=1
    )
    return result.positions.reshape(-1, starts.shape[1])[:count], float(result.info.reason[:, Reason.ACCEPTED].mean())


def nearest_points(model: EBIM, points) -> NearestPoints:
    """Nearest points of the learned manifold to `points` (N, n) or one (n,), in data units. Raises InputError.

    By descent from a zero nearby: of sheets that are about as near it may be another's (`manifold.nearest_point`).

    Arguments:
        model: a fitted model.
        points: (N, n) or (n,), in data units.

    Returns:
        `NearestPoints`: points (N, n) of M, distances (N,) to them, whether each search converged (N,), and how near
        to a centre of curvature each lies (N,); of one point without the leading axis.

    >>> found = im.nearest_points(model, [[2.0, 0.0]])
    >>> bool(np.allclose(found.points, [[1.0, 0.0]], atol=1e-5)), found.distance.round(3).tolist()
    (True, [1.0])
    """
    rows, one = _rows(model, points)
    position, distance, converged, curvature = over_points(
        pointwise.nearest_standard, bare(model), pointwise.views(model, rows), SEARCHED
    )
    found = NearestPoints(model.scaling.restore(position), distance.astype(np.float64), converged, curvature)
    return jax.tree.map(lambda leaf: leaf[0], found) if one else found


def log_density(model: EBIM, points) -> Densities:
    """Log p = -E - log Z at the nearest point of M, and the distance to it, for `points` (N, n) or one (n,).

    The density is with respect to the Riemannian volume of the learned M in its box, in data units: volume goes by
    scale^m under standardisation, and by `log_stretch` where each column has a scale of its own. It says nothing of
    how far a point is from M, so read both. Raises InputError.

    Arguments:
        model: a fitted model.
        points: (N, n) or (n,), in data units, on M or near it.

    Returns:
        `Densities`: log p and E (N,) at the nearest points of M, the distances to them, and convergence; of one point
        without the leading axis.

    >>> scored = im.log_density(model, [[0.0, 1.0]])  # uniform on a circle of length 2π
    >>> bool(abs(scored.log_density[0] + np.log(2 * np.pi)) < 0.02)
    True
    """
    rows, one = _rows(model, points)
    scored = over_points(pointwise.scored, bare(model), pointwise.views(model, rows), SEARCHED)
    logs, energy, distance = (np.asarray(leaf, np.float64) for leaf in scored[:3])
    found = Densities(logs, energy, distance, scored.converged)
    return Densities(*(leaf[0] for leaf in found)) if one else found


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
    if not model.scaling.by_column:
        return model.manifold.dimension * np.log(model.scaling.lengths_at(standard))
    return over_points(pointwise.log_volume_unit, bare(model), standard).astype(np.float64)


def _rows(model: EBIM, points) -> tuple[np.ndarray, bool]:
    """Points (N, n) that were checked, and whether one point (n,) was given."""
    points = as_numbers(points)
    one = points.ndim == 1
    return check_points(points[None] if one else points, dimension=model.manifold.ambient_dimension), one


def bare(model: EBIM) -> EBIM:
    """What functions of a point need: charts and anchors differ in number, and would compile again."""
    return replace(model, manifold=Manifold(model.manifold.mdf, model.manifold.box))


def _whereabouts(model: EBIM, z):
    return pointwise.first_order_distance(model, z), pointwise.is_on(model, z, ON_MANIFOLD)
