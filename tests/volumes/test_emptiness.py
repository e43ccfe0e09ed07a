"""Holes in data on a known circle and sphere: seen where points are missing, and hardly ever where none are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds.box import Box
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.volumes.emptiness import holes, places_in
from implicit_manifolds.volumes.manifold import Manifold

RUNS = 30


def on_sphere(random, count):
    normal = random.normal(size=(count, 3))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def on_circle(angles):
    return np.column_stack([np.cos(angles), np.sin(angles)])


def seen(points):
    """Radius of the widest hole in points of a unit sphere, what is no chance, and what is abrupt."""
    dimension = points.shape[1]
    manifold = Manifold(sphere(1.0), Box(-1.5 * jnp.ones(dimension), 1.5 * jnp.ones(dimension)))
    found = holes(jax.random.key(0), manifold, points.astype(np.float32))
    return found.radii.max(), not found.chance.all(), found.abrupt.any()


@pytest.mark.parametrize(
    "draw", [lambda r: on_circle(r.uniform(0, 2 * np.pi, 500)), lambda r: on_sphere(r, 500)], ids=["circle", "sphere"]
)
def test_even_points_leave_no_holes(draw):
    """One set in a thousand may: two of thirty would be seen by chance in 4 of 10,000 runs."""
    assert sum(seen(draw(np.random.default_rng(seed)))[1] for seed in range(RUNS)) <= 1


@pytest.mark.parametrize("concentration", [2.0, 4.0, 8.0])
def test_a_density_that_fades_is_no_abrupt_hole(concentration):
    """One in twenty may be taken for one: four of thirty would be by chance in 6 of 100 runs, five in 2."""
    abrupt = 0
    for seed in range(RUNS):
        angles = np.random.default_rng(seed).vonmises(0, concentration, 1000)
        abrupt += seen(on_circle(angles))[2]
    assert abrupt <= 4


@pytest.mark.parametrize("share", [0.9, 0.75, 0.5, 0.25])
def test_however_much_of_a_circle_or_a_sphere_is_empty_it_is_seen(share):
    """Even where M has turned away before the middle of what is empty, so that from there no datum lies along it."""
    random = np.random.default_rng(0)
    normals = on_sphere(random, 2000)
    for points in (on_circle(np.pi * random.uniform(-share, share, 1000)), normals[normals[:, 2] < 2 * share - 1]):
        assert seen(points)[1:] == (True, True)


def test_in_three_dimensions_it_takes_thousands_of_points_to_see_that_a_side_is_missing():
    normals = np.random.default_rng(0).normal(size=(8000, 4))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    told = [seen(some[some[:, 0] < np.quantile(some[:, 0], 0.45)])[1] for some in (normals[:2000], normals)]
    assert told == [False, True]


def test_a_cap_without_points_is_an_abrupt_hole_of_its_own_width():
    found = []
    for seed in range(10):
        points = on_sphere(np.random.default_rng(seed), 1100)
        found.append(seen(points[points[:, 2] < np.cos(0.6)]))
    radii, chance, abrupt = np.array(found).T
    assert chance.all()
    assert abrupt.all()
    np.testing.assert_allclose(radii, 2 * np.sin(0.6 / 2), atol=0.07)


def test_places_in_a_hole_lie_on_the_manifold_and_away_from_points():
    points = on_sphere(np.random.default_rng(0), 1100)
    points = points[points[:, 2] < np.cos(0.6)].astype(np.float32)
    manifold = Manifold(sphere(1.0), Box(-1.5 * jnp.ones(3), 1.5 * jnp.ones(3)))
    found = holes(jax.random.key(0), manifold, points)
    places = places_in(jax.random.key(1), manifold, found, found.abrupt, 500)
    assert len(places) > 250
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1, atol=1e-5)
    assert (places[:, 2] > np.cos(0.7)).all()


def _two_circles(x):
    size = jnp.linalg.norm(x)
    return 10 * jnp.array([(size - 1) * (size - 1.05)])


def test_points_on_a_curve_nearby_tell_nothing_of_a_hole():
    """Without a look at sheets a hole is seen in 8 of these 20 pairs of circles."""
    manifold = Manifold(Partial(_two_circles), Box(-1.5 * jnp.ones(2), 1.5 * jnp.ones(2)))
    seen_in = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        points = random.choice([1.0, 1.05], (800, 1)) * on_circle(random.uniform(0, 2 * np.pi, 800))
        seen_in += not holes(jax.random.key(0), manifold, points.astype(np.float32)).chance.all()
    assert seen_in <= 1
