"""Anchors, starts and the choice among restarts, on level sets whose zeros are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds._loops import _over_rows
from implicit_manifolds.box import Box, uniform_in_box
from implicit_manifolds.ebim.anchors import points_on_manifold, warn_of_distance
from implicit_manifolds.ebim.manifold import nearest_fit

BOX = Box(jnp.full(2, -2.0), jnp.full(2, 2.0))


def _circle(radius, centre, x):
    return jnp.sum((x - centre) ** 2, keepdims=True) - radius**2


def _plateau(radius, x):
    """A unit circle for |x| < 1.5; level with slope zero beyond."""
    size = jnp.sum(x**2, keepdims=True)
    return jnp.where(size < 1.5**2, size - radius**2, 1.25)


def _circle_and_stray(stray, x):
    """The unit circle, and a circle of squared radius `stray` (none where negative) about (0, 1.7)."""
    return _circle(1.0, 0.0, x) * (jnp.sum((x - jnp.array([0, 1.7])) ** 2) - stray)


def ring(count, radius=1.0):
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, count)
    return radius * np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)


def test_anchors_and_starts_lie_on_the_manifold_whatever_their_number():
    circle = Partial(_circle, jnp.asarray(1.0), jnp.zeros(2))
    points = ring(2300, 1.1)
    found, starts, _ = points_on_manifold(jax.random.key(0), circle, points, BOX, 1700)
    assert found.shape == (2300, 2)
    assert starts.shape == (1700, 2)
    np.testing.assert_allclose(found, points / 1.1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(starts, axis=1), 1, atol=1e-5)
    before = _over_rows._cache_size()
    points_on_manifold(jax.random.key(0), circle, points[:7], BOX, 3)
    assert _over_rows._cache_size() == before


def test_what_leaves_the_box_is_neither_anchor_nor_start():
    narrow = Box(jnp.asarray([-2.0, -2.0]), jnp.asarray([0.5, 2.0]))
    circle = Partial(_circle, jnp.asarray(1.0), jnp.zeros(2))
    with pytest.warns(UserWarning, match="could not be projected"):
        found, starts, _ = points_on_manifold(jax.random.key(0), circle, ring(500), narrow, 500)
    assert 0.6 < len(found) / 500 < 0.73  # arccos(1/2) to π is two thirds of the circle
    assert found[:, 0].max() <= 0.5
    assert starts[:, 0].max() <= 0.5


def test_noise_that_a_plateau_stops_starts_from_an_anchor_instead():
    mdf, points = Partial(_plateau, jnp.asarray(1.0)), ring(50)
    key = jax.random.key(4)
    found, starts, _ = points_on_manifold(key, mdf, points, BOX, 1000)
    np.testing.assert_allclose(np.linalg.norm(starts, axis=1), 1, atol=1e-5)
    replaced = (np.abs(np.asarray(starts)[:, None] - np.asarray(found)).max(axis=-1) == 0).any(axis=1)
    noise = uniform_in_box(np.random.default_rng(np.asarray(jax.random.key_data(key))), BOX, 1000)
    np.testing.assert_array_equal(replaced, np.linalg.norm(noise, axis=1) >= 1.5)


def test_no_point_on_the_manifold_is_an_error_that_says_so():
    beyond = Partial(_circle, jnp.asarray(1.0), jnp.asarray([10.0, 0.0]))
    with pytest.raises(ArithmeticError, match="train longer"):
        points_on_manifold(jax.random.key(0), beyond, ring(10), BOX, 5)


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_circle_through_the_data_is_chosen_wherever_it_stands(best):
    radii = np.roll([1.0, 1.2, 0.8], best).astype(np.float32)
    models = Partial(_circle, jnp.asarray(radii), jnp.zeros((3, 2)))
    assert nearest_fit(jax.random.key(0), models, ring(300), BOX).args[0] == 1.0


@pytest.mark.parametrize("order", [1, -1])
def test_stray_zeros_count_against_a_network_that_fits_the_data_as_well(order):
    models = Partial(_circle_and_stray, jnp.asarray([0.04, -0.5][::order]))
    assert nearest_fit(jax.random.key(0), models, ring(300), BOX).args[0] == -0.5


def test_a_network_that_is_not_finite_is_not_chosen():
    models = Partial(_circle, jnp.asarray([np.nan, 1.1, np.nan]), jnp.zeros((3, 2)))
    assert nearest_fit(jax.random.key(0), models, ring(300), BOX).args[0] == np.float32(1.1)


def _uneven(lean, x):
    """The unit circle whose ‖∇F‖ ranges over (1 - lean, 1 + lean)."""
    return _circle(1.0, 0.0, x) * (1 + lean * x[0])


@pytest.mark.parametrize("order", [1, -1])
def test_among_networks_with_the_same_zeros_the_best_conditioned_is_chosen(order):
    models = Partial(_uneven, jnp.asarray([0.6, 0.1][::order]))
    assert nearest_fit(jax.random.key(0), models, ring(300), BOX).args[0] == np.float32(0.1)


def test_points_far_from_the_manifold_by_their_spacing_or_noise_are_told(recwarn):
    points = ring(400)
    warn_of_distance(points, jnp.asarray(0.99 * points), 0.0)
    warn_of_distance(points, jnp.asarray(0.9 * points), 0.05)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="0.1 standard deviations .* noisy, or have detail"):
        warn_of_distance(points, jnp.asarray(0.9 * points), 0.0)
