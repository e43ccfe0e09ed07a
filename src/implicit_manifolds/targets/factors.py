"""Orthonormal factors: posterior of a probabilistic principal component analysis, loadings on a Stiefel manifold.

y_i = W diag(s) z_i + σ e_i in R^10 with three orthonormal columns W, z_i and e_i standard normal and integrated out:
y_i is normal of covariance C = W diag(s²) Wᵀ + σ² (Tipping & Bishop 1999; orthonormal W: Nirwan & Bertschinger 2019).
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._loops import over_points, value
from .._types import Array, Float, RandomKey, Residual, Scalar, Vector
from ..manifold.analytic import stiefel
from .target import Quantity, Target

FEATURES, FACTORS, ROWS = 10, 3, 100
FRAME = FEATURES * FACTORS
SCALES, NOISE = np.array([2.5, 1.8, 1.3]), 1.0
"""Those of the simulated data. The weakest factor is not far above the noise, so its direction is in doubt."""
SEED = 20
STEP_SIZE, MAX_STEPS = 0.03, 20.0
"""Of a sampler that does well here."""


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


def true_loadings() -> Float[np.ndarray, "d p"]:
    """W of the simulated data, (10, 3), from a fixed seed."""
    return np.linalg.qr(np.random.default_rng(SEED).standard_normal((FEATURES, FACTORS)))[0]


@cache
def factor_data() -> Float[np.ndarray, "N d"]:
    """The 100 rows that were seen, simulated from a fixed seed, (100, 10), float64."""
    rng = np.random.default_rng(SEED + 1)
    latent = rng.standard_normal((ROWS, FACTORS)) * SCALES
    return latent @ true_loadings().T + NOISE * rng.standard_normal((ROWS, FEATURES))


def minus_log_likelihood(scatter: Any, parts: Factors) -> Scalar:
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
    return (parts.loadings * jnp.exp(2 * parts.log_scales)[None]) @ parts.loadings.T


def _frame_residual(constraint: Any, x: Vector) -> Residual:
    return constraint(x[:FRAME])


def _energy(scatter: Any, x: Vector) -> Scalar:
    """W is uniform a priori; log s_j and log σ are standard normal."""
    return minus_log_likelihood(scatter, unpacked(x)) + 0.5 * jnp.sum(x[FRAME:] ** 2)


def _starts(key: RandomKey, count: int) -> Float[np.ndarray, "count n"]:
    """Uniform frames, and scales and noises near 1: all of M, not the law."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    frames = np.linalg.qr(rng.standard_normal((count, FEATURES, FACTORS)))[0]  # signs of columns by convention
    frames *= rng.choice([-1.0, 1.0], (count, 1, FACTORS))
    return np.concatenate([frames.reshape(count, -1), 0.3 * rng.standard_normal((count, FACTORS + 1))], axis=1)


def _covariance_entry(i: int, j: int, x: Vector) -> Scalar:
    return covariance(x)[i, j]


def _projector_entry(i: int, j: int, x: Vector) -> Scalar:
    loadings = unpacked(x).loadings
    return loadings[i] @ loadings[j]


def _log_noise(x: Vector) -> Scalar:
    return unpacked(x).log_noise


def _weakest(x: Vector) -> Scalar:
    return jnp.min(unpacked(x).log_scales)


def _signal(x: Vector) -> Scalar:
    return jnp.log(jnp.sum(jnp.exp(2 * unpacked(x).log_scales)))


FUNCTIONS = {
    "log noise": Partial(_log_noise),
    "log signal": Partial(_signal),
    "weakest log scale": Partial(_weakest),
    "covariance 0,0": Partial(_covariance_entry, 0, 0),
    "covariance 0,1": Partial(_covariance_entry, 0, 1),
    "covariance 4,7": Partial(_covariance_entry, 4, 7),
    "projector 2,2": Partial(_projector_entry, 2, 2),
    "projector 3,8": Partial(_projector_entry, 3, 8),
}
"""By name, what is compared: the same for all signs and orders of the columns, which the data cannot tell apart."""
SOURCE = "a long run of ConstrainedNUTS in float64"
REFERENCE: dict[str, tuple[float, float, float]] = {
    "log noise": (-0.0152913, 0.02929, 5.6e-05),
    "log signal": (2.40741, 0.1268, 0.00013),
    "weakest log scale": (-0.154704, 0.283, 0.00064),
    "covariance 0,0": (0.506005, 0.168, 0.00015),
    "covariance 0,1": (-0.000265905, 0.1072, 0.0001),
    "covariance 4,7": (-0.159804, 0.1977, 0.00018),
    "projector 2,2": (0.269197, 0.07297, 7.6e-05),
    "projector 3,8": (0.179841, 0.03909, 4.3e-05),
}
"""Of each quantity its mean, standard deviation, and the standard error of the mean: what `reference` printed.

48,000 draws of NumPyro in Householder coordinates agreed within 1.2 standard errors with an earlier, shorter run.
"""


def orthonormal_factors() -> Target:
    """Probabilistic principal components of 100 rows of 10 features: 34 coordinates, 6 constraints.

    Returns:
        `Target`: on V_3(R^10) x R^4, by volume, with means of eight quantities that do not depend on signs and order of
        the factors.

    >>> from implicit_manifolds.targets.factors import orthonormal_factors
    >>> law = orthonormal_factors()
    >>> law.dimension, law.codimension
    (34, 6)
    """
    data = factor_data()
    return Target(
        name="orthonormal_factors",
        dimension=FRAME + FACTORS + 1,
        mdf=Partial(_frame_residual, stiefel(FACTORS)),
        energy=Partial(_energy, data.T @ data),
        measure="hausdorff",
        starts=_starts,
        quantities={name: Quantity(FUNCTIONS[name], *known, SOURCE) for name, known in REFERENCE.items()},
        about="Posterior of a probabilistic principal component analysis with orthonormal loadings, uniform a priori "
        "(Tipping & Bishop 1999; Nirwan & Bertschinger 2019). Data are simulated from a fixed seed.",
    )


def reference(num_chains: int = 1000, num_samples: int = 1000) -> None:
    """Print the lines of `REFERENCE`, from a long run in float64; an hour."""
    from ..mcmc.constrained_nuts import ConstrainedNUTS
    from ..mcmc.run import run
    from ..mcmc.warm_up import warm_up

    with jax.enable_x64(True):
        law = orthonormal_factors()
        starts = law.starts(jax.random.key(0), num_chains)
        warm = warm_up(jax.random.key(1), ConstrainedNUTS(law.mdf, law.energy), starts, 500)
        positions = run(jax.random.key(2), warm.sampler, warm.state.position, num_samples).positions
        print_known(FUNCTIONS, positions.swapaxes(0, 1))


def print_known(functions: dict[str, Any], draws: Float[np.ndarray, "chains draws n"]) -> None:
    """Print mean, deviation and standard error of quantities as literals, and R-hat and effective size of each."""
    from arviz_stats.base import array_stats

    axes: dict[str, Any] = {"chain_axis": 0, "draw_axis": 1}
    for name, function in functions.items():
        values = over_points(value, function, draws.reshape(-1, draws.shape[-1])).reshape(draws.shape[:2])
        ess, r_hat = array_stats.ess(values, method="mean", **axes), array_stats.rhat(values, method="rank", **axes)
        mean, deviation = values.mean(), values.std()
        line = f'"{name}": ({mean:.6g}, {deviation:.4g}, {deviation / ess**0.5:.2g}),'
        print(f"    {line}  # R-hat {r_hat:.4f}, ESS {ess:.0f}")


if __name__ == "__main__":
    reference()
