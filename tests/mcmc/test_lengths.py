"""Lengths of trajectories that take turns, and their tuning."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import ConstrainedHMC, lengths, run, summary, warm_up
from implicit_manifolds.mcmc.constrained_hmc import _count
from implicit_manifolds.mcmc.lengths import _autocorrelation_time, _worth, tuned_lengths
from tests.mcmc.laws import angle_of, final, follows, linear


def _flat(x):
    return jnp.zeros((), x.dtype)


def test_lengths_take_turns_evenly_and_alike_in_all_chains():
    sampler = ConstrainedHMC(sphere(1.0), Partial(_flat), max_steps=5.0)
    state = sampler.init(jnp.array([1.0, 0.0]))
    counts = [int(_count(sampler, state._replace(turn=jnp.asarray(turn)))) for turn in range(64)]
    assert np.bincount(counts).tolist()[1:] == [13, 13, 13, 13, 12]
    starts = jnp.asarray(np.eye(2), jnp.float32)
    chains = run(0, sampler, starts, 7)
    assert chains.state.turn.tolist() == [7, 7]


def test_von_mises_by_turns(dtype):
    sampler = ConstrainedHMC(sphere(1.0), Partial(linear, np.array([-2.0, 0.0])), 0.4, max_steps=4.5)
    draws, _ = final(sampler, [-1.0, 0.0], 40, dtype)
    assert follows(angle_of(draws), scipy.stats.vonmises(2.0).cdf)


def test_a_draw_is_worth_what_its_correlation_with_the_next_leaves():
    random, share = np.random.default_rng(0), np.array([0.0, 0.5, 0.8])
    draws = np.empty((20_000, 4, 3))
    draws[0] = random.normal(size=(4, 3))
    for number in range(1, len(draws)):
        draws[number] = share * draws[number - 1] + np.sqrt(1 - share**2) * random.normal(size=(4, 3))
    assert _autocorrelation_time(draws) == pytest.approx(np.mean((1 + share) / (1 - share)), rel=0.05)
    assert _autocorrelation_time(-np.abs(draws[:, :, :0])) == 1.0
    alternating = np.where(np.arange(100) % 2, 1.0, -1.0)[:, None, None]
    assert _autocorrelation_time(alternating) == 1.0  # what is better than independent counts as that


def test_worth_a_step_falls_with_steps_that_lead_nowhere_new():
    # On a circle without forces a trajectory of half a turn ends opposite, and of a quarter turn at a right angle.
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, 64)
    starts = jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1), jnp.float32)
    sampler = ConstrainedHMC(sphere(1.0), Partial(_flat), jnp.asarray(0.1, jnp.float32), max_steps=jnp.asarray(1.0))
    sampler = jax.tree.map(jnp.asarray, sampler)
    states = jax.vmap(sampler.init)(starts, jax.random.split(jax.random.key(0), 64))
    worth = {}
    for steps in (1.0, 16.0):
        trial = replace(sampler, max_steps=jnp.asarray(steps, jnp.float32))
        last, worth[steps] = _worth(jax.random.key(1), trial, states, None)
        assert last.position.shape == (64, 2)
    # One step of .1 leaves cos(.1 ξ) of the place: a time of about 2 / .01 · .5; sixteen turns leave hardly any.
    assert worth[16.0] > 10 * worth[1.0]
    assert worth[1.0] == pytest.approx(1 / (400 * 1.5), rel=0.5)


@pytest.mark.parametrize(("best", "found"), [(3.6, 5 / 2**0.5), (14.0, 10 * 2**0.5), (0.1, 1.25), (1e9, 640 * 2**0.5)])
def test_the_length_worth_most_is_found_within_its_bounds_and_none_is_tried_twice(best, found, monkeypatch):
    tried = []

    def worth(key, sampler, states, mesh):
        tried.append(float(sampler.max_steps))
        return states + 1, -abs(np.log(tried[-1] / best))

    monkeypatch.setattr(lengths, "_worth", worth)
    sampler = ConstrainedHMC(sphere(1.0), Partial(_flat), jnp.asarray(0.1, jnp.float32), max_steps=5.0)
    tuned, states = tuned_lengths(jax.random.key(0), sampler, 0, None)
    assert float(tuned.max_steps) == pytest.approx(found)
    assert len(np.unique(tried)) == len(tried) == states


@pytest.mark.parametrize(("chains", "draws"), [(1, 400), (20, 100), (1000, 25)])
def test_a_pilot_has_as_many_draws_as_many_chains_need(chains, draws, monkeypatch):
    counts, random = [], np.random.default_rng(0)

    def pilot(sampler, key, states, count, mesh):
        counts.append(count)
        return states, random.normal(size=(count, chains, 2)).astype(np.float32)

    monkeypatch.setattr(lengths, "_pilot", pilot)
    sampler = ConstrainedHMC(sphere(1.0), Partial(_flat), jnp.asarray(0.1, jnp.float32), max_steps=jnp.asarray(3.0))
    _worth(jax.random.key(0), sampler, SimpleNamespace(position=np.zeros((chains, 2))), None)
    assert counts == [draws]


def _stretched(spread, x):
    return 0.5 * jnp.sum((x[1:] / spread) ** 2)


def _plane(x):
    return x[:1]


@pytest.mark.slow
def test_long_trajectories_are_found_where_scales_differ_and_short_ones_where_they_do_not():
    spread = jnp.array([1.0, 1.0, 12.0])
    starts = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32) * [0.0, 1.0, 1.0, 12.0]
    starts = jnp.asarray(starts, jnp.float32)
    sampler = ConstrainedHMC(_plane, Partial(_stretched, spread), max_steps=3.0)
    tuned = warm_up(0, sampler, starts, 300, metric="identity").sampler
    assert 12 < float(tuned.max_steps * tuned.step_size) < 60  # turning points lie at 12 π / 2
    told = summary(run(1, tuned, starts, 200))
    assert np.nanmax(told.r_hat) < 1.05
    assert np.isnan(told.r_hat[0])  # what F holds
    scaled = warm_up(0, sampler, starts, 300).sampler
    assert scaled.scale is not None
    assert float(scaled.max_steps) < float(tuned.max_steps) / 3


@pytest.mark.slow
def test_half_a_turn_misleads_no_length():
    """Of trajectories of half a turn all linear features alternate and look best; the square never changes."""
    starts = np.random.default_rng(0).normal(size=(300, 4))
    starts = (starts / np.linalg.norm(starts, axis=1, keepdims=True)).astype(np.float32)
    tuned = warm_up(0, ConstrainedHMC(sphere(1.0), Partial(_flat), max_steps=2.0), starts, 200).sampler
    chains = run(1, tuned, starts, 100)
    squares = chains._replace(positions=chains.positions**2)
    assert summary(squares).ess_bulk.min() > 0.2 * chains.positions[..., 0].size


@pytest.mark.slow
def test_a_resonant_number_of_steps_is_cured_by_turns():
    """Steps of a third of the period bring a normal law back to where it was in three: two thirds of turns do not."""
    starts = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    starts[:, 0] = 0
    normal = ConstrainedHMC(_plane, Partial(_stretched, jnp.ones(2)), 2 * np.sin(np.pi / 6), num_steps=6)
    assert summary(run(0, normal, starts, 100)).r_hat[1:].min() > 1.1  # six steps of a sixth of the period
    assert summary(run(0, replace(normal, max_steps=6.0), starts, 100)).r_hat[1:].max() < 1.03


def test_new_lengths_compile_nothing():
    traces = []

    def counted(x):
        traces.append(1)
        return jnp.zeros((), x.dtype)

    step = jax.jit(lambda sampler, key, state: sampler.step(key, state))
    sampler = ConstrainedHMC(sphere(1.0), Partial(counted), max_steps=3.0)
    state = sampler.init(jnp.array([1.0, 0.0]))
    step(sampler, jax.random.key(0), state)
    seen = len(traces)
    step(replace(sampler, max_steps=9.0), jax.random.key(0), state)
    assert len(traces) == seen
