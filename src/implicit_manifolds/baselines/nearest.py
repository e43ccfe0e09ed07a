"""Nearest points of a decoder's image: what a pushforward manifold is to be compared by, not by its encoder."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from .._loops import bounded_while, over_points
from .._types import RandomKey, Scalar, Vector, relative_tolerance, select
from ..ebim.verbs import NearestPoints
from .autoencoders import Autoencoder, Code
from .model import Pushforward, sample, standardized

POOL = 10_000
ROWS = 256
STARTS = 2
"""Samples near a point whose images are searched from; its own code is one start more."""


def nearest_points(key: RandomKey, model: Pushforward, points) -> NearestPoints:
    """Nearest points of the decoder's image. Raises InputError.

    The least of several local searches: from the code of a point, and from those of the samples nearest to it. An
    upper bound of the true distance.

    Arguments:
        key: a `jax.random` key, of the samples.
        model: a fitted model.
        points: (N, n), in data units.

    Returns:
        `NearestPoints`: points (N, n) of the image and distances (N,), in data units, and whether they are numbers.

    >>> found = baselines.nearest_points(jax.random.key(0), pushed, [[1.0, 0.0]])
    >>> bool(found.distance[0] <= baselines.log_density(pushed, [[1.0, 0.0]]).distance[0] + 1e-6)
    True
    """
    standard = standardized(model, points)
    drawn = np.asarray(model.scaling.standardize(sample(key, model, POOL)), np.float64)
    near = drawn[KDTree(drawn).query(standard, STARTS)[1]].astype(standard.dtype)
    rows = np.concatenate([standard[:, None], near, standard[:, None]], axis=1)
    found = over_points(_nearest, model.autoencoder, rows, ROWS)
    distance = np.linalg.norm(found.astype(np.float64) - standard, axis=1) * float(model.scaling.scale)
    return NearestPoints(model.scaling.restore(found), distance, np.isfinite(distance))


def _nearest(autoencoder, row):
    """Row (2 + STARTS, n): a point, then what to encode for a start."""
    x = row[0]
    codes = jax.vmap(lambda start: descend(autoencoder, x, autoencoder.encode(start)))(row[1:])
    images = jax.vmap(autoencoder.decode)(codes)
    gaps = jnp.sum((images - x[None]) ** 2, axis=1)
    return images[jnp.argmin(jnp.where(jnp.isnan(gaps), jnp.inf, gaps))]


@partial(jax.jit, static_argnames="max_iterations")
def descend(autoencoder: Autoencoder, x: Vector, start: Code, max_iterations: int = 25) -> Code:
    """A local minimum in z of ‖g(z) - x‖, (m,), from `start`, by Newton steps damped as Levenberg did.

    With the whole Hessian, since Gauss-Newton steps crawl where x is as far as the image's radius of curvature. It ends
    where a step is below the dtype's accuracy, or damping has grown past use (Nocedal & Wright 2006, §10.3).
    """

    def gap(z) -> Scalar:
        return jnp.sum((autoencoder.decode(z) - x) ** 2)

    def step(carry):
        z, here, damping, _ = carry
        slope, curvature = jax.grad(gap)(z), jax.hessian(gap)(z)
        scale = jnp.sum(jnp.abs(jnp.diag(curvature))) + jnp.finfo(z.dtype).tiny
        moved = z - jnp.linalg.solve(curvature + damping * scale * jnp.eye(len(z), dtype=z.dtype), slope)
        there = gap(moved)
        better = there < here
        small = jnp.linalg.norm(moved - z) <= relative_tolerance(z.dtype) * (1 + jnp.linalg.norm(z))
        damping = jnp.where(better, damping / 5, damping * 4)
        z, here = select(better, (moved, there), (z, here))
        return z, here, damping, small | (damping > 1e6)

    carry = (start, gap(start), jnp.asarray(1e-3, start.dtype), jnp.asarray(False))
    return bounded_while(lambda carry: ~carry[3], step, carry, max_iterations)[0][0]
