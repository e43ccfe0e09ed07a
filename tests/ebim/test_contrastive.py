import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds import Box, Manifold
from implicit_manifolds.ebim.contrastive import ContrastiveObjective, EnergyConfig, contrastive_loss, fit_contrastive
from implicit_manifolds.manifold.analytic import sphere

POINTS = np.random.default_rng(1).normal(size=(7, 3)) + 1
NEGATIVES = np.random.default_rng(2).normal(size=(5, 3)) - 1
SLOPE = np.array([0.5, -1.0, 2.0])


def value(linear_energy, slope, points=POINTS, negatives=NEGATIVES, **options):
    slope, points, negatives = (jnp.asarray(part) for part in (slope, points, negatives))
    return jax.jit(functools.partial(contrastive_loss, **options))(linear_energy(slope), points, negatives)


def test_every_term_matches_its_value_by_hand(dtype, linear_energy):
    arrays = [part.astype(dtype) for part in (SLOPE, POINTS, NEGATIVES)]
    loss, terms = value(linear_energy, *arrays, square_weight=0.3)
    low, high = POINTS @ SLOPE, NEGATIVES @ SLOPE
    by_hand = {"data": low.mean(), "negative": high.mean(), "square": (low**2).mean() + (high**2).mean()}
    assert terms.keys() == by_hand.keys()
    assert loss.dtype == dtype
    for name, expected in by_hand.items():
        np.testing.assert_allclose(terms[name], expected, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(loss, low.mean() - high.mean() + 0.3 * by_hand["square"], rtol=1e-5)
    unless_told, _ = value(linear_energy, *arrays)
    np.testing.assert_allclose(unless_told, low.mean() - high.mean() + 0.1 * by_hand["square"], rtol=1e-5)


def test_the_gradient_is_the_difference_of_means_plus_the_penalty(x64, linear_energy):
    gradient = jax.grad(lambda slope: value(linear_energy, slope, square_weight=0.3)[0])(jnp.asarray(SLOPE))
    low, high = POINTS @ SLOPE, NEGATIVES @ SLOPE
    by_hand = POINTS.mean(axis=0) - NEGATIVES.mean(axis=0)
    by_hand = by_hand + 0.3 * 2 * ((low[:, None] * POINTS).mean(axis=0) + (high[:, None] * NEGATIVES).mean(axis=0))
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-10)


def test_a_gradient_step_lowers_the_energy_of_the_data_against_the_negatives(linear_energy):
    gradient = jax.grad(lambda slope: value(linear_energy, slope, square_weight=0.0)[0])(jnp.zeros(3))
    _, terms = value(linear_energy, -0.1 * gradient)
    assert terms["data"] < terms["negative"]


def test_no_gradient_flows_into_the_negatives_but_it_does_into_the_points(linear_energy):
    def loss(points, negatives):
        return value(linear_energy, SLOPE, points, negatives)[0]

    by_points, by_negatives = jax.grad(loss, argnums=(0, 1))(jnp.asarray(POINTS), jnp.asarray(NEGATIVES))
    np.testing.assert_array_equal(by_negatives, np.zeros_like(NEGATIVES))
    assert (np.abs(by_points) > 1e-3).any()


def test_it_is_the_gradient_of_the_log_likelihood_when_the_negatives_follow_the_model(x64):
    # Three states with energies θ: the negative log-likelihood of the frequencies f has gradient f - softmax(-θ).
    def energy_of(theta):
        return lambda x: jnp.vdot(theta, x)

    theta = jnp.asarray([0.0, np.log(2.0), np.log(4.0)])  # model frequencies 4/7, 2/7, 1/7
    states = jnp.eye(3)
    points = states[jnp.asarray([0, 1, 1, 2, 2, 2])]
    negatives = states[jnp.asarray([0, 0, 0, 0, 1, 1, 2])]
    gradient = jax.grad(lambda t: contrastive_loss(energy_of(t), points, negatives, square_weight=0.0)[0])(theta)

    def likelihood(t):
        return jnp.mean(points @ t) + jax.nn.logsumexp(-t)

    np.testing.assert_allclose(gradient, jax.grad(likelihood)(theta), atol=1e-12)


STARTS = np.asarray([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], np.float32)


def objective(mdf=sphere(1.0), **choices):
    box = Box(jnp.full(2, -1.5), jnp.full(2, 1.5))
    config = EnergyConfig(buffer_size=60, noise_scale=0.2, langevin_steps=3, **choices)
    return ContrastiveObjective(mdf, jnp.asarray(STARTS), box, config)


def test_the_buffer_begins_with_any_of_the_starts(linear_energy):
    memory = objective().initial_memory(jax.random.key(0), linear_energy(jnp.zeros(2)))
    assert memory.shape == (60, 2)
    counts = (memory[:, None] == STARTS[None]).all(axis=2).sum(axis=0)
    assert counts.sum() == 60
    assert (counts > 5).all()  # 20 each: by chance once in 30,000


@pytest.mark.parametrize("solver", ["quasi-newton", "scaled-chord", "gradient-descent"])
def test_negatives_lie_on_m_where_the_energy_is_low_and_go_into_the_buffer(solver, linear_energy):
    made = objective(solver=solver, replay_fraction=0.5)
    energy = linear_energy(jnp.asarray([0.0, -20.0]))
    memory = made.initial_memory(jax.random.key(0), energy)
    sample = jax.jit(made.sample, static_argnums=3)
    for number in range(8):
        negatives, memory = sample(jax.random.key(number), energy, memory, 30)
        np.testing.assert_allclose(jnp.linalg.norm(negatives, axis=1), 1, atol=1e-3)
        assert (memory[:, None] == negatives[None]).all(axis=2).any(axis=0).all()
    assert (negatives[:, 1]).mean() > STARTS[:, 1].mean() + 0.2


def test_without_an_mdf_chains_are_ambient_and_stay_in_the_box(linear_energy):
    made = objective(None, drift_scale=0.5)
    energy = linear_energy(jnp.asarray([5.0, -5.0]))
    memory = made.initial_memory(jax.random.key(0), energy)
    negatives, _ = jax.jit(made.sample, static_argnums=3)(jax.random.key(0), energy, memory, 30)
    np.testing.assert_allclose(negatives.min(axis=0)[0], -1.5)
    assert (abs(negatives) <= 1.5).all()


def test_a_fit_learns_the_energy_of_von_mises_but_for_what_its_penalty_takes():
    random = np.random.default_rng(0)
    points, starts = (
        jnp.asarray(np.column_stack([np.cos(angle), np.sin(angle)]), jnp.float32)
        for angle in (random.vonmises(0.0, 2.0, 1000), random.uniform(-np.pi, np.pi, 500))
    )
    manifold = Manifold(sphere(1.0), objective().box)
    config = EnergyConfig(hidden=(16,), num_steps=300, buffer_size=500)
    energy, history = fit_contrastive(jax.random.key(0), manifold, points, starts, config)
    found, exact = np.asarray(jax.vmap(energy)(starts)), -2 * np.asarray(starts[:, 0])
    assert np.corrcoef(found, exact)[0, 1] > 0.98
    assert 0.6 < np.polyfit(exact, found, 1)[0] < 1  # squares of energies are penalised, so they are smaller
    assert len(history.terms["loss"]) > 0
