"""Orthonormal factors: the posterior of a probabilistic principal component analysis, its loadings on a Stiefel manifold.

y_i = W diag(s) z_i + σ e_i in R^10 with three orthonormal columns W, z_i and e_i standard normal and integrated out:
y_i is normal of covariance C = W diag(s²) Wᵀ + σ² (Tipping & Bishop 1999; Nirwan & Bertschinger 2019 for orthonormal W).
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._types import Array, Float, RandomKey, Residual, Scalar, Vector
from ..manifold.analytic import stiefel
from .target import Quantity, Target

FEATURES, FACTORS, ROWS = 10, 3, 60
FRAME = FEATURES * FACTORS
SCALES, NOISE = np.array([2.0, 1.4, 1.0]), 1.0
"""Those of the simulated data. The last factor hardly stands above the noise, so its direction is in doubt."""
SEED = 20


class Factors(NamedTuple):
    """loadings W (10, 3), log of the scales s (3,) and log of the noise σ: all of them parts of one point (34,)."""

    loadings: Float[Array, "d p"]
    log_scales: Vector
    log_noise: Scalar


def unpacked(x: Vector) -> Factors:
    """The parts of a point (34,): loadings row by row, then log scales, then log noise."""
    return Factors(x[:FRAME].reshape(FEATURES, FACTORS), x[FRAME:-1], x[-1])


def packed(parts: Factors) -> Vector:
    """The point (34,) of its parts."""
    return jnp.concatenate([jnp.ravel(parts.loadings), parts.log_scales, jnp.reshape(parts.log_noise, 1)])


@cache
def factor_data() -> Float[np.ndarray, "N d"]:
    """The 60 rows that were seen, simulated from a fixed seed, (60, 10), float64."""
    rng = np.random.default_rng(SEED)
    loadings = np.linalg.qr(rng.standard_normal((FEATURES, FACTORS)))[0]
    latent = rng.standard_normal((ROWS, FACTORS)) * SCALES
    return latent @ loadings.T + NOISE * rng.standard_normal((ROWS, FEATURES))


def minus_log_likelihood(scatter: Float[Array, "d d"], parts: Factors) -> Scalar:
    """-log p(Y | W, s, σ), a constant left out, given YᵀY (10, 10).

    W is orthonormal, so C has the eigenvalues s_j² + σ² along W and σ² across it: neither a determinant nor a solve of
    10 x 10 is needed. Off the manifold this is some smooth extension, which is all that a sampler on it asks for.
    """
    noise = jnp.exp(2 * parts.log_noise)
    along = jnp.exp(2 * parts.log_scales) + noise
    seen = jnp.sum(parts.loadings * (scatter @ parts.loadings), axis=0)  # w_jᵀ YᵀY w_j
    log_det = jnp.sum(jnp.log(along)) + 2 * (FEATURES - FACTORS) * parts.log_noise
    return 0.5 * (ROWS * log_det + jnp.trace(scatter) / noise - jnp.sum(seen * (1 / noise - 1 / along)))


def covariance(x: Vector) -> Float[Array, "d d"]:
    """W diag(s²) Wᵀ (10, 10): what signs and order of the columns do not change."""
    parts = unpacked(x)
    return (parts.loadings * jnp.exp(2 * parts.log_scales)) @ parts.loadings.T


def _frame_residual(constraint: Any, x: Vector) -> Residual:
    return constraint(x[:FRAME])


def _energy(scatter: Any, x: Vector) -> Scalar:
    """W is uniform a priori; log s_j and log σ are standard normal."""
    return minus_log_likelihood(scatter, unpacked(x)) + 0.5 * jnp.sum(x[FRAME:] ** 2)


def _starts(key: RandomKey, count: int) -> Float[np.ndarray, "count n"]:
    """Uniform frames, and scales and noises near 1: all of M, not the law."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    frames = np.linalg.qr(rng.standard_normal((count, FEATURES, FACTORS)))[0]
    return np.concatenate([frames.reshape(count, -1), 0.3 * rng.standard_normal((count, FACTORS + 1))], axis=1)


def _covariance_entry(i: int, j: int, x: Vector) -> Scalar:
    return covariance(x)[i, j]


def _projector_entry(i: int, j: int, x: Vector) -> Scalar:
    loadings = unpacked(x).loadings
    return loadings[i] @ loadings[j]


def _signal(x: Vector) -> Scalar:
    return jnp.log(jnp.sum(jnp.exp(2 * unpacked(x).log_scales)))


FUNCTIONS = {
    "log noise": lambda x: unpacked(x).log_noise,
    "log signal": _signal,
    "weakest log scale": lambda x: jnp.min(unpacked(x).log_scales),
    "covariance 0,0": partial(_covariance_entry, 0, 0),
    "covariance 0,1": partial(_covariance_entry, 0, 1),
    "covariance 4,7": partial(_covariance_entry, 4, 7),
    "projector 2,2": partial(_projector_entry, 2, 2),
    "projector 3,8": partial(_projector_entry, 3, 8),
}
"""By name, what is compared: the same for all signs and orders of the columns, which the data cannot tell apart."""
