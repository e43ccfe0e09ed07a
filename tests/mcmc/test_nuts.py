"""No-U-turn trajectories on M: the law, and what breaks it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds import Box
from implicit_manifolds.manifold.analytic import sphere, stiefel, torus, torus_point
from implicit_manifolds.mcmc import ConstrainedNUTS, Reason, constrained_nuts
from tests.mcmc.laws import UNIFORM_ANGLE, angle_of, ellipse, final, follows, law_on, linear, quadratic


def test_von_mises_on_the_circle(dtype):
    sampler = ConstrainedNUTS(sphere(1.0), Partial(linear, np.array([-2.0, 0.0])), 0.5, max_depth=4)
    draws, _ = final(sampler, [-1.0, 0.0], 40, dtype)
    assert follows(angle_of(draws), scipy.stats.vonmises(2.0).cdf)


@pytest.mark.slow
def test_von_mises_fisher_in_ten_dimensions(dtype):
    slope = np.zeros(10)
    slope[0] = -10.0
    draws, _ = final(ConstrainedNUTS(sphere(1.0), Partial(linear, slope), 0.2), np.eye(10)[3], 20, dtype)
    assert follows(draws[:, 0], law_on(-1, 1, lambda t: np.exp(10 * t) * (1 - t**2) ** 3.5))
    across = draws[:, 4] / np.linalg.norm(draws[:, 1:], axis=1)
    assert follows(across, law_on(-1, 1, lambda t: (1 - t**2) ** 3))


def test_uniform_area_on_the_torus_with_steps_that_often_fail(dtype):
    sampler = ConstrainedNUTS(torus(1.0, 0.5), Partial(linear, np.zeros(3)), 0.5, max_depth=4)
    draws, shares = final(sampler, torus_point(0.0, np.pi, 1.0, 0.5), 60, dtype)
    assert shares[Reason.NOT_CONVERGED] > 0.1
    assert shares[Reason.NOT_REVERSIBLE] > 0.005
    tube = np.arctan2(draws[:, 2], np.hypot(draws[:, 0], draws[:, 1]) - 1)
    assert follows(tube, law_on(-np.pi, np.pi, lambda psi: 1 + 0.5 * np.cos(psi)))
    assert follows(angle_of(draws), UNIFORM_ANGLE)


@pytest.mark.slow
def test_haar_on_the_rotations(dtype):
    draws, _ = final(ConstrainedNUTS(stiefel(3), Partial(linear, np.zeros(9)), 0.35), np.eye(3).ravel(), 20, dtype)
    turn = np.arccos(np.clip((draws[:, [0, 4, 8]].sum(axis=1) - 1) / 2, -1, 1))
    assert follows(turn, law_on(0, np.pi, lambda t: 1 - np.cos(t)))


AXES = np.array([1.5, 0.75])


def on_ellipse(**choices):
    return ConstrainedNUTS(
        Partial(ellipse, AXES), Partial(quadratic, 0.5 * np.eye(2)), 0.3, measure="ambient", max_depth=4, **choices
    )


def _normal(t):
    return np.exp(-0.5 * (AXES[0] ** 2 * np.cos(t) ** 2 + AXES[1] ** 2 * np.sin(t) ** 2))


def test_a_normal_law_conditioned_on_an_ellipse_with_a_metric_and_in_half_of_it(dtype):
    draws, _ = final(on_ellipse(scale=np.array([[1.6, 0.0], [0.5, 0.6]])), [0.0, 0.75], 40, dtype)
    assert follows(angle_of(draws, AXES), law_on(-np.pi, np.pi, _normal))
    upper = Box(np.array([-2.0, 0.0]), np.array([2.0, 2.0]))
    draws, shares = final(on_ellipse(box=upper), [0.0, 0.75], 100, dtype)
    assert shares[Reason.OUT_OF_BOUNDS] > 0.05
    assert follows(angle_of(draws, AXES), law_on(0, np.pi, _normal))


def test_draws_without_their_weights_would_be_noticed(monkeypatch):
    honest = constrained_nuts._with_leaf
    monkeypatch.setattr(
        constrained_nuts, "_with_leaf", lambda subtree, leaf, error, *rest: honest(subtree, leaf, 0 * error, *rest)
    )
    sampler = ConstrainedNUTS(sphere(1.0), Partial(linear, np.array([-2.0, 0.0])), 1.0, max_depth=4)
    draws, _ = final(sampler, [-1.0, 0.0], 41)
    assert not follows(angle_of(draws), scipy.stats.vonmises(2.0).cdf)


def _flat(x):
    return jnp.zeros((), x.dtype)


@pytest.mark.slow
def test_a_trajectory_ends_at_half_a_turn_and_not_before():
    """On a great circle the ends move towards each other beyond π; doubling overshoots by less than a factor of 2."""
    sampler = ConstrainedNUTS(sphere(1.0), Partial(_flat), 0.05)
    state = sampler.init(jnp.asarray(np.eye(4)[0], jnp.float32))
    keys = jax.random.split(jax.random.key(0), 200)
    _, info = jax.vmap(sampler.step, (0, None))(keys, state)
    momentum = jax.vmap(lambda key: jax.random.normal(jax.random.split(key)[0], (4,)))(keys)
    speed = np.linalg.norm(momentum[:, 1:], axis=1)
    travelled = np.asarray(info.num_steps) * 0.05 * speed
    ended = np.asarray(info.num_steps) < 255
    assert (travelled[ended] > 0.5 * np.pi).all()  # a half that turned within itself is left out
    assert (travelled[ended] < 2.2 * np.pi).all()
    assert ended.mean() > 0.9


def test_a_start_that_is_not_finite_stays_and_says_so():
    sampler = ConstrainedNUTS(sphere(1.0), lambda x: jnp.nan * x[0], 0.3, max_depth=3)
    state, info = sampler.step(jax.random.key(0), sampler.init(jnp.array([1.0, 0.0])))
    assert info.reason == Reason.NON_FINITE
    np.testing.assert_array_equal(state.position, [1.0, 0.0])
    assert int(info.num_steps) == 0


def test_a_path_that_gains_energy_without_end_is_given_up_as_refused_by_it():
    start = jnp.asarray([0.0, -1.0])
    for steep, reason in ((1e7, Reason.ENERGY), (1.0, Reason.ACCEPTED)):  # a groove, from its ground
        energy = Partial(quadratic, jnp.diag(jnp.asarray([steep, 0.0])))
        sampler = ConstrainedNUTS(sphere(1.0), energy, 0.05, max_depth=1)
        _, info = sampler.step(jax.random.key(0), sampler.init(start))
        assert info.reason == reason, steep


def test_new_parameters_and_step_sizes_compile_nothing():
    traces = []

    def counted(slope, x):
        traces.append(1)
        return slope * x[0]

    step = jax.jit(lambda sampler, key, state: sampler.step(key, state))
    sampler = ConstrainedNUTS(sphere(1.0), Partial(counted, 1.0), 0.3, max_depth=3)
    state = sampler.init(jnp.array([1.0, 0.0]))
    step(sampler, jax.random.key(0), state)
    seen = len(traces)
    step(replace(sampler, energy=Partial(counted, 2.0), step_size=0.1), jax.random.key(1), state)
    assert len(traces) == seen
