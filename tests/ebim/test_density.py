"""Normalised densities and independent samples of models whose laws are known."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats
from scipy.special import i0

from implicit_manifolds import (
    EBIM,
    Box,
    FitConfig,
    InputError,
    Manifold,
    fit,
    intersect,
    log_density,
    sample,
    translate,
)
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.cover import cover
from implicit_manifolds.volumes.importance import kept_once, log_normalizer
from implicit_manifolds.volumes.pools import Estimate

KAPPA = 2.0
BOX = Box(jnp.full(2, -1.4), jnp.full(2, 1.4))


def _tilted(kappa, x):
    return -kappa * x[0]


def _two_circles(x):
    shift = jnp.asarray([1.5, 0.0])
    return (jnp.sum((x - shift) ** 2, keepdims=True) - 1) * (jnp.sum((x + shift) ** 2) - 1)


def von_mises(scale=1.0, shift=(0.0, 0.0)):
    """The circle with exp(κ cos θ), normalised exactly, in units of `scale` about `shift`."""
    manifold, energy = charted(sphere(1.0), BOX, [[1.0, 0.0], [-1.0, 0.0]]), Partial(_tilted, jnp.asarray(KAPPA))
    exact = Estimate(math.log(2 * math.pi * i0(KAPPA)), 0.0)
    return EBIM(manifold, energy, Scaling(np.asarray(shift), scale), ChainScales(0.1), exact)


def charted(mdf, box, anchors):
    return cover(jax.random.key(5), Manifold(mdf, box, jnp.asarray(anchors)))


def test_the_normaliser_is_that_of_von_mises_to_its_standard_error():
    model = von_mises()
    found = log_normalizer(jax.random.key(0), pool_source(model.manifold), model.energy)
    assert found.standard_error <= 0.003
    assert abs(found.value - model.log_normalizer.value) <= 4 * found.standard_error


@pytest.mark.parametrize(("scale", "shift"), [(1.0, (0.0, 0.0)), (50.0, (1000.0, -3.0))])
def test_log_density_is_per_data_unit_and_comes_with_the_distance(scale, shift):
    angle = np.linspace(-3, 3, 7)
    points = np.asarray(shift) + 1.2 * scale * np.column_stack([np.cos(angle), np.sin(angle)])
    found = log_density(von_mises(scale, shift), points)
    expected = stats.vonmises.logpdf(angle, KAPPA) - math.log(scale)
    np.testing.assert_allclose(found.log_density, expected, atol=1e-4)
    np.testing.assert_allclose(found.distance, 0.2 * scale, rtol=1e-4)
    assert found.converged.all()


def test_a_model_without_normaliser_has_energies_but_no_log_density():
    model = replace(von_mises(), log_normalizer=None)
    found = log_density(model, [[1.0, 0.0]])
    assert np.isnan(found.log_density).all()
    np.testing.assert_allclose(found.energy, -KAPPA, atol=1e-5)
    assert sample(jax.random.key(0), model, 5, 3).method == "chains"


def test_independent_samples_follow_the_law_and_none_is_used_twice():
    drawn = sample(jax.random.key(0), von_mises(), 2000)
    assert drawn.method == "importance"
    assert drawn.effective_size >= 2000
    assert drawn.taken_fraction is None
    assert drawn.on_manifold.all()
    angle = np.arctan2(drawn.points[:, 1], drawn.points[:, 0])
    assert stats.kstest(angle, stats.vonmises(KAPPA).cdf).pvalue > 1e-3
    assert len(np.unique(drawn.points, axis=0)) == 2000


def test_models_move_as_one_and_their_points_keep_their_weights():
    model = von_mises(2.0, (10.0, 0.0))
    moved = translate(model, [0.0, 5.0])
    drawn = sample(jax.random.key(0), moved, 2000)
    angle = np.arctan2(drawn.points[:, 1] - 5.0, drawn.points[:, 0] - 10.0)
    assert stats.kstest(angle, stats.vonmises(KAPPA).cdf).pvalue > 1e-3
    points = sample(jax.random.key(1), model, 20).points
    np.testing.assert_allclose(
        log_density(moved, points + np.array([0.0, 5.0])).log_density, log_density(model, points).log_density, atol=1e-4
    )
    with pytest.raises(InputError, match="coordinates"):
        translate(model, [1.0, 2.0, 3.0])


def test_two_models_in_other_units_meet_where_both_vanish_with_their_energies_added():
    def on_sphere(scale, centre, slope):
        manifold = Manifold(sphere(1.0), Box(jnp.full(3, -1.5), jnp.full(3, 1.5)), jnp.asarray([[1.0, 0.0, 0.0]]))
        return EBIM(
            manifold, Partial(_tilted, jnp.asarray(slope)), Scaling(np.asarray(centre), scale), ChainScales(0.1)
        )

    # Unit spheres about (0, 0, ±1/2), one in units of 1 and one, twice as far, in units of 2 about (0, 0, 3/2).
    small, large = on_sphere(1.0, [0.0, 0.0, -0.5], 1.0), on_sphere(2.0, [0.0, 0.0, 1.0], 1.0)
    meeting = intersect(jax.random.key(0), small, large)
    assert meeting.manifold.codimension == 2
    drawn = sample(jax.random.key(1), meeting, 2000)
    assert drawn.method == "importance"
    np.testing.assert_allclose(np.linalg.norm(drawn.points - [0, 0, -0.5], axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(drawn.points - [0, 0, 1.0], axis=1), 2, atol=1e-4)
    # x² + y² = r² with energy -x - x/2: von Mises of concentration 3r/2.
    radius = np.sqrt(1 - ((1.5**2 + 1 - 4) / 3) ** 2)
    angle = np.arctan2(drawn.points[:, 1], drawn.points[:, 0])
    assert stats.kstest(angle, stats.vonmises(1.5 * radius).cdf).pvalue > 1e-3
    exact = stats.vonmises.logpdf(angle, 1.5 * radius) - np.log(radius)
    np.testing.assert_allclose(log_density(meeting, drawn.points).log_density, exact, atol=0.02)


def test_units_of_each_column_change_nothing_about_the_product_of_densities():
    def on_ellipsoid(centre):
        box, anchors = Box(jnp.full(3, -1.5), jnp.full(3, 1.5)), jnp.eye(3)
        scaling = Scaling(np.asarray(centre), np.array([8.0, 1.0, 1.0]))
        normalizer = Estimate(float(np.log(4 * np.pi)), 1e-3)
        return EBIM(Manifold(sphere(1.0), box, anchors), Partial(_tilted, 0.5), scaling, ChainScales(0.1), normalizer)

    low, high = on_ellipsoid([0.0, 0.0, 0.0]), on_ellipsoid([0.0, 0.0, 1.0])
    angle = np.linspace(-3, 3, 9)
    points = np.stack([8 * np.sqrt(0.75) * np.cos(angle), np.sqrt(0.75) * np.sin(angle), 0 * angle + 0.5], axis=1)
    together = log_density(intersect(jax.random.key(0), low, high), points).log_density
    apart = together - log_density(low, points).log_density - log_density(high, points).log_density
    np.testing.assert_allclose(apart, apart.mean(), atol=1e-3)


def test_samples_cross_between_components_wherever_the_anchors_are():
    region = Box(jnp.asarray([-2.7, -1.3]), jnp.asarray([2.7, 1.3]))
    manifold = charted(Partial(_two_circles), region, [[0.5, 0.0]])  # an anchor on the right circle alone
    model = replace(von_mises(), manifold=manifold, energy=Partial(_tilted, jnp.asarray(0.5)))
    right = (sample(jax.random.key(1), model, 3000).points[:, 0] > 0).mean()
    expected = 1 / (1 + math.exp(-0.5 * 3))  # I₀ cancels: the circles differ by exp(κ · shift)
    assert abs(right - expected) <= 4 * math.sqrt(expected * (1 - expected) / 3000)


def test_a_point_that_weighs_too_much_is_kept_for_certain_and_once():
    weights = np.asarray([100.0, 3.0, 2.0, 1.0, 1.0, 1.0])
    kept = np.asarray([kept_once(jax.random.key(seed), weights, 3) for seed in range(4000)])
    assert all(len(set(row)) == 3 for row in kept)
    shares = np.bincount(kept.ravel(), minlength=6) / 4000
    np.testing.assert_allclose(shares, [1, 0.75, 0.5, 0.25, 0.25, 0.25], atol=0.03)  # 3/8 · 2 and so on


def test_chains_can_be_asked_for_and_say_so():
    drawn = sample(jax.random.key(0), von_mises(), 50, 20, method="chains")
    assert drawn.method == "chains"
    assert drawn.effective_size is None
    assert drawn.taken_fraction > 0.9


def test_in_eleven_dimensions_there_is_no_likelihood_fit():
    points = np.random.default_rng(0).normal(size=(20, 11))
    with pytest.raises(InputError, match="energy-loss"):
        fit(jax.random.key(0), points, 2, FitConfig(energy_loss="likelihood"))
