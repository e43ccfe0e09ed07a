"""Ridges against what they are of fields whose ridge is known, and their derivatives against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds.manifold import Ridge, gradient_of, nearest_point, project, sampson_distance
from implicit_manifolds.manifold.analytic import circle_in_space
from implicit_manifolds.manifold.multipliers import newton, quasi_newton
from implicit_manifolds.manifold.paper_multipliers import gradient_descent, lbfgs
from implicit_manifolds.manifold.tangent import framed, linearize, tangent_projection


def _bent(weights, x):
    first, second = weights
    return 2 * jnp.arange(len(x), 0, -1) * x + 0.5 * jnp.tanh(first @ x) @ second


def bent_field(dimension, seed=0):
    """A field whose derivative is not symmetric."""
    weights = np.random.default_rng(seed).normal(size=(2, dimension, dimension))
    return Partial(_bent, tuple(jnp.asarray(weights)))


def _off_circle(radius, x):
    """X less the nearest point of a circle in the plane of the first two coordinates."""
    flat = x[:2] / jnp.linalg.norm(x[:2])
    return x.at[:2].add(-radius * flat)


def circle_ridge(dtype=jnp.float32):
    return Ridge(Partial(_off_circle, jnp.asarray(1.5, dtype)), 2, reach=jnp.asarray(0.5, dtype))


@pytest.mark.parametrize(("dimension", "rank"), [(2, 1), (4, 2), (5, 1)])
def test_the_jacobian_is_that_of_the_ridge_with_the_frame_held_fixed_on_m_and_off_it(dimension, rank, x64):
    ridge = Ridge(bent_field(dimension), rank)
    points = jnp.asarray(0.3 * np.random.default_rng(1).normal(size=(3, dimension)))

    @jax.vmap
    def both(x):
        at = linearize(ridge, x)
        return at, framed(ridge, at)(x), jax.jacfwd(framed(ridge, at))(x)

    at, residual, jacobian = jax.jit(both)(points)
    np.testing.assert_allclose(at.frame.mT @ at.frame, np.tile(np.eye(rank), (3, 1, 1)), atol=1e-14)
    np.testing.assert_allclose(at.residual, residual, atol=1e-13)
    np.testing.assert_allclose(at.jacobian, jacobian, atol=1e-12)


def test_the_ridge_of_a_distance_field_is_its_manifold_for_projections_nearest_points_and_distances(dtype):
    ridge, zeros = circle_ridge(dtype), circle_in_space(1.5)
    random = np.random.default_rng(0)
    points = jnp.asarray(random.normal([1.1, 1.0, 0.0], 0.15, (20, 3)), dtype)
    rounding = 100 * jnp.finfo(dtype).eps ** (6 / 7)
    for search in (project, nearest_point):
        found = jax.jit(jax.vmap(search, (None, 0)))(ridge, points)
        assert found.converged.all()
        away = jnp.abs(jax.vmap(sampson_distance, (None, 0))(zeros, found.position))
        assert away.max() < rounding
    expected = jax.jit(jax.vmap(nearest_point, (None, 0)))(zeros, points)
    np.testing.assert_allclose(found.position, expected.position, atol=rounding)
    np.testing.assert_allclose(found.distance, expected.distance, atol=rounding)


@pytest.mark.parametrize("solver", [quasi_newton, newton, gradient_descent, lbfgs])
def test_every_solver_comes_back_to_the_ridge_along_the_normals_of_another_of_its_points(solver):
    ridge = circle_ridge()
    at = jax.jit(linearize)(ridge, jnp.array([1.5, 0.0, 0.0]))
    point = at.position + tangent_projection(ridge, at, jnp.array([0.3, 0.4, 0.2])) + jnp.array([0.0, 0.0, 0.1])
    found = jax.jit(solver)(ridge, at, point)
    assert found.converged
    np.testing.assert_allclose(found.position, [1.5 * np.cos(np.arcsin(0.4 / 1.5)), 0.4, 0.0], atol=2e-5)


@pytest.mark.slow
def test_nearest_points_have_the_derivatives_of_finite_differences_in_the_point_and_in_the_field(x64):
    def nearest(radius, point):
        return nearest_point(Ridge(Partial(_off_circle, radius), 2), point).position

    radius, point = jnp.asarray(1.5), jnp.array([1.0, 0.9, 0.3])
    step = 1e-5
    shifts = jnp.asarray(step * np.eye(4))
    both = jax.jit(jax.vmap(lambda shift: nearest(radius + shift[0], point + shift[1:])))
    differences = (both(shifts) - both(-shifts)) / (2 * step)
    for derivatives in (jax.jit(jax.jacfwd(nearest, (0, 1))), jax.jit(jax.jacrev(nearest, (0, 1)))):
        by_radius, by_point = derivatives(radius, point)
        np.testing.assert_allclose(by_radius, differences[0], atol=1e-8)
        np.testing.assert_allclose(by_point, differences[1:].T, atol=1e-8)


def _double_well(x):
    return (x[0] ** 2 - 1) ** 2 / 8 + x[1] ** 2


def test_what_is_beyond_the_reach_or_has_no_gap_is_no_part_of_m():
    # Along the axis P∇f = 0 everywhere; ∇f is the part along it, up to .2 between the wells, more outside.
    field = gradient_of(_double_well)
    on_axis = jnp.stack([jnp.linspace(-2, 2, 41), jnp.zeros(41)], axis=1)
    slope = np.abs(np.asarray(on_axis[:, 0] ** 3 - on_axis[:, 0])) / 2
    bend = np.asarray(3 * on_axis[:, 0] ** 2 - 1) / 2
    for reach, gap in ((0.1, 0.2), (1.0, 0.2), (1.0, 1.0)):
        within = jax.jit(jax.vmap(linearize, (None, 0)))(Ridge(field, 1, gap, reach), on_axis).within
        expected = (slope <= reach) & (np.abs(2 - bend) >= gap)
        decided = np.minimum(abs(slope - reach), abs(abs(2 - bend) - gap)) > 1e-6
        np.testing.assert_array_equal(np.asarray(within)[decided], expected[decided])


def test_a_search_from_far_away_follows_the_field_and_not_stray_ridges():
    ridge = circle_ridge()
    far = jnp.asarray(np.random.default_rng(0).uniform(-4, 4, (200, 3)), jnp.float32)
    found = jax.jit(jax.vmap(project, (None, 0)))(ridge, far)
    radius = np.linalg.norm(np.asarray(found.position)[:, :2], axis=1)
    assert found.converged.all()
    np.testing.assert_allclose(radius, 1.5, atol=1e-5)
