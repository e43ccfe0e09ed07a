import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds.mcmc.langevin import Langevin


def _bowl(stiffness, x):
    return 0.5 * jnp.sum(stiffness * x**2)


STIFFNESS = np.array([1.0, 4.0, 100.0])
POINT = np.array([1.0, -2.0, 3.0])


@jax.jit
def steps_from(sampler, key, position):
    """20,000 independent steps from one point."""
    keys = jax.random.split(key, 20_000)
    return jax.vmap(sampler.step, in_axes=(0, None))(keys, sampler.init(position))


def one_step(dtype, **options):
    sampler = Langevin(Partial(_bowl, jnp.asarray(STIFFNESS, dtype)), **options)
    states, info = steps_from(sampler, jax.random.key(0), jnp.asarray(POINT, dtype))
    assert states.position.dtype == dtype
    return np.asarray(states.position, np.float64), info


def check_one_step(drawn, mean, noise_scale):
    """Mean and covariance within 4.5 standard errors: nine comparisons, false alarm 6e-5."""
    count = len(drawn)
    assert (np.abs(drawn.mean(axis=0) - mean) <= 4.5 * noise_scale / np.sqrt(count)).all()
    scaled = (drawn - mean) / noise_scale
    spread = np.where(np.eye(3, dtype=bool), np.sqrt(2 / count), np.sqrt(1 / count))
    assert (np.abs(scaled.T @ scaled / count - np.eye(3)) <= 4.5 * spread).all()


def test_one_step_has_the_exact_mean_and_covariance(dtype):
    drawn, info = one_step(dtype, noise_scale=0.3, drift_scale=0.05)
    check_one_step(drawn, POINT - 0.025 * STIFFNESS * POINT, 0.3)
    np.testing.assert_allclose(info.gradient_norm, np.linalg.norm(STIFFNESS * POINT), rtol=1e-5)


def test_the_step_size_defaults_to_the_noise_scale_squared(dtype):
    implicit, _ = one_step(dtype, noise_scale=0.3)
    explicit, _ = one_step(dtype, noise_scale=0.3, drift_scale=0.3**2)
    np.testing.assert_allclose(implicit, explicit, rtol=1e-6)
    check_one_step(implicit, POINT - 0.045 * STIFFNESS * POINT, 0.3)


def test_the_gradient_is_clipped_entry_by_entry_and_its_norm_reported_before(dtype):
    drawn, info = one_step(dtype, noise_scale=0.3, drift_scale=0.5, gradient_clip=2.0)
    check_one_step(drawn, POINT - 0.25 * np.array([1.0, -2.0, 2.0]), 0.3)
    np.testing.assert_allclose(info.gradient_norm, np.linalg.norm(STIFFNESS * POINT), rtol=1e-5)


def test_without_noise_a_step_is_a_gradient_step(dtype):
    drawn, _ = one_step(dtype, noise_scale=0.0, drift_scale=0.01)
    np.testing.assert_allclose(drawn, np.tile(POINT - 0.005 * STIFFNESS * POINT, (len(drawn), 1)), rtol=1e-6)


def test_chains_on_a_quadratic_energy_keep_the_exact_law_of_the_discrete_step():
    # x' = (1 - ε²s/2) x + ε ξ has the stationary variance 1 / (s (1 - ε²s/4)): for ε = 1, s = 1, 4/3 and not 1.
    sampler = Langevin(Partial(_bowl, jnp.ones(1)), noise_scale=1.0)

    @jax.jit
    def final(sampler, key, positions):
        def step(states, key):
            return jax.vmap(sampler.step)(jax.random.split(key, len(positions)), states)[0], None

        return jax.lax.scan(step, jax.vmap(sampler.init)(positions), jax.random.split(key, 60))[0].position

    drawn = np.asarray(final(sampler, jax.random.key(1), jnp.zeros((20_000, 1))), np.float64)[:, 0]
    # After 60 steps what is left of the start is 2^-60. Kolmogorov–Smirnov at n = 20,000: P(D > 0.017) = 2 exp(-2nD²)
    # = 2e-5; the law with α = 2ε² or the continuous one (variance 1) is 0.03 away or more.
    assert scipy.stats.kstest(drawn, scipy.stats.norm(scale=np.sqrt(4 / 3)).cdf).statistic < 0.017
    assert scipy.stats.kstest(drawn, scipy.stats.norm(scale=1.0).cdf).statistic > 0.025
