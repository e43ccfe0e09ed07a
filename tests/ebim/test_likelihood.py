"""Maximum likelihood against pools: gradients, folds, early stopping, and the trap of a fixed pool."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats
from scipy.special import i0

from implicit_manifolds import Box, LikelihoodConfig, Manifold
from implicit_manifolds.ebim.kernels import (
    FoldDensities,
    KernelEnergy,
    bandwidths,
    held_out_densities,
    kernel_energy,
    masses,
    mixture_weights,
)
from implicit_manifolds.ebim.likelihood import (
    LikelihoodObjective,
    _stacked,
    fit_likelihood,
    likelihood_loss,
    normalised,
    volume_points,
)
from implicit_manifolds.ebim.members import FoldedPoints, folds, initial_members
from implicit_manifolds.ebim.survey import Survey
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.networks.mixtures import EnergyMixture, PiecewiseMixture
from implicit_manifolds.training.loop import train_afresh
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.cover import cover
from implicit_manifolds.volumes.pools import Pool, PoolSource

BOX = Box(jnp.full(2, -1.4), jnp.full(2, 1.4))
QUICK = LikelihoodConfig(hidden=(16,), features=8, members=2, num_steps=200, pool_size=1000, held_out=4000)


def circle(angle):
    return jnp.asarray(np.column_stack([np.cos(angle), np.sin(angle)]), jnp.float32)


def von_mises(seed, count, kappa=2.0):
    return circle(np.random.default_rng(seed).vonmises(0.0, kappa, count))


def pool_of(points, length=2 * np.pi):
    """Points that stand for equal parts of a curve of this length."""
    return Pool(np.asarray(points), np.full(len(points), length / len(points)), np.arange(len(points)) % 2, 2, 0, 0.0)


def uniform(seed, count):
    return pool_of(circle(np.random.default_rng(seed).uniform(-np.pi, np.pi, count)))


def surveyed(points, members=2):
    found = FoldedPoints(np.asarray(points), np.arange(len(points)) % members)
    manifold = cover(jax.random.key(0), Manifold(sphere(1.0), BOX))
    return Survey(manifold, FoldDensities(found, held_out_densities(*found, 1), 1))


def fit_surveyed(points, config):
    """`fit_likelihood` of points of the unit circle: the energy and the history."""
    found = surveyed(points)
    return fit_likelihood(jax.random.key(0), pool_source(found.manifold), found.data, config)


def test_the_loss_is_the_negative_log_likelihood():
    pool = volume_points(pool_of(circle(np.linspace(-np.pi, np.pi, 2001)[:-1])), 2100)
    points = von_mises(0, 50)

    def loss(offset, points, weights=None):
        total, terms = likelihood_loss(lambda x: offset - 2.0 * x[0], points, *pool, weights)
        assert float(total) == pytest.approx(float(terms["data"] + terms["log_z"]))
        return float(total)

    exact = -stats.vonmises.logpdf(np.arctan2(*np.asarray(points).T[::-1]), 2.0).mean()
    assert loss(0.0, points) == pytest.approx(exact, abs=1e-4)
    first_ten = jnp.asarray([1.0] * 10 + [0.0] * 40)
    assert loss(0.0, points, first_ten) == pytest.approx(loss(0.0, points[:10]), abs=1e-5)
    assert loss(1e4, points) == pytest.approx(loss(0.0, points), abs=1e-2)  # no overflow, and no constant matters


def test_a_fit_comes_near_the_true_density_of_von_mises():
    points, fresh = von_mises(1, 1000), von_mises(2, 20_000)
    energy, history = fit_surveyed(points, QUICK)
    found = -np.asarray(jax.jit(jax.vmap(energy))(fresh))
    divergence = (stats.vonmises.logpdf(np.arctan2(*np.asarray(fresh).T[::-1]), 2.0) - found).mean()
    assert abs(divergence) <= 0.03  # normalised: no log Z is added
    assert history.terms["loss"][-1] < history.terms["loss"][0]


def _leaning(slope, x):
    return -jnp.vdot(slope, x)


def test_a_mixture_has_of_networks_and_of_kernels_the_shares_that_folds_ask_for():
    # Pairs of points of an even law; the members' densities are of von Mises' kind, not normalised.
    angle = np.repeat(np.random.default_rng(0).uniform(-np.pi, np.pi, 200), 2)
    points = np.asarray(circle(angle + 1e-2 * (np.arange(400) % 2)))
    fold = np.arange(400) % 2
    data = FoldDensities(FoldedPoints(points, fold), held_out_densities(points, fold, 1), 1)
    members = Partial(_leaning, jnp.asarray([[0.3, 0.0], [0.0, 0.5]]))
    pool = pool_of(circle(np.linspace(-np.pi, np.pi, 4001)[:-1]))
    alone, mixed = (normalised(members, data, pool, with_kernel) for with_kernel in (False, True))
    assert alone.kernel is None
    assert mixed.kernel is not None
    at = jnp.asarray(pool.points[::10])
    density = lambda energy: np.exp(-np.asarray(jax.vmap(energy)(at), np.float64))
    angles = np.arctan2(*np.asarray(at).T[::-1])
    exact = (stats.vonmises.pdf(angles, 0.3) + stats.vonmises.pdf(angles, 0.5, np.pi / 2)) / 2
    np.testing.assert_allclose(density(alone), exact, rtol=1e-4)
    # Beside the networks' share of their density stands the rest, shared by kernels that integrate to one.
    log_z = np.log(2 * np.pi * i0([0.3, 0.5]))
    unseen = np.where(fold, points[:, 1] * 0.5 - log_z[1], points[:, 0] * 0.3 - log_z[0])
    network, multiples = _stacked(np.exp(unseen), data.densities / masses(points, 1, pool))
    assert 0 < network < 0.9
    rest = density(mixed) - network * exact
    kernels = density(kernel_energy(points, multiples / masses(points, 1, pool), 1))
    np.testing.assert_allclose(rest.mean() * 2 * np.pi, 1 - network, rtol=0.03)
    np.testing.assert_allclose(rest, kernels * (rest.mean() / kernels.mean()), atol=1e-4)


@pytest.mark.slow
def test_kernels_are_mixed_in_where_held_out_points_ask_for_them():
    # Points that come in tight pairs: no smooth energy sees that.
    angle = np.random.default_rng(0).vonmises(0.0, 2.0, 201)  # odd: pairs are split by the folds
    pairs = circle(np.concatenate([angle, angle + 0.01 * np.random.default_rng(1).normal(size=201)]))
    energy, _ = fit_surveyed(pairs, QUICK)
    assert energy.kernel is not None
    grid = circle(np.linspace(-np.pi, np.pi, 40_001)[:-1])
    density = np.exp(-np.asarray(jax.jit(lambda e, x: jax.lax.map(e, x, batch_size=500))(energy, grid), np.float64))
    assert density.mean() * 2 * np.pi == pytest.approx(1, abs=0.02)
    alone, _ = fit_surveyed(pairs, replace(QUICK, kernel=False))
    assert alone.kernel is None
    smooth, _ = fit_surveyed(von_mises(1, 400), QUICK)
    assert smooth.kernel is None


def test_kernels_that_reach_round_a_circle_integrate_to_more_than_one():
    even = circle(np.linspace(-np.pi, np.pi, 201)[:-1])
    found = masses(np.asarray(even), 1, pool_of(circle(np.linspace(-np.pi, np.pi, 2001)[:-1])))
    assert bandwidths(np.asarray(even))[-1, 0] == 1.0
    np.testing.assert_allclose(found[:3], 1, atol=2e-3)
    # Of width one on a unit circle: the integral of exp(cos θ - 1)/√(2π).
    np.testing.assert_allclose(found[-1], math.sqrt(2 * math.pi) * math.exp(-1) * i0(1), rtol=1e-3)


def test_equal_points_share_a_fold_and_folds_are_even():
    points = von_mises(0, 60)
    repeated = np.concatenate([points, points[:30], points[:30]])
    fold = folds(np.random.default_rng(0), repeated, 5)
    np.testing.assert_array_equal(fold[:30], fold[60:90])
    np.testing.assert_array_equal(fold[:30], fold[90:])
    np.testing.assert_array_equal(np.bincount(fold[:60]), 12)


@pytest.mark.slow
def test_a_member_does_not_see_its_own_fold_and_its_best_parameters_are_kept():
    data = FoldedPoints(jnp.asarray(von_mises(0, 40)), jnp.asarray(np.arange(40) % 2))
    members = initial_members(jax.random.key(0), 2, replace(QUICK, hidden=(8,), features=4, bandwidths=(1.0,)))
    config = replace(QUICK, pool_batch=50)
    held_out = volume_points(pool_of(circle(np.linspace(-3, 3, 500))), 500)
    source = PoolSource(lambda key, count: uniform(int(jax.random.key_data(key)[1]), count))
    objective = LikelihoodObjective(data, held_out, source, config)

    def first_losses(data):
        return jax.grad(lambda m: objective.loss(jax.random.key(1), m, data, held_out)[0])(members)

    moved = FoldedPoints(data.points.at[::2].set(jnp.asarray([0.0, 1.0])), data.fold)  # the points of fold 0
    for before, after in zip(*map(jax.tree.leaves, (first_losses(data), first_losses(moved))), strict=True):
        np.testing.assert_array_equal(before[0], after[0])
    memory = objective.refresh(jax.random.key(2), members, objective.initial_memory(jax.random.key(3), members))
    worse = jax.tree.map(lambda leaf: leaf * jnp.nan, members)
    kept = objective.refresh(jax.random.key(4), worse, memory)
    for before, after in zip(*map(jax.tree.leaves, (members, kept.best.members)), strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.isfinite(kept.best.losses).all()
    assert not np.array_equal(kept.pool.points, memory.pool.points)


@pytest.mark.slow
def test_a_fixed_pool_is_gamed_and_an_independent_one_shows_it():
    rich = replace(QUICK, hidden=(64,), features=64, bandwidths=(40.0,), pool_size=150, pool_batch=150, num_steps=600)
    points = von_mises(1, 100)
    data = FoldedPoints(points, jnp.asarray(np.arange(100) % 2))
    fixed, honest = uniform(7, 150), volume_points(uniform(3, 20_000), 20_000)
    members = initial_members(jax.random.key(0), 2, rich)
    objective = LikelihoodObjective(data, honest, PoolSource(lambda key, count: fixed), rich)
    state, _ = train_afresh("fixed", jax.random.key(0), members, objective, data, rich)
    last = jax.tree.map(lambda leaf: leaf[0], state.model)
    gamed, _ = likelihood_loss(last, points, *volume_points(fixed, 150))
    assert likelihood_loss(last, points, *honest)[0] - gamed > 0.3
    best = jax.tree.map(lambda leaf: leaf[0], state.memory.best.members)  # what early stopping on fresh points keeps
    validated, _ = likelihood_loss(best, points[::2], *honest)
    assert validated < likelihood_loss(last, points[::2], *honest)[0]


def test_another_source_of_pools_compiles_nothing_again():
    assert PoolSource(lambda key, count: uniform(0, count)) == PoolSource(lambda key, count: uniform(1, count))
    assert hash(PoolSource(len)) == hash(PoolSource(max))


def test_the_energy_of_a_mixture_is_that_of_the_mean_density():
    one = Partial(lambda shift, x: jnp.sum((x - shift) ** 2), jnp.zeros(2))
    members = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 1.0]), one)
    kernel = KernelEnergy(jnp.asarray([[0.5, 0.5]]), jnp.asarray([[0.3]]), jnp.ones(1), 2)
    mixture = EnergyMixture(members, kernel, jnp.log(jnp.asarray([0.2, 0.3, 0.5])))
    x = jnp.asarray([0.4, 0.7])
    normal = stats.multivariate_normal([0.5, 0.5], 0.09 * np.eye(2)).pdf(x)
    expected = 0.2 * np.exp(-0.65) + 0.3 * np.exp(-0.45) + 0.5 * normal
    assert float(mixture(x)) == pytest.approx(-np.log(expected), abs=1e-5)
    parts = PiecewiseMixture(members, jnp.eye(2), jnp.arange(2), jnp.log(jnp.asarray([[0.5, 0.5], [0.1, 0.2]])))
    assert float(parts(x)) == pytest.approx(-np.log(0.1 * np.exp(-0.65) + 0.2 * np.exp(-0.45)), abs=1e-5)


def test_stacking_finds_the_weights_of_a_known_mixture():
    x = np.random.default_rng(0).normal(size=4000) * np.where(np.arange(4000) % 4, 1.0, 0.1)
    columns = np.column_stack([stats.norm.pdf(x, scale=scale) for scale in (1.0, 0.1, 5.0)])
    np.testing.assert_allclose(mixture_weights(columns), [0.75, 0.25, 0.0], atol=0.03)
    hopeless = np.concatenate([columns, np.zeros((1, 3))])  # a point that no density reaches
    np.testing.assert_allclose(mixture_weights(hopeless), mixture_weights(columns), atol=1e-3)
    network, multiples = _stacked(columns[:, 0], columns[:, 1:])
    assert network == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(multiples, [0.25, 0.0], atol=0.03)
    network, multiples = _stacked(stats.norm.pdf(x), columns[:, :1])
    assert network == 1.0  # nothing is gained
    assert multiples.shape == (1,)


def test_held_out_kernel_densities_are_those_of_the_other_folds():
    points = np.asarray(von_mises(4, 60))
    fold = np.arange(60) % 3
    found = held_out_densities(points, fold, 1)
    for point in (0, 4, 59):  # one of each fold
        others = points[fold != point % 3]
        for row, widths in enumerate(bandwidths(others)):
            distance = np.linalg.norm(points[point] - others, axis=1)
            expected = stats.norm.pdf(distance, scale=widths).mean()
            assert found[point, row] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_kernels_are_weighed_by_what_they_integrate_to():
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, 400)
    points = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    even = np.linspace(-np.pi, np.pi, 4000, endpoint=False)
    pool = Pool(
        np.column_stack([np.cos(even), np.sin(even)]).astype(np.float32),
        np.full(4000, 2 * np.pi / 4000),
        np.arange(4000) % 16,
        16,
        0,
        0.0,
    )
    # A normal law of width h about a point of the circle, seen along chords: within h² of one where h is small.
    narrow = masses(points, 1, pool)[0]
    assert 1.0 <= narrow < 1.02
    weights = mixture_weights(np.array([[0.2, 1.0], [0.1, 1.0], [3.0, 1.0]]))
    np.testing.assert_allclose(weights.sum(), 1)
    best = max(np.linspace(0, 1, 10_001), key=lambda w: np.log(w * np.array([0.2, 0.1, 3.0]) + 1 - w).sum())
    np.testing.assert_allclose(weights[0], best, atol=1e-3)
