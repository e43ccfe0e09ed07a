"""What holds of any level set, ridge, energy and unit: drawn at random, and shrunk to the simplest that fails."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax.tree_util import Partial

import implicit_manifolds as im
from experiments.reliability.models import model_of, ring
from implicit_manifolds.manifold import Ridge, linearize, nearest_point, project, tangent_projection
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import ConstrainedHMC
from implicit_manifolds.mcmc.constrained_hmc import _trajectory
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.importance import log_normalizer

SEEDS = st.integers(0, 2**32 - 1)
OFTEN = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SELDOM = settings(OFTEN, max_examples=6)


def orthogonal(random, dimension):
    """Turned, mirrored, with coordinates in another order."""
    return np.linalg.qr(random.normal(size=(dimension, dimension)))[0][random.permutation(dimension)]


def _turned_quadric(curvature, slope, offset, turn, x):
    inner = turn.T @ x
    return jnp.einsum("kij,i,j->k", curvature, inner, inner) + slope @ inner - offset


def quadric(random, turn=None):
    """A random quadratic F: R^4 -> R^2 in coordinates that are turned, and a zero of it."""
    curvature, zero = 0.15 * random.normal(size=(2, 4, 4)), 0.3 * random.normal(size=4)
    slope = np.linalg.qr(random.normal(size=(4, 2)))[0].T * random.uniform(0.5, 2, size=(2, 1))
    offset = np.einsum("kij,i,j->k", curvature, zero, zero) + slope @ zero
    turn = np.eye(4) if turn is None else turn
    return Partial(_turned_quadric, *map(jnp.asarray, (curvature, slope, offset, turn))), turn @ zero


@jax.jit
def searched(mdf, x):
    found = nearest_point(mdf, x)
    return project(mdf, x), found, nearest_point(mdf, found.position), project(mdf, found.position)


@OFTEN
@given(seed=SEEDS)
def test_projections_are_idempotent_and_none_is_nearer_than_the_nearest(seed, x64):
    random = np.random.default_rng(seed)
    mdf, zero = quadric(random)
    x = zero + 0.3 * random.normal(size=4)
    some, nearest, again, projected = searched(mdf, jnp.asarray(x))
    if not (some.converged and nearest.converged):
        return
    assert nearest.distance <= np.linalg.norm(some.position - x) + 1e-9
    assert nearest.curvature > 0
    np.testing.assert_allclose(again.position, nearest.position, atol=1e-9)
    np.testing.assert_allclose(projected.position, nearest.position, atol=1e-9)
    np.testing.assert_allclose(again.curvature, 1, atol=1e-6)


@jax.jit
def about(sampler, x, probe):
    """What turns with the coordinates: nearest point, tangent part, where a trajectory leads; and back again."""
    near = nearest_point(sampler.mdf, x)
    start = sampler.init(near.position)
    momentum = tangent_projection(sampler.mdf, linearize(sampler.mdf, near.position), probe)
    there = _trajectory(sampler, start._replace(momentum=momentum))[0]
    back = _trajectory(sampler, there._replace(momentum=-there.momentum))[0]
    return near, momentum, there, back


def _tilted(slope, turn, x):
    inner = turn.T @ x
    return slope @ inner + jnp.sum(inner**4)


def sampler_of(mdf, slope, turn):
    return ConstrainedHMC(mdf, Partial(_tilted, jnp.asarray(slope), jnp.asarray(turn)), 0.05, num_steps=4)


@OFTEN
@given(seed=SEEDS)
def test_turned_mirrored_and_reordered_coordinates_change_nothing_else(seed, x64):
    turn = orthogonal(np.random.default_rng(seed), 4)
    random, again = np.random.default_rng(seed), np.random.default_rng(seed)
    (mdf, zero), (turned, _) = quadric(random), quadric(again, turn)
    x, probe, slope = zero + 0.2 * random.normal(size=4), random.normal(size=4), random.normal(size=4)
    plain = about(sampler_of(mdf, slope, np.eye(4)), jnp.asarray(x), jnp.asarray(probe))
    moved = about(sampler_of(turned, slope, turn), jnp.asarray(turn @ x), jnp.asarray(turn @ probe))
    if not (plain[0].converged and moved[0].converged):
        return
    np.testing.assert_allclose(moved[0].position, turn @ plain[0].position, atol=1e-7)
    np.testing.assert_allclose(moved[0].curvature, plain[0].curvature, atol=1e-6)
    np.testing.assert_allclose(moved[1], turn @ plain[1], atol=1e-7)
    np.testing.assert_allclose(moved[2].position, turn @ plain[2].position, atol=1e-6)
    np.testing.assert_allclose(moved[2].momentum, turn @ plain[2].momentum, atol=1e-6)
    np.testing.assert_allclose(moved[2].potential, plain[2].potential, atol=1e-6)
    # And each trajectory, turned round, leads back.
    np.testing.assert_allclose(plain[3].position, plain[0].position, atol=1e-7)
    np.testing.assert_allclose(-plain[3].momentum, plain[1], atol=1e-7)


def _off_circle(turn, centre, radius, x):
    """X less the nearest point of a circle in space."""
    inner = turn.T @ (x - centre)
    return turn @ inner.at[:2].add(-radius * inner[:2] / jnp.linalg.norm(inner[:2]))


@jax.jit
def of_ridge(ridge, x):
    return project(ridge, x), nearest_point(ridge, x)


@pytest.mark.slow
@OFTEN
@given(seed=SEEDS, size=st.sampled_from([1e-3, 1.0, 1e3]))
def test_ridges_of_circles_anywhere_are_those_circles(seed, size, x64):
    random = np.random.default_rng(seed)
    turn, centre, radius = orthogonal(random, 3), size * random.normal(size=3), size * random.uniform(0.5, 2)
    ridge = Ridge(Partial(_off_circle, jnp.asarray(turn), jnp.asarray(centre), radius), 2, reach=jnp.asarray(size))
    angle, away = random.uniform(-np.pi, np.pi), 0.2 * radius * random.normal(size=2)
    outwards = np.array([np.cos(angle), np.sin(angle), 0])
    expected = centre + turn @ (radius * outwards)
    x = expected + turn @ (away[0] * outwards + np.array([0, 0, away[1]]))
    projected, nearest = of_ridge(ridge, jnp.asarray(x))
    assert nearest.converged
    assert projected.converged
    tolerance = 1e-8 * (1 + np.linalg.norm(centre) + radius)
    np.testing.assert_allclose(nearest.position, expected, atol=tolerance)
    np.testing.assert_allclose(projected.position, expected, atol=tolerance)
    np.testing.assert_allclose(nearest.distance, np.linalg.norm(away), atol=tolerance)
    np.testing.assert_allclose(nearest.curvature, 1 + away[0] / radius, rtol=1e-4)


BALL = model_of(sphere(1.0), ring(400, 3))


@SELDOM
@given(seed=SEEDS, power=st.integers(-20, 20))
def test_in_other_units_everything_scales(seed, power):
    random, unit = np.random.default_rng(seed), 2.0**power  # a millionth to a million, without rounding
    here, scaled = (replace(BALL, scaling=Scaling(size * np.arange(3.0), np.float64(size))) for size in (1.0, unit))
    points = np.arange(3.0) + random.normal(size=(20, 3))
    near, far = im.nearest_points(here, points), im.nearest_points(scaled, unit * points)
    np.testing.assert_allclose(far.points, unit * near.points, rtol=1e-6)
    np.testing.assert_allclose(far.distance, unit * near.distance, rtol=1e-5)
    np.testing.assert_array_equal(far.converged, near.converged)
    log_unit = BALL.manifold.dimension * np.log(unit)
    logs = [im.log_density(model, size * points).log_density for model, size in ((here, 1.0), (scaled, unit))]
    np.testing.assert_allclose(logs[1] + log_unit, logs[0], atol=1e-4)
    key = jax.random.key(seed % 1000)
    np.testing.assert_allclose(im.sample(key, scaled, 50).points, unit * im.sample(key, here, 50).points, rtol=1e-6)


@SELDOM
@given(offset=st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))
def test_moving_a_model_and_sampling_it_commute(offset):
    moved, key = im.translate(BALL, offset), jax.random.key(0)
    np.testing.assert_allclose(im.sample(key, moved, 50).points, im.sample(key, BALL, 50).points + offset, atol=1e-9)
    points = ring(20, 3, seed=5)
    before, after = im.log_density(BALL, points), im.log_density(moved, points + offset)
    np.testing.assert_allclose(after.log_density, before.log_density, atol=1e-3)  # the points are rounded to float32


def _waves(weights, x):
    angle = jnp.arctan2(x[1], x[0])
    turns = jnp.arange(1, len(weights[0]) + 1)
    return weights[0] @ jnp.cos(turns * angle) + weights[1] @ jnp.sin(turns * angle)


RING = model_of(sphere(1.0), ring(400), Partial(_waves, jnp.zeros((2, 3), jnp.float32)))


@SELDOM
@given(seed=SEEDS, stretch=st.floats(0.01, 100.0))
def test_densities_integrate_to_one_over_the_curve_in_the_units_of_the_data(seed, stretch):
    weights = jnp.asarray(np.random.default_rng(seed).normal(size=(2, 3)), jnp.float32)
    energy = Partial(_waves, weights)
    found = log_normalizer(jax.random.key(seed % 1000), pool_source(RING.manifold), energy)
    scales = np.array([1.0, stretch])
    model = replace(RING, energy=energy, log_normalizer=found, scaling=Scaling(np.array([3.0, -1.0]), scales))
    angle = np.linspace(-np.pi, np.pi, 2000, endpoint=False)
    points = model.scaling.shift + scales * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    speed = np.linalg.norm(scales * np.stack([-np.sin(angle), np.cos(angle)], axis=1), axis=1)
    density = np.exp(im.log_density(model, points).log_density)
    # Five standard errors of log Z, and what float32 leaves of points where the ellipse is thin.
    np.testing.assert_allclose(np.mean(density * speed) * 2 * np.pi, 1, atol=5 * found.standard_error + 2e-3)
