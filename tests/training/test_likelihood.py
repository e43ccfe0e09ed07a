"""Maximum likelihood against pools: gradients, folds, early stopping, and the trap of a fixed pool."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from implicit_manifolds import LikelihoodConfig
from implicit_manifolds.fit_energy import _initial_members, fit_likelihood
from implicit_manifolds.losses.likelihood import likelihood_loss
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.training import likelihood
from implicit_manifolds.training.likelihood import Folded, LikelihoodObjective, folds
from implicit_manifolds.training.loop import train_afresh

BOX = (jnp.full(2, -1.4), jnp.full(2, 1.4))
QUICK = LikelihoodConfig(hidden=(16,), features=8, members=2, num_steps=200, pool_size=1000, held_out=4000)


def circle(angle):
    return jnp.asarray(np.column_stack([np.cos(angle), np.sin(angle)]), jnp.float32)


def von_mises(seed, count, kappa=2.0):
    return circle(np.random.default_rng(seed).vonmises(0.0, kappa, count))


def test_the_loss_is_the_negative_log_likelihood_less_the_log_volume():
    pool = circle(np.linspace(-np.pi, np.pi, 2001)[:-1])
    points = von_mises(0, 50)

    def loss(offset, points, weights=None):
        total, terms = likelihood_loss(lambda x: offset - 2.0 * x[0], points, pool, weights)
        assert float(total) == pytest.approx(float(terms["data"] + terms["log_mean"]))
        return float(total)

    exact = -stats.vonmises.logpdf(np.arctan2(*np.asarray(points).T[::-1]), 2.0).mean()
    assert loss(0.0, points) + np.log(2 * np.pi) == pytest.approx(exact, abs=1e-4)
    first_ten = jnp.asarray([1.0] * 10 + [0.0] * 40)
    assert loss(0.0, points, first_ten) == pytest.approx(loss(0.0, points[:10]), abs=1e-5)
    assert loss(1e4, points) == pytest.approx(loss(0.0, points), abs=1e-2)  # no overflow, and no constant matters


def test_a_fit_comes_near_the_true_density_of_von_mises():
    points, fresh = von_mises(1, 1000), von_mises(2, 20_000)
    energy, history = fit_likelihood(jax.random.key(0), sphere(1.0), jnp.asarray(points), BOX, QUICK)
    found = -np.asarray(jax.jit(jax.vmap(energy))(fresh))
    divergence = (stats.vonmises.logpdf(np.arctan2(*np.asarray(fresh).T[::-1]), 2.0) - found).mean()
    assert abs(divergence) <= 0.03  # normalised: no log Z is added
    assert history.terms["loss"][-1] < history.terms["loss"][0]


def test_equal_points_share_a_fold_and_folds_are_even():
    points = von_mises(0, 60)
    repeated = np.concatenate([points, points[:30], points[:30]])
    fold = folds(np.random.default_rng(0), repeated, 5)
    np.testing.assert_array_equal(fold[:30], fold[60:90])
    np.testing.assert_array_equal(fold[:30], fold[90:])
    np.testing.assert_array_equal(np.bincount(fold[:60]), 12)


def test_a_member_does_not_see_its_own_fold_and_its_best_parameters_are_kept():
    data = Folded(jnp.asarray(von_mises(0, 40)), jnp.asarray(np.arange(40) % 2))
    members = _initial_members(jax.random.key(0), (2, (8,), 4, (1.0,)), 2)
    config = replace(QUICK, pool_batch=50)
    held_out = jnp.asarray(circle(np.linspace(-3, 3, 500)))
    objective = LikelihoodObjective(sphere(1.0), *BOX, data, held_out, config)

    def first_losses(data):
        return jax.grad(lambda m: objective.loss(jax.random.key(1), m, data, held_out)[0])(members)

    moved = Folded(data.points.at[::2].set(jnp.asarray([0.0, 1.0])), data.fold)  # the points of fold 0
    for before, after in zip(*map(jax.tree.leaves, (first_losses(data), first_losses(moved))), strict=True):
        np.testing.assert_array_equal(before[0], after[0])
    memory = objective.between(jax.random.key(2), members, objective.initial_memory(jax.random.key(3), members))
    worse = jax.tree.map(lambda leaf: leaf * jnp.nan, members)
    kept = objective.between(jax.random.key(4), worse, memory)
    for before, after in zip(*map(jax.tree.leaves, (members, kept.best)), strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.isfinite(kept.losses).all()
    assert not np.array_equal(kept.pool, memory.pool)


def test_a_fixed_pool_is_gamed_and_an_independent_one_shows_it(monkeypatch):
    rich = replace(QUICK, hidden=(64,), features=64, bandwidths=(40.0,), pool_size=150, pool_batch=150, num_steps=600)
    points = jnp.asarray(von_mises(1, 100))
    data = Folded(points, jnp.asarray(np.arange(100) % 2))
    uniform = jnp.asarray(circle(np.random.default_rng(3).uniform(-np.pi, np.pi, 20_000)))
    draw = likelihood.pool_of_size
    monkeypatch.setattr(likelihood, "pool_of_size", lambda key, *rest: draw(jax.random.key(7), *rest))
    monkeypatch.setattr(likelihood, "host_generator", lambda key: np.random.default_rng(7))
    members = _initial_members(jax.random.key(0), (2, rich.hidden, rich.features, rich.bandwidths), 2)
    objective = LikelihoodObjective(sphere(1.0), *BOX, data, uniform[:4000], rich)
    state, _ = train_afresh(
        "fixed", jax.random.key(0), members, objective, data, rich, progress=False, checkpoint_dir=None
    )
    last = jax.tree.map(lambda leaf: leaf[0], state.model)
    gamed, _ = likelihood_loss(last, points, state.memory.pool)
    honest, _ = likelihood_loss(last, points, uniform)
    assert honest - gamed > 0.3
    best = jax.tree.map(lambda leaf: leaf[0], state.memory.best)  # what early stopping on fresh points keeps
    validated, _ = likelihood_loss(best, points[::2], uniform)
    assert validated < likelihood_loss(last, points[::2], uniform)[0]
