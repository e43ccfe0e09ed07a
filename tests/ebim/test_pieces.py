"""Parts far from each other, or of unlike size: which they are, and what a model says of them in data units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import EBIM, InputError, Manifold, cover, intersect, log_density, sample, translate
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
