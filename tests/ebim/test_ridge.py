"""Learning ridges: losses against closed forms, dimensions of known spectra, and fits of what no zero set can be."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import implicit_manifolds as im
from implicit_manifolds.box import Box
from implicit_manifolds.ebim.density import fit_energy
from implicit_manifolds.ebim.dimension import (
    DenoisingConfig,
    denoise,
    denoised,
    denoising_loss,
    dimension,
    dimension_of,
)
from implicit_manifolds.ebim.holes import cut, filled, warn_of_holes
from implicit_manifolds.ebim.neighbourhoods import neighbourhoods, outward_steps
from implicit_manifolds.ebim.ridge import (
    RidgeConfig,
    RidgeFit,
    RidgeObjective,
    far_loss,
    first_order_distance,
    fit_ridge,
    trained,
)
from implicit_manifolds.errors import InputError
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.manifold.ridge import Ridge
from implicit_manifolds.scaling import standardization
from implicit_manifolds.volumes.manifold import Manifold
from implicit_manifolds.volumes.projected import projected

BRIEF = RidgeConfig(denoising=DenoisingConfig(hidden=(48, 48, 48), num_steps=1000, batch_size=512), num_steps=1500)


def moebius(random, count):
    """Points of a strip with one half turn, even in its two parameters."""
    turn, across = random.uniform(0, 2 * np.pi, count), random.uniform(-0.4, 0.4, count)
    wide = 1 + across * np.cos(turn / 2)
    return np.column_stack([wide * np.cos(turn), wide * np.sin(turn), across * np.sin(turn / 2)])


def _scaled(factor, x):
    return factor * x


def _diagonal(entries, x):
    return entries * x


def test_the_denoising_loss_is_that_of_a_normal_law_and_least_at_its_posterior_mean():
    spread, noise = 0.7, 0.4
    points = jnp.asarray(np.random.default_rng(0).normal(scale=spread, size=(100_000, 2)), jnp.float32)
    losses = {}
    for factor in (noise**2 / (spread**2 + noise**2), 0.0, 0.5):
        loss, _ = denoising_loss(jax.random.key(0), Partial(_scaled, factor), points, noise, noise)
        expected = (factor * spread / noise) ** 2 + (factor - 1) ** 2
        assert abs(loss - expected) < 0.02
        losses[factor] = float(loss)
    assert min(losses, key=lambda factor: losses[factor]) == next(iter(losses))


def test_scales_of_noise_are_even_in_their_logarithm():
    points = jnp.zeros((50_000, 1))
    # Of the zero field the loss is the mean of ε²; of F = x it is zero; of F = c it has c² E σ⁻².
    loss, _ = denoising_loss(jax.random.key(0), lambda x: x + 0.1, points, 0.1, 1.0)
    expected = 0.01 * (1 / 0.1**2 - 1) / (2 * np.log(10))
    assert abs(loss - expected) < 0.03 * expected


def test_losses_off_and_at_the_data_are_relative_errors_and_distances():
    data = jnp.asarray([[0.0, 0.0], [1.0, 0.0]])
    points = jnp.asarray([[0.1, 0.3], [2.0, 0.0]])
    assert far_loss(lambda x: x - data[(x[0] > 0.5).astype(int)], points, data, 0.01) < 1e-6
    assert abs(far_loss(lambda x: 0 * x, points, data, 1e-6) - 1) < 1e-5
    normal = jnp.diag(jnp.asarray([0.0, 1.0]))
    for slope in (0.5, 1.0, 3.0):
        found = first_order_distance(Partial(_diagonal, jnp.asarray([0.0, slope])), jnp.asarray([2.0, 0.2]), normal)
        assert abs(found - 0.2 * slope / np.sqrt(slope**2 + 0.01)) < 1e-6


def test_local_directions_of_a_plane_are_its_normal():
    random = np.random.default_rng(0)
    flat = np.linalg.qr(random.normal(size=(4, 2)))[0]
    points = random.normal(size=(60, 2)) @ flat.T
    expected = np.eye(4) - flat @ flat.T
    projectors, near, _ = neighbourhoods(points, 2, 9)
    np.testing.assert_allclose(projectors, np.tile(expected, (60, 1, 1)), atol=1e-10)
    assert near.shape == (60, 10)
    np.testing.assert_array_equal(near[:, 0], np.arange(60))


def test_edges_are_where_no_neighbour_is_on_one_side_and_steps_lead_out():
    random = np.random.default_rng(0)
    disc = np.sqrt(random.uniform(size=(1500, 1))) * (lambda v: v / np.linalg.norm(v, axis=1)[:, None])(
        random.normal(size=(1500, 2))
    )
    disc = np.column_stack([disc, 0.1 * disc[:, 0] ** 2])
    starts, steps = outward_steps(disc, neighbourhoods(disc, 1, 9))
    size = np.linalg.norm(starts[:, :2], axis=1)
    assert 60 < len(starts) < 200
    assert size.min() > 0.85
    outward = np.sum(starts[:, :2] * steps[:, :2], axis=1) / size / np.linalg.norm(steps, axis=1)
    assert outward.min() > 0.6
    ball = random.normal(size=(1500, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    assert len(outward_steps(ball, neighbourhoods(ball, 1, 9))[0]) == 0
    fading = random.normal(size=(1500, 2))
    fading = np.column_stack([fading, 0.1 * fading[:, 0] ** 2])
    assert len(outward_steps(fading, neighbourhoods(fading, 1, 9))[0]) == 0


def test_the_tips_of_a_thin_spheroid_are_no_edges():
    random = np.random.default_rng(0)
    height = random.uniform(-1, 1, 500)
    turn = random.uniform(0, 2 * np.pi, 500)
    width = 0.1 * np.sqrt(1 - height**2)
    spheroid = np.column_stack([height, width * np.cos(turn), width * np.sin(turn)])
    around = neighbourhoods(spheroid, 1, 9)
    assert len(outward_steps(spheroid, around._replace(thickness=0 * around.thickness))[0]) > 0
    assert len(outward_steps(spheroid, around)[0]) == 0


def _sphere_with_drift(x):
    """x less its nearest point of the unit sphere, and a drift along it near a pole, at most .05 where sin θ = .2."""
    size = jnp.linalg.norm(x)
    unit = x / size
    along = jnp.array([0.0, 0.0, 1.0]) - unit[2] * unit
    share = (1 - unit[2] ** 2) / 0.2**2
    return (size - 1) * unit + 0.05 / 0.2 * along * jnp.exp((1 - share) / 2) * (unit[2] > 0)


@pytest.mark.parametrize(
    ("width", "closed"),
    [pytest.param(0.3, True, marks=pytest.mark.slow), (0.55, False), pytest.param(1.2, False, marks=pytest.mark.slow)],
)
def test_a_hole_between_points_is_filled_and_what_is_wider_is_an_edge(width, closed):
    normal = np.random.default_rng(2).normal(size=(400, 3))
    sphere = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    points = jnp.asarray(sphere[sphere[:, 2] < np.cos(width)], jnp.float32)
    box = Box(-1.5 * jnp.ones(3), 1.5 * jnp.ones(3))
    ridge = Ridge(Partial(_sphere_with_drift), 1, 0.25, jnp.asarray(0.03))
    reach = filled(jax.random.key(0), ridge, points, box, 9).reach
    assert (0.045 < reach < 0.07) if closed else reach == ridge.reach


def _sphere_without_cap(width):
    normal = np.random.default_rng(3).normal(size=(1200, 3))
    points = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return points[points[:, 2] < np.cos(width)]


def test_a_hole_that_is_hardly_chance_is_told():
    manifold = Manifold(sphere(1.0), Box(-1.5 * jnp.ones(3), 1.5 * jnp.ones(3)))
    warn_of_holes(jax.random.key(1), manifold, _sphere_without_cap(0.0))  # a warning would be an error
    with pytest.warns(UserWarning, match="goes on over a place without points"):
        warn_of_holes(jax.random.key(1), manifold, _sphere_without_cap(0.35))


@pytest.mark.slow
def test_a_field_that_goes_on_over_an_abrupt_hole_is_trained_to_end_there():
    points = jnp.asarray(_sphere_without_cap(0.7), jnp.float32)
    box = Box(-1.5 * jnp.ones(3), 1.5 * jnp.ones(3))
    first, near, _ = neighbourhoods(np.asarray(points, float), 1, 9)
    none = jnp.zeros((0, 3))
    config = replace(BRIEF, num_steps=600)
    objective = RidgeObjective(points, jnp.asarray(first, jnp.float32), jnp.asarray(near), (none, none), box, 1, config)
    model, found = denoise(jax.random.key(0), points, config.denoising, name="denoising")
    ridge, history = trained("ridge", jax.random.key(1), model, objective, {})
    ended = cut(jax.random.key(2), RidgeFit(replace(ridge, reach=0.3), history, found, objective), points[:0])
    assert ended.ends
    for one, over in ((replace(ridge, reach=0.3), True), (ended.ridge, False)):
        found, usable = projected(one, _sphere_without_cap(0.0).astype(np.float32), box)
        assert (found[usable, 2] > np.cos(0.5)).any() == over
    assert projected(ended.ridge, points, box)[1].mean() > 0.99


def test_the_codimension_is_where_the_spectrum_has_its_gap():
    points = np.random.default_rng(0).normal(size=(20, 4))
    found = dimension_of(Partial(_diagonal, jnp.asarray([0.05, 0.98, 0.0, 0.9])), points, 0.02)
    assert (found.codimension, found.found, found.votes) == (2, True, 1.0)
    np.testing.assert_allclose(found.spectrum, [0.98, 0.9, 0.05, 0.0], atol=1e-6)
    alike = dimension_of(Partial(_diagonal, jnp.asarray([0.1, 0.15, 0.2, 0.05])), points, 0.02)
    assert not alike.found
    assert alike.votes == 0


@pytest.mark.slow
def test_points_that_fill_their_space_have_no_codimension():
    cloud = jnp.asarray(np.random.default_rng(0).normal(size=(1000, 2)), jnp.float32)
    with pytest.raises(InputError, match="fill their space"):
        dimension(jax.random.key(0), cloud, replace(BRIEF.denoising, num_steps=500))


@pytest.fixture(scope="module")
def strip():
    """A ridge through 1,000 points of a Möbius strip with no codimension given, its dimension, scaling and box."""
    points = moebius(np.random.default_rng(0), 1000)
    scaling, standard, box = standardization(points)
    ridge, _, found, _ = fit_ridge(jax.random.key(0), standard, standard[:0], None, box, BRIEF)
    return ridge, found, scaling, box


def test_a_moebius_strip_is_learned_with_its_dimension_and_ends_near_its_data(strip):
    ridge, found, scaling, box = strip
    assert (found.codimension, ridge.codimension) == (1, 1)
    assert found.votes > 0.9
    fresh = np.asarray(scaling.standardize(moebius(np.random.default_rng(1), 1000)))
    reached, usable = projected(ridge, fresh, box)
    assert usable.mean() > 0.99
    assert np.linalg.norm(reached - fresh, axis=1)[usable].mean() < 0.004
    # What points all over the box come to is on the strip or a little beyond its edge.
    low, high = (np.asarray(side) for side in box)
    ends, usable = projected(ridge, np.random.default_rng(2).uniform(low, high, (2000, 3)).astype(np.float32), box)
    truth = np.asarray(scaling.standardize(moebius(np.random.default_rng(3), 50_000)))
    away = np.min(np.linalg.norm(ends[usable][:200, None] - truth[None, ::10], axis=2), axis=1)
    assert usable.mean() > 0.2
    assert np.quantile(away, 0.9) < 0.15


def test_noisy_points_are_told_by_the_noise_that_shows_the_gap():
    random = np.random.default_rng(0)
    angle = random.uniform(0, 2 * np.pi, 1000)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) + random.normal(scale=0.05, size=(1000, 2))
    _, standard, _ = standardization(ring)
    _, found = denoised(jax.random.key(0), standard, BRIEF.denoising)
    assert found.codimension == 1
    assert found.noise > BRIEF.denoising.least_noise


@pytest.mark.slow
def test_an_arc_is_fitted_with_an_edge_normalised_saved_and_read_back(quick, tmp_path):
    angle = np.random.default_rng(0).uniform(0, np.pi, 600)
    arc = 3 * np.column_stack([np.cos(angle), 0.8 * np.sin(angle), 0.6 * np.sin(angle)])
    result = im.fit(jax.random.key(0), arc, None, replace(quick, manifold="ridge", ridge=BRIEF))
    model = result.model
    assert result.dimension.codimension == model.manifold.codimension == 2
    found = im.topology(model.manifold)
    assert [part.closed for part in found.components] == [False]
    assert "1 component, open" in im.describe(found)
    drawn = im.sample(jax.random.key(1), model, 500)
    assert drawn.on_manifold.all()
    assert np.abs(np.linalg.norm(drawn.points, axis=1) - 3).max() < 0.1
    length = im.draw_pool(jax.random.key(2), model.manifold, 5000).weights.sum() * float(model.scaling.scale)
    assert 3 * np.pi - 0.1 < length < 3 * np.pi + 0.8
    im.save(tmp_path / "arc", model)
    again = im.load(tmp_path / "arc")
    before, after = (im.log_density(one, arc[:50]).log_density for one in (model, again))
    np.testing.assert_allclose(before, after, rtol=1e-6)  # the normaliser is read back in float32
    with pytest.raises(im.InputError, match="presumes no edge"):
        fit_energy(
            jax.random.key(0), model.manifold, None, None, None, None, replace(quick, energy_loss="score-matching"), {}
        )
