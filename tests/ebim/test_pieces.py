"""Parts far from each other, or of unlike size: which they are, and what a model says of them in data units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import (
    EBIM,
    InputError,
    Manifold,
    cover,
    functional,
    intersect,
    log_density,
    nearest_points,
    sample,
    translate,
)
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.pieces import by_pieces, parts_of
from implicit_manifolds.volumes.pools import Estimate

RADII = np.array([0.5, 30.0])
CENTRES = np.array([[7000.0, 9000.0], [-2000.0, 100.0]])


def circle(centre, radius, count=150):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return centre + radius * np.column_stack([np.cos(angle), np.sin(angle)])


@pytest.mark.parametrize(
    ("other", "radius", "count"),
    [([100, 100], 1.0, 2), ([10, 10], 1.0, 1), ([1e6, 0], 1.0, 2), ([2, 0], 0.02, 2), ([0, 0], 0.02, 2)],
    ids=["far", "near", "very far", "small beside", "small within"],
)
def test_what_is_small_beside_the_whole_and_wide_apart_is_a_part(other, radius, count):
    points = np.concatenate([circle([0, 0], 1.0), circle(other, radius)])
    parts = parts_of(points)
    assert len(parts) == count
    np.testing.assert_array_equal(np.sum(parts, axis=0), 1)
    if count == 2:
        assert all(len(np.unique(part[:150])) == 1 for part in parts)
        scaling, standard, _ = by_pieces(points, parts, 0.25)
        np.testing.assert_allclose(scaling.restore(standard), points, rtol=1e-6, atol=3e-6)
        assert np.asarray(standard).std() == pytest.approx(1.0, abs=1e-3)


def test_a_few_far_points_are_no_part():
    cloud = np.random.default_rng(0).normal(size=(500, 3))
    assert len(parts_of(np.concatenate([cloud, cloud[:5] + 1000]))) == 1


def _two(centres, radii, x):
    return jnp.prod(jnp.sum((x[None] - centres) ** 2, axis=1) - radii**2)[None]


@pytest.fixture(scope="module")
def model():
    """The law that is uniform on two circles as they are standardised, the smaller one's share being a half."""
    points = np.concatenate([circle(*one) for one in zip(CENTRES, RADII, strict=True)])
    scaling, standard, box = by_pieces(points, parts_of(points), 0.25)
    halves = np.asarray(standard).reshape(2, 150, 2)
    centres = halves.mean(axis=1)
    radius = np.linalg.norm(halves - centres[:, None], axis=2).mean()
    mdf = Partial(_two, jnp.asarray(centres), jnp.full(2, radius))
    manifold = cover(jax.random.key(0), Manifold(mdf, box, standard))
    flat = Partial(lambda x: 0 * x[0])
    return EBIM(manifold, flat, scaling, ChainScales(0.1), Estimate(float(np.log(4 * np.pi * radius)), 0.0))


def test_densities_distances_and_samples_are_in_the_units_of_the_data(model):
    away = np.array([0.1, 2.0])
    places = CENTRES + np.array([[1.0, 0.0], [0.0, -1.0]]) * (RADII + away)[:, None]
    found = log_density(model, places)
    assert found.converged.all()
    np.testing.assert_allclose(found.log_density, -np.log(4 * np.pi * RADII), atol=1e-3)
    np.testing.assert_allclose(found.distance, away, rtol=1e-3)
    drawn = sample(jax.random.key(1), model, 2000)
    distances = np.linalg.norm(drawn.points[:, None] - CENTRES, axis=2)
    small = distances[:, 0] < distances[:, 1]
    assert drawn.on_manifold.all()
    assert small.mean() == pytest.approx(0.5, abs=4 * 0.5 / 2000**0.5)
    assert np.abs(distances[small, 0] - RADII[0]).max() < 1e-4 * RADII[0]
    assert np.abs(distances[~small, 1] - RADII[1]).max() < 1e-4 * RADII[1]


def test_models_of_parts_are_moved_whole_but_not_intersected(model):
    offset = np.array([-7000.0, 50.0])
    moved = sample(jax.random.key(1), translate(model, offset), 200).points
    np.testing.assert_allclose(moved, sample(jax.random.key(1), model, 200).points + offset, atol=1e-9)
    with pytest.raises(InputError, match="units of their own"):
        intersect(jax.random.key(0), model, model)


def test_of_points_between_parts_the_nearest_is_that_of_the_data(model):
    # From the middle of either, from between and beyond, and around the smaller one.
    random = np.random.default_rng(0)
    rows = np.concatenate(
        [
            CENTRES + np.array([[0.1, 0.0], [5.0, 1.0]]),
            random.uniform(-3000, 10_000, (60, 2)),
            CENTRES[0] + 10 * random.normal(size=(20, 2)),
            CENTRES[1] + 100 * random.normal(size=(20, 2)),
        ]
    )
    away = np.abs(np.linalg.norm(rows[:, None] - CENTRES, axis=2) - RADII)
    found = nearest_points(model, rows)
    assert found.converged.mean() > 0.95
    known = found.converged
    np.testing.assert_allclose(found.distance[known], away.min(axis=1)[known], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        np.linalg.norm(rows - found.points, axis=1)[known], found.distance[known], rtol=1e-3, atol=1e-3
    )
    one = jax.jit(jax.vmap(functional.nearest_point, (None, 0)))(model, jnp.asarray(rows))
    close = known & one.converged
    assert close.mean() > 0.95
    np.testing.assert_allclose(one.distance[close], found.distance[close], rtol=1e-2, atol=0.1)  # places in float32


def test_a_part_with_a_long_tail_comes_back_whole():
    random = np.random.default_rng(0)
    tail = np.column_stack([random.exponential(size=500) ** 2, 0.1 * random.normal(size=500)])
    points = np.concatenate([tail, [1000.0, 0.0] + 0.01 * random.normal(size=(200, 2))])
    scaling, standard, _ = by_pieces(points, [np.arange(700) < 500, np.arange(700) >= 500], 0.25)
    np.testing.assert_allclose(scaling.restore(standard), points, rtol=1e-5, atol=1e-4)
