"""Posteriors of simulators' inputs against closed forms; starts on what explains an observation; what is refused.

2,000 chains give one draw each, their last position; a test of a law fails where p < 1e-4.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.integrate
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds import InputError
from implicit_manifolds._loops import _over_rows
from implicit_manifolds.manifold.tangent import linearize
from implicit_manifolds.mcmc import ConstrainedHMC, run
from implicit_manifolds.mcmc.chains import advance, initial_states
from implicit_manifolds.mcmc.conditioned import _full_rank, conditioned, standard_normal
from implicit_manifolds.mcmc.run import _run_chunk

CHAINS = 2000
SMALLEST_P = 1e-4
KEY = jax.random.key(0)


def _linear(matrix, u):
    return matrix @ u


def _scaled_noise(rate, u):
    """Noise u₁ on the scale exp(rate u₀)."""
    return jnp.exp(rate * u[0]) * u[1]


def _sum(u):
    return jnp.sum(u)


def _square_above_one(u):
    return u[0] ** 2 + 1


@partial(jax.jit, static_argnames="measure")
def _last(model, starts, num_steps, measure):
    sampler = ConstrainedHMC(model.mdf, model.energy, 0.5, num_steps=3, measure=measure)
    states = initial_states(sampler, starts, jax.random.key(1))
    return advance(jax.random.key(2), sampler, states, num_steps)[0].position


def draws(model, num_steps=30, measure="ambient"):
    starts = model.starts(KEY, CHAINS)
    assert starts.shape[0] == CHAINS
    return np.asarray(_last(model, starts, num_steps, measure), np.float64)


def follows(values, cdf):
    return scipy.stats.kstest(values, cdf).pvalue > SMALLEST_P


# Laws ---------------------------------------------------------------------------------------------

MATRIX = np.asarray([[1.0, -0.5, 0.7, 0.0], [0.3, 1.2, 0.0, -0.6]])
SEEN = np.asarray([1.5, -0.8])


def gaussian_posterior(mean, scale):
    """Mean and covariance of independent normal inputs given `MATRIX` u = `SEEN`."""
    prior = np.diag(scale**2)
    gain = prior @ MATRIX.T @ np.linalg.inv(MATRIX @ prior @ MATRIX.T)
    return mean + gain @ (SEEN - MATRIX @ mean), prior - gain @ MATRIX @ prior


def agrees_along(found, mean, covariance):
    """Whether draws of inputs follow a normal law along three directions."""
    directions = np.random.default_rng(0).normal(size=(3, 4))
    spread = np.sqrt([w @ covariance @ w for w in directions])
    return all(follows((found - mean) @ w / s, "norm") for w, s in zip(directions, spread, strict=True))


def test_a_linear_simulator_has_the_normal_posterior(dtype):
    model = conditioned(Partial(_linear, jnp.asarray(MATRIX, dtype)), SEEN, standard_normal(4))
    found = draws(model)
    assert found.shape == (CHAINS, 4)
    np.testing.assert_allclose(found @ MATRIX.T, np.tile(SEEN, (CHAINS, 1)), atol=1e-5)
    mean, covariance = gaussian_posterior(np.zeros(4), np.ones(4))
    assert agrees_along(found, mean, covariance)
    assert not agrees_along(found, mean + 0.2, covariance)


def test_a_prior_of_numpyro_moves_the_normal_posterior(dtype):
    mean, scale = np.asarray([0.5, -1.0, 0.0, 2.0]), np.asarray([1.0, 0.5, 2.0, 0.7])
    prior = dist.Normal(jnp.asarray(mean, dtype), jnp.asarray(scale, dtype))
    model = conditioned(Partial(_linear, jnp.asarray(MATRIX, dtype)), SEEN, prior)
    joined = conditioned(_sum, 0.0, prior.to_event(1))  # whose log_prob is one number instead of one for each input
    np.testing.assert_allclose(model.energy(jnp.asarray(mean)), joined.energy(jnp.asarray(mean)), rtol=1e-6)
    found = draws(model)
    assert agrees_along(found, *gaussian_posterior(mean, scale))
    assert not agrees_along(found, *gaussian_posterior(np.zeros(4), np.ones(4)))


def posterior_of_log_scale(rate, seen):
    """Law of u₀ given that noise on the scale exp(rate u₀) was `seen`: prior times normal likelihood, by quadrature."""
    grid = np.linspace(-8, 8, 20_001)
    heights = scipy.stats.norm.pdf(grid) * scipy.stats.norm.pdf(seen, scale=np.exp(rate * grid))
    total = scipy.integrate.cumulative_simpson(heights, x=grid, initial=0)
    return lambda t: np.interp(t, grid, total / total[-1])


def test_a_scale_is_inferred_from_its_noise_and_only_under_the_ambient_measure(dtype):
    model = conditioned(Partial(_scaled_noise, jnp.asarray(0.7, dtype)), 1.5, standard_normal(2))
    law = posterior_of_log_scale(0.7, 1.5)
    assert follows(draws(model, 60)[:, 0], law)
    assert not follows(draws(model, 60, "hausdorff")[:, 0], law)


@pytest.mark.parametrize("seen", [0.6, 1.3])
def test_the_posterior_ends_where_the_support_of_the_prior_does(seen):
    # NumPyro's log_prob is finite beyond. Given u₀ + u₁ + u₂ the inputs are uniform on what the cube leaves of a plane.
    found = draws(conditioned(_sum, seen, dist.Uniform(0.0, 1.0).expand([3])), 60)
    assert ((found > 0) & (found < 1)).all()
    grid = np.linspace(0, 1, 2001)
    rest = seen - grid
    heights = np.maximum(np.minimum(1, rest) - np.maximum(0, rest - 1), 0)
    total = scipy.integrate.cumulative_simpson(heights, x=grid, initial=0)
    assert follows(found[:, 0], lambda t: np.interp(t, grid, total / total[-1]))


# What it takes ------------------------------------------------------------------------------------


@dataclass
class SeededNormal:
    """A prior as distrax has them: `seed` by name, and here no pytree."""

    scale: Any

    def sample(self, *, seed, sample_shape=()):
        return self.scale * jax.random.normal(seed, (*sample_shape, 3))

    def log_prob(self, u):
        return -0.5 * (u / self.scale) ** 2

    __hash__ = object.__hash__


def test_a_prior_that_takes_a_seed_and_is_no_pytree_serves_as_well():
    model = conditioned(_sum, 2.0, SeededNormal(2.0))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(model))
    found = draws(model)
    assert follows(found[:, 0], scipy.stats.norm(2 / 3, 2 * np.sqrt(2 / 3)).cdf)


def test_outputs_of_any_shape_are_conditioned_on_as_they_are():
    plane = conditioned(lambda u: u[:4].reshape(2, 2), np.eye(2), standard_normal(5))
    np.testing.assert_allclose(plane.starts(KEY, 3)[:, :4], np.tile([1, 0, 0, 1], (3, 1)), atol=1e-5)
    scalar = conditioned(_sum, 1, standard_normal(2))
    assert scalar.mdf(jnp.ones(2)).shape == (1,)


def test_another_observation_compiles_nothing():
    matrix = jnp.asarray(MATRIX, jnp.float32)

    def sampled(observation):
        model = conditioned(Partial(_linear, matrix), observation, standard_normal(4))
        sampler = ConstrainedHMC(model.mdf, model.energy, 0.5, measure="ambient")
        chains = run(KEY, sampler, model.starts(KEY, 5), 3)
        np.testing.assert_allclose(chains.positions[-1] @ MATRIX.T, np.tile(observation, (5, 1)), atol=1e-5)

    sampled(SEEN)
    before = _over_rows._cache_size(), _run_chunk._cache_size(), initial_states._cache_size()
    sampled([0.3, 0.4])
    sampled(jnp.zeros(2))
    assert (_over_rows._cache_size(), _run_chunk._cache_size(), initial_states._cache_size()) == before


# Starts -------------------------------------------------------------------------------------------


def test_starts_explain_the_observation_differ_and_repeat_with_the_key():
    model = conditioned(Partial(_scaled_noise, jnp.asarray(0.7)), 1.5, standard_normal(2))
    starts = model.starts(KEY, 100)
    np.testing.assert_allclose(np.exp(0.7 * starts[:, 0]) * starts[:, 1], 1.5, rtol=1e-5)
    assert len(np.unique(starts, axis=0)) == 100
    np.testing.assert_array_equal(starts, model.starts(KEY, 100))
    assert not np.isin(starts, model.starts(jax.random.key(1), 100)).any()


def _rarely(u):
    """Reaches 2 within |u₀| < 1 alone; elsewhere a plateau."""
    return jnp.where(u[0] > 1.5, 3 * u[1], jnp.tanh(u[1]))


def test_draws_that_do_not_arrive_are_replaced_and_few_that_do_are_repeated():
    model = conditioned(_rarely, 2.0, standard_normal(2))
    starts = model.starts(KEY, 40)
    np.testing.assert_allclose(3 * starts[:, 1], 2, rtol=1e-5)
    assert (starts[:, 0] > 1.5).all()
    assert len(np.unique(starts, axis=0)) == 40
    rare = conditioned(lambda u: jnp.where(u[0] > 3, 3 * u[1], jnp.tanh(u[1])), 2.0, standard_normal(2))
    starts = rare.starts(KEY, 16)  # of 800 draws one is to be expected
    assert starts.shape == (16, 2)
    assert len(np.unique(starts, axis=0)) < 16
    np.testing.assert_allclose(3 * starts[:, 1], 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("simulator", "observation", "prior", "told"),
    [
        (_square_above_one, 0.5, standard_normal(2), "none of 800 prior draws .* nearest output being 0.5 from"),
        (lambda u: jnp.stack([u[0], 3 * u[0]]), np.asarray([1.0, 3.0]), standard_normal(3), "each output vary"),
        (lambda u: 0 * u[0], 0.0, standard_normal(3), "each output vary"),
        (_sum, 5.0, dist.Uniform(0, 1).expand([2]), "although 800 reached the observation"),
        (_sum, np.nan, standard_normal(2), "not finite"),
    ],
)
def test_where_no_start_is_found_one_sentence_says_why(simulator, observation, prior, told):
    model = conditioned(simulator, observation, prior)
    with pytest.raises(InputError, match=told) as raised:
        model.starts(KEY, 3)
    assert ". " not in str(raised.value)


def _nearly_twice(angle, u):
    return jnp.stack([u[0], u[0] + angle * u[1]])


def test_gradients_that_rounding_cannot_tell_apart_are_one(dtype):
    smallest = 4 * jnp.finfo(dtype).eps ** 0.5
    for angle, regular in ((0.5, False), (2.0, True)):
        at = linearize(Partial(_nearly_twice, jnp.asarray(angle * smallest, dtype)), jnp.ones(3, dtype), dense=True)
        assert bool(_full_rank(at)) == regular


@pytest.mark.parametrize(
    ("simulator", "observation", "prior", "told"),
    [
        (_sum, [1.0, 2.0], standard_normal(3), r"shape \(2,\) and the simulator's output \(\)"),
        (lambda u: u, [1.0, 2.0], standard_normal(2), "2 outputs of 2 inputs"),
        (lambda u: jnp.outer(u, u), np.eye(2), standard_normal(2), "4 outputs of 2 inputs"),
        (lambda u: jnp.sum(u > 0), 1, standard_normal(2), "floating-point"),
        (lambda u: (u, u), 1.0, standard_normal(2), "floating-point"),
        (_sum, 1.0, dist.Normal(0, 1), r"shape \(\)"),
        (_sum, 1.0, dist.Poisson(jnp.ones(3)), "int32"),
        (_sum, 1.0, dist.Normal(0, 1).expand([2, 3]), r"shape \(2, 3\)"),
        (_sum, 1.0, 3.0, "the prior is 3.0"),
    ],
)
def test_what_cannot_be_conditioned_is_refused_in_one_sentence(simulator, observation, prior, told):
    with pytest.raises(InputError, match=told) as raised:
        conditioned(simulator, observation, prior)
    assert ". " not in str(raised.value)


def test_no_starts_are_not_to_be_asked_for():
    with pytest.raises(InputError, match="at least one"):
        conditioned(_sum, 1.0, standard_normal(2)).starts(KEY, 0)
