"""A denoiser against the exact mean of a normal law, and its flow of falling noise against the exact one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from implicit_manifolds.networks.denoiser import annealed, denoiser_loss, log_density, start_as_normal_law

ROOT = np.random.default_rng(0).normal(size=(6, 6)) * np.array([3, 2, 1, 0.5, 0.1, 0.1])
POINTS = (2 + np.random.default_rng(1).normal(size=(4000, 6)) @ ROOT.T).astype(np.float32)
MEAN, COVARIANCE = POINTS.mean(axis=0, dtype=float), np.cov(POINTS.astype(float), rowvar=False)


@pytest.fixture(scope="module")
def started():
    return start_as_normal_law(POINTS, (8,), 5, rngs=nnx.Rngs(0))


def test_it_starts_as_the_mean_under_a_normal_law(started):
    x = jnp.array([1.0, -2.0, 0.5, 3.0, 0.0, 4.0])
    for sigma in (0.05, 0.7, 5.0):
        expected = MEAN + COVARIANCE @ np.linalg.solve(COVARIANCE + sigma**2 * np.eye(6), x - MEAN)
        np.testing.assert_allclose(started(x, sigma), expected, atol=1e-4)
        left = np.trace(COVARIANCE - COVARIANCE @ np.linalg.solve(COVARIANCE + sigma**2 * np.eye(6), COVARIANCE))
        np.testing.assert_allclose(started.spread(sigma), np.sqrt(left / 6), rtol=1e-3)


def test_axes_that_are_left_out_share_their_mean_variance():
    denoiser = start_as_normal_law(POINTS, (8,), 2, rngs=nnx.Rngs(0))
    values, vectors = np.linalg.eigh(COVARIANCE)
    kept = np.concatenate([np.full(4, values[:4].mean()), values[4:]])
    law = vectors * kept @ vectors.T
    x = jnp.arange(6.0)
    expected = MEAN + law @ np.linalg.solve(law + 0.25 * np.eye(6), x - MEAN)
    np.testing.assert_allclose(denoiser(x, 0.5), expected, atol=1e-4)


def test_its_loss_is_one_where_nothing_is_learned(started):
    points = jnp.asarray(np.tile(POINTS, (5, 1)))
    # 20,000 points of six coordinates: the standard error is about 0.006.
    assert abs(float(denoiser_loss(jax.random.key(0), started, points, 0.1, 2.0)) - 1) < 0.03


def test_falling_noise_leads_to_the_law(started):
    """Under dx/dσ = (x - D)/σ what lies along an axis of variance v goes as the root of v + σ²."""
    most, least = 8.0, 0.05
    values, vectors = np.linalg.eigh(COVARIANCE)
    start = MEAN + vectors @ (np.sqrt(values + most**2) * np.array([1.0, -1, 0.5, 2, -2, 1]))
    expected = MEAN + vectors @ (np.sqrt(values + least**2) * np.array([1.0, -1, 0.5, 2, -2, 1]))
    found = jax.jit(lambda x: annealed(started, x, most, least, 200))(jnp.asarray(start, float))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_the_density_by_rising_noise_is_that_of_the_normal_law(started):
    least = 0.3
    x = jnp.asarray(POINTS[:4])
    law = stats.multivariate_normal(MEAN, COVARIANCE + least**2 * np.eye(6))
    np.testing.assert_allclose(jax.vmap(lambda x: started.normal_log_density(x, least))(x), law.logpdf(x), atol=1e-3)
    keys = jax.random.split(jax.random.key(0), 6000)
    of_key = lambda key: jax.vmap(lambda x: log_density(started, key, x, 20.0, least, 200))(x)
    found = jax.jit(jax.vmap(of_key))(keys)
    # The derivative does not depend on x, so that signs alone make all points' sums vary, and alike.
    error = 4 * found.std(axis=0) / 6000**0.5
    assert (error < 0.25).all()
    assert (np.abs(found.mean(axis=0) - law.logpdf(x)) < error + 0.01).all()


def test_no_gradient_reaches_the_normal_law(started):
    loss = lambda denoiser: denoiser_loss(jax.random.key(0), denoiser, jnp.asarray(POINTS[:8]), 0.1, 1.0)
    slopes = jax.grad(loss)(started)
    for fixed in (slopes.axes, slopes.variances, slopes.rest, slopes.centre):
        np.testing.assert_array_equal(fixed[...], 0)
    assert jnp.abs(slopes.network.last.kernel[...]).max() > 0
