"""Distances within manifolds and shortest paths, against closed forms and the library's own geodesics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.integrate import quad

from implicit_manifolds import Box, Manifold, PathStatus, cover, geodesic_distance, shortest_path
from implicit_manifolds.manifold import Ridge, exponential_map
from implicit_manifolds.manifold.analytic import clifford_torus, torus, torus_point, trefoil
from implicit_manifolds.volumes.relaxation import relaxed

CENTRE, SMALL = np.array([-1.5, 0.3, 0.0]), np.array([1.8, 0.0, 0.4])
TOP = 0.8


def box(*half):
    half = jnp.asarray(half)
    return Box(-half, half)


def _two_balls(x):
    return ((jnp.sum((x - CENTRE) ** 2) - 1) * (jnp.sum((x - SMALL) ** 2) - 0.25))[None]


def directions(count, seed=0):
    random = np.random.default_rng(seed).normal(size=(count, 3))
    return random / np.linalg.norm(random, axis=1, keepdims=True)


def at_height(angle, height):
    flat = np.sqrt(1 - height**2)
    return np.array([flat * np.cos(angle), flat * np.sin(angle), height])


@pytest.fixture(scope="module")
def balls():
    """Two spheres, the larger without its cap above the box."""
    cut = Box(jnp.array([-3.0, -2.0, -2.0]), jnp.array([3.0, 2.0, TOP]))
    return cover(jax.random.key(0), Manifold(Partial(_two_balls), cut))


def test_great_circles_other_parts_and_ways_out_of_the_box(balls):
    start, end = directions(4), directions(4, seed=1)
    start[:, 2], end[:, 2] = -abs(start[:, 2]), -abs(end[:, 2])  # so that the way between is no higher
    angle = np.arccos((start * end).sum(axis=1))
    over = at_height(0.0, 0.75), at_height(np.pi, 0.75)
    start = np.concatenate(
        [CENTRE + start, [CENTRE + over[0], CENTRE - over[0], balls.atlas.bases[0], np.full(3, np.nan)]]
    )
    end = np.concatenate(
        [CENTRE + end, [CENTRE + over[1], SMALL - 0.5 * at_height(0, 0.6), balls.atlas.bases[0], CENTRE]]
    )
    path = shortest_path(balls, start, end)
    np.testing.assert_allclose(path.length[:4], angle, rtol=2e-6)
    assert (abs(path.length[:4] - angle) <= path.error[:4]).all()
    converged, missed = PathStatus.CONVERGED, PathStatus.NOT_CONVERGED
    assert path.status.tolist() == [*[converged] * 4, PathStatus.OUTSIDE, PathStatus.APART, converged, missed]
    assert path.length[5] == np.inf
    assert np.isnan(path.points[5]).all()
    assert path.length[6] == 0
    points = path.points[:4] - CENTRE
    np.testing.assert_allclose(np.linalg.norm(points, axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(points[:, [0, -1]], np.stack([start, end], axis=1)[:4] - CENTRE, atol=1e-5)
    chords = np.linalg.norm(np.diff(points, axis=1), axis=2)
    np.testing.assert_allclose(chords, np.tile(chords[:, :1], chords.shape[1]), rtol=1e-3)
    distance = geodesic_distance(balls, start[[0, 4, 5]], end[[0, 4, 5]])
    np.testing.assert_array_equal(distance, [path.length[0], np.nan, np.inf])


def test_a_path_is_a_trajectory_of_the_exponential_map(balls):
    path = shortest_path(balls, CENTRE + at_height(0.3, -0.2), CENTRE + at_height(2.5, 0.1))
    segments = len(path.points) - 1
    start = jnp.asarray(path.points[0], jnp.float32)
    velocity = jnp.asarray(segments * (path.points[1] - path.points[0]), jnp.float32)
    end = jax.jit(exponential_map)(balls.mdf, start, velocity, segments)
    np.testing.assert_allclose(end.position, path.points[-1], atol=5e-5)


def flat(angle):
    first, second = np.moveaxis(angle, -1, 0)
    return np.stack([np.cos(first), np.sin(first), np.cos(second) / 2, np.sin(second) / 2], axis=-1)


@pytest.mark.slow
def test_on_a_flat_torus_in_four_dimensions_angles_go_the_shorter_way_round(dtype):
    random = np.random.default_rng(0)
    seen = flat(random.uniform(-np.pi, np.pi, (300, 2)))
    known = Manifold(clifford_torus(1.0, 0.5), box(1.2, 1.2, 0.7, 0.7), seen.astype(dtype))
    # Not near half a turn, where both ways round are as long.
    start, turn = random.uniform(-np.pi, np.pi, (6, 2)), random.uniform(-2.5, 2.5, (6, 2))
    tolerance = 1e-5 if dtype == jnp.float32 else 1e-9
    path = shortest_path(cover(jax.random.key(0), known), flat(start), flat(start + turn), tolerance)
    expected = np.hypot(turn[:, 0], turn[:, 1] / 2)
    assert path.converged.all()
    np.testing.assert_allclose(path.length, expected, rtol=tolerance)
    assert (abs(path.length - expected) <= path.error).all()


def _cylinder(x):
    return (x[0] ** 2 + x[1] ** 2 - 1)[None]


@pytest.mark.slow
def test_helices_geodesics_of_a_torus_and_lengths_along_a_knot():
    cylinder = cover(jax.random.key(0), Manifold(Partial(_cylinder), box(1.5, 1.5, 1.0)))
    angle = np.array([2.0, -2.8, 1.0])
    ends = np.stack([np.cos(angle), np.sin(angle), 0 * angle + 0.8], axis=1)
    length = shortest_path(cylinder, [1.0, 0.0, -0.9], ends).length
    np.testing.assert_allclose(length, np.hypot(angle, 1.7), rtol=2e-6)
    ring = cover(jax.random.key(0), Manifold(torus(), box(4.5, 4.5, 1.5)))
    start, velocity = torus_point(0.2, 0.9), jnp.array([[0.0, 2.0, 1.0], [-1.0, -1.5, 0.5]])
    way = jax.jit(jax.vmap(exponential_map, (None, None, 0, None)))(ring.mdf, start, velocity, 400)
    speed = np.linalg.norm(way.velocity, axis=1)
    np.testing.assert_allclose(geodesic_distance(ring, start, way.position), speed, rtol=2e-5)
    knot = lambda t: np.asarray(torus_point(2 * t, 3 * t, 2.0, 1.0))
    seen = knot(np.random.default_rng(0).uniform(0, 2 * np.pi, 300)).astype(np.float32)
    curve = cover(jax.random.key(0), Manifold(trefoil(), box(3.2, 3.2, 1.2), seen))
    expected = quad(lambda t: np.sqrt(4 * (2 + np.cos(3 * t)) ** 2 + 9), 0, 3)[0]
    assert geodesic_distance(curve, knot(0.0), knot(3.0)) == pytest.approx(expected, rel=1e-5)


def _off_band(x):
    """X less the nearest point of the unit sphere below `TOP`."""
    around = x / jnp.linalg.norm(x)
    rim = jnp.append(np.sqrt(1 - TOP**2) * x[:2] / jnp.linalg.norm(x[:2]), jnp.asarray(TOP, x.dtype))
    return x - jnp.where(around[2] <= TOP, around, rim)


@pytest.mark.slow
def test_on_a_ridge_with_an_edge_paths_keep_to_it_or_say_that_they_do_not():
    seen = directions(400)
    seen = seen[seen[:, 2] < TOP - 0.01].astype(np.float32)
    band = cover(jax.random.key(0), Manifold(Ridge(Partial(_off_band), 1, reach=0.1), box(1.5, 1.5, 1.5), seen))
    start = np.stack([at_height(0.0, -0.7), at_height(0.0, 0.7), at_height(0.0, 0.5)])
    end = np.stack([at_height(2.0, -0.5), at_height(np.pi, 0.7), at_height(0.9, 0.75)])
    path = shortest_path(band, start, end)
    assert path.status.tolist() == [PathStatus.CONVERGED, PathStatus.OUTSIDE, PathStatus.CONVERGED]
    np.testing.assert_allclose(path.length[[0, 2]], np.arccos((start * end).sum(axis=1))[[0, 2]], rtol=2e-6)


def test_a_path_that_crosses_a_gap_is_no_geodesic():
    walls = Partial(lambda x: jnp.sin(jnp.pi * x[2:] / 0.2))  # parallel planes
    along = np.linspace(0, 1, 33)[:, None]
    flat, across = along * [1.0, 0.5, 0.0], along * [1.0, 0.5, 0.0] + [0.0, 0.0, 0.2] * (along > 0.5)
    found = jax.jit(jax.vmap(relaxed, (None, 0)))(walls, jnp.asarray(np.stack([flat, across]), jnp.float32))
    np.testing.assert_array_equal(found.converged, [True, False])


def test_a_manifold_without_charts_is_refused():
    with pytest.raises(ValueError, match="no charts"):
        shortest_path(Manifold(torus(), box(4.5, 4.5, 1.5)), [4.0, 0.0, 0.0], [0.0, 4.0, 0.0])
