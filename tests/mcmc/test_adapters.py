"""BlackJAX's loop drives our samplers unchanged; NumPyro's potentials and BlackJAX's log-densities become energies."""

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.stats
from jax.tree_util import Partial
from numpyro.infer.util import initialize_model

from implicit_manifolds import InputError
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import (
    ConstrainedHMC,
    ConstrainedLangevin,
    GeodesicLangevin,
    energy_from_log_density,
    energy_from_potential,
    run,
)


def _linear(slope, x):
    return jnp.vdot(slope, x)


def test_the_inference_loop_of_blackjax_drives_every_constrained_sampler_as_it_stands():
    energy = Partial(_linear, jnp.asarray([-2.0, 0.0]))
    for sampler in (
        ConstrainedHMC(sphere(1.0), energy, 0.5, num_steps=2),
        GeodesicLangevin(sphere(1.0), energy, 0.3),
        ConstrainedLangevin(sphere(1.0), energy, 0.3),
    ):
        last, (states, info) = blackjax.util.run_inference_algorithm(
            jax.random.key(0), sampler, 100, initial_position=jnp.asarray([0.6, 0.8])
        )
        assert states.position.shape == (100, 2)
        np.testing.assert_allclose(np.linalg.norm(states.position, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(last.position, states.position[-1])
        assert info.reason.shape == (100,)


def test_chains_driven_by_blackjax_have_the_exact_law():
    sampler = ConstrainedHMC(sphere(1.0), Partial(_linear, jnp.asarray([-2.0, 0.0])), 0.7, num_steps=2)

    def drive(key):
        start = jnp.asarray([-1.0, 0.0])
        return blackjax.util.run_inference_algorithm(key, sampler, 40, initial_position=start)[0].position

    last = np.asarray(jax.jit(jax.vmap(drive))(jax.random.split(jax.random.key(0), 2000)))
    angle = np.arctan2(last[:, 1], last[:, 0])
    assert scipy.stats.kstest(angle, scipy.stats.vonmises(2.0).cdf).pvalue > 1e-4


@pytest.mark.slow
def test_a_potential_of_numpyro_becomes_an_energy_in_one_line():
    def model(seen):
        centre = numpyro.sample("centre", dist.Normal(jnp.zeros(2), 2.0).to_event(1))
        numpyro.sample("seen", dist.Normal(centre[0], 1.0), obs=seen)

    found = initialize_model(jax.random.key(0), model, model_args=(jnp.asarray(1.5),))
    energy = energy_from_potential(found.potential_fn, like={"centre": jnp.zeros(2)})
    points = np.random.default_rng(0).normal(size=(5, 2))
    values = [float(energy(jnp.asarray(x))) for x in points]
    expected = [0.125 * x @ x + 0.5 * (x[0] - 1.5) ** 2 for x in points]
    np.testing.assert_allclose(np.subtract(values, values[0]), np.subtract(expected, expected[0]), rtol=1e-4, atol=1e-5)
    chains = run(jax.random.key(1), ConstrainedHMC(sphere(1.0), energy, 0.5), jnp.asarray([[1.0, 0.0]]), 3)
    assert np.isfinite(chains.positions).all()


def test_a_log_density_becomes_an_energy_of_the_other_sign_and_keeps_its_parameters_as_leaves():
    def log_density(position):
        return -2 * position["a"] + position["b"] ** 2

    energy = energy_from_log_density(log_density, like={"a": 0.0, "b": 0.0})
    np.testing.assert_allclose(energy(jnp.asarray([3.0, 2.0])), 2.0)
    plain = energy_from_log_density(Partial(_linear, jnp.asarray([1.0, 2.0])))
    np.testing.assert_allclose(plain(jnp.asarray([3.0, 2.0])), -7.0)
    assert [leaf.shape for leaf in jax.tree.leaves(plain)] == [(2,)]
    again = energy_from_log_density(Partial(_linear, jnp.asarray([3.0, 4.0])))
    assert jax.tree.structure(plain) == jax.tree.structure(again)  # so another one compiles nothing
    assert jax.tree.structure(energy) == jax.tree.structure(energy_from_log_density(log_density, {"a": 1.0, "b": 2.0}))


def test_a_point_of_another_size_than_the_position_is_refused():
    energy = energy_from_potential(lambda site: site["a"] ** 2, {"a": 0.0})
    with pytest.raises(InputError, match="3 entries and `like` 1"):
        energy(jnp.arange(3.0))
