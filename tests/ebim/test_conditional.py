"""A density that depends on a context, on a circle where it is known."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial
from scipy import stats
from scipy.special import i0, ive

from implicit_manifolds import EBIM, Box, InputError, Manifold
from implicit_manifolds.ebim.conditional import (
    ConditionalConfig,
    ConditionalEBIM,
    Tilt,
    fit_conditional,
    log_density_given,
    sample_given,
)
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.cover import cover
from implicit_manifolds.volumes.pools import Estimate

KAPPA, RADIUS = 1.5, 3.0
BOX = Box(jnp.full(2, -1.4), jnp.full(2, 1.4))


def _flat(x):
    return 0.0 * x[0]


def uniform_circle():
    """A circle of radius 3 about (5, 0) with the uniform law, as an EBIM."""
    manifold = cover(jax.random.key(5), Manifold(sphere(1.0), BOX, jnp.asarray([[1.0, 0.0]])))
    scaling = Scaling(np.array([5.0, 0.0]), RADIUS)
    exact = Estimate(float(np.log(2 * np.pi)), 0.0)
    return EBIM(manifold, Partial(_flat), scaling, ChainScales(0.1), exact)


def on_circle(angle):
    return np.array([5.0, 0.0]) + RADIUS * np.column_stack([np.cos(angle), np.sin(angle)])


@pytest.fixture(scope="module")
def fitted():
    """Angles von Mises about θ, which is uniform in [10, 12]: a shift and scale to standardise."""
    random = np.random.default_rng(0)
    theta = random.uniform(10, 12, 20_000)
    points = on_circle(random.vonmises(0, KAPPA, len(theta)) + theta)
    config = ConditionalConfig(features=8, width=32, blocks=1, num_steps=1500, pool_batch=500)
    return fit_conditional(jax.random.key(0), uniform_circle(), points, theta[:, None], config)


@pytest.mark.slow
def test_the_density_is_the_true_one_given_each_context(fitted):
    model, history = fitted
    angle, thetas = np.linspace(-3, 3, 50), np.array([10.2, 11.0, 11.9])
    found, distance = log_density_given(model, on_circle(angle), thetas[:, None])
    exact = KAPPA * np.cos(angle[:, None] - thetas) - np.log(2 * np.pi * i0(KAPPA) * RADIUS)
    weights = np.exp(exact)
    # Divergence: log Z from a pool of 20,000 has a standard error of .0065, learning adds its own.
    assert np.all((weights * (exact - found)).sum(axis=0) / weights.sum(axis=0) < 0.02)
    assert np.abs(found - exact).max() < 0.3
    assert distance.max() < 1e-5
    assert history.terms["loss"][-1] < history.terms["loss"][0]


def test_the_density_integrates_to_one_for_every_context(fitted):
    angle = np.linspace(-np.pi, np.pi, 400, endpoint=False)
    found, _ = log_density_given(fitted[0], on_circle(angle), np.array([[10.0], [11.3]]))
    np.testing.assert_allclose(np.exp(found).mean(axis=0) * 2 * np.pi * RADIUS, 1.0, atol=0.03)


def test_samples_given_a_context_have_its_law(fitted):
    drawn = sample_given(jax.random.key(1), fitted[0], 1000, [11.5])
    assert len(np.unique(drawn, axis=0)) == 1000
    angle = np.arctan2(drawn[:, 1], drawn[:, 0] - 5.0)
    turned = np.angle(np.exp(1j * (angle - 11.5)))
    assert stats.kstest(turned, stats.vonmises(KAPPA).cdf).pvalue > 1e-3


class Raised(Tilt):
    """A tilt with a constant added, which changes no law."""

    def __init__(self, tilt, by):
        self.of_point, self.of_context, self.by = tilt.of_point, tilt.of_context, by

    def refresh(self, points, contexts):
        return super().refresh(points, contexts) + self.by


@pytest.mark.parametrize("by", [-200.0, 200.0])
def test_a_constant_in_the_tilt_changes_no_sample(fitted, by):
    raised = replace(fitted[0], tilt=Raised(fitted[0].tilt, by))
    drawn = [sample_given(jax.random.key(1), model, 100, [11.5]) for model in (fitted[0], raised)]
    # Rounding of a tilt near 200 may swap the odd point.
    assert np.mean(drawn[0] == drawn[1]) > 0.9


def test_a_context_that_never_varies_says_nothing():
    random = np.random.default_rng(0)
    contexts = np.column_stack([random.uniform(0, 1, 500), np.full(500, 0.1)])
    config = ConditionalConfig(features=4, width=8, blocks=1, num_steps=10, pool_size=500, pool_batch=100)
    model, _ = fit_conditional(jax.random.key(0), uniform_circle(), on_circle(contexts[:, 0]), contexts, config)
    found, _ = log_density_given(model, on_circle(np.zeros(1)), np.array([[0.5, 0.1], [0.5, 0.1 + 1e-6]]))
    np.testing.assert_allclose(found[0, 0], found[0, 1], atol=1e-4)


def test_all_pairs_are_what_each_is_alone():
    tilt = Tilt(2, 1, ConditionalConfig(features=4, width=8, blocks=1), rngs=nnx.Rngs(0))
    points, contexts = jnp.asarray([[0.1, 0.2], [1.0, -1.0]]), jnp.asarray([[0.5], [-2.0], [0.0]])
    pairs = [[float(tilt(x, c)) for c in contexts] for x in points]
    np.testing.assert_allclose(tilt.pairs(points, contexts), pairs, rtol=1e-5)


class _Towards(Tilt):
    """D(x, θ) = -κ cos(x - θ)."""

    def __init__(self, kappa=50.0):
        self.kappa = jnp.asarray(kappa)

    def __call__(self, x, context):
        return -self.kappa * (x[0] * jnp.cos(context[0]) + x[1] * jnp.sin(context[0]))

    def pairs(self, points, contexts):
        return jax.vmap(lambda x: jax.vmap(lambda c: self(x, c))(contexts))(points)


def test_a_density_too_narrow_for_the_points_that_normalise_it_is_told():
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, 2000)
    pool = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    model = ConditionalEBIM(uniform_circle(), _Towards(), np.zeros(1), np.ones(1), pool)
    found, _ = log_density_given(model, on_circle(np.array([0.5])), np.array([[0.5]]))
    assert found[0, 0] == pytest.approx(stats.vonmises.logpdf(0, 50.0) - np.log(RADIUS), abs=0.15)
    with pytest.warns(UserWarning, match="the normaliser of 1 of 1 contexts is known from [0-9]{1,2} of 2,000 points"):
        log_density_given(replace(model, tilt=_Towards(1e6)), on_circle(np.array([0.5])), np.array([[0.5]]))


@pytest.mark.slow
def test_one_sample_given_a_context_has_the_law_of_many():
    model = ConditionalEBIM(uniform_circle(), _Towards(), np.zeros(1), np.ones(1), np.zeros((1, 2)))
    points = np.concatenate([sample_given(jax.random.key(seed), model, 1, [0.5]) for seed in range(60)])
    angle = np.arctan2(points[:, 1], points[:, 0] - 5.0)
    falls_short = 1 - np.cos(angle - 0.5)
    # Von Mises of concentration 50; from few candidates a draw fell short 1.83 times as far. z = 4.
    assert abs(falls_short.mean() - (1 - ive(1, 50.0) / ive(0, 50.0))) < 4 * falls_short.std() / np.sqrt(60)


def test_what_cannot_be_fitted_is_refused():
    model, points = uniform_circle(), on_circle(np.linspace(0, 6, 10))
    with pytest.raises(InputError, match="contexts must be finite"):
        fit_conditional(jax.random.key(0), model, points, np.zeros((9, 1)))
    with pytest.raises(InputError, match="no normaliser"):
        fit_conditional(jax.random.key(0), replace(model, log_normalizer=None), points, np.zeros((10, 1)))
