"""Volumes, weighted points and connected parts from charts, against closed forms."""

import math
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import integrate as quadrature
from scipy import stats

from implicit_manifolds import Box, Manifold
from implicit_manifolds.manifold.analytic import circle_in_space, clifford_torus, sphere, torus, torus_point, trefoil
from implicit_manifolds.manifold.projection import project
from implicit_manifolds.manifold.ridge import Ridge
from implicit_manifolds.volumes.atlas import density_of, draw_pool, neighbour_distance, normals_at
from implicit_manifolds.volumes.charts import make_atlas
from implicit_manifolds.volumes.cover import _linked, cover, focused
from implicit_manifolds.volumes.parts import components
from implicit_manifolds.volumes.pools import combined, integrate, volume


def box(*half):
    half = jnp.asarray(half)
    return Box(-half, half)


def _two_balls(x):
    first, second = jnp.asarray([-1.5, 0.3, 0.0]), jnp.asarray([1.8, 0.0, 0.4])
    return ((jnp.sum((x - first) ** 2) - 1) * (jnp.sum((x - second) ** 2) - 0.25))[None]


def knot(t):
    return np.asarray(torus_point(2 * t, 3 * t, 2.0, 1.0))


LENGTH_OF_TREFOIL = quadrature.quad(lambda t: math.sqrt(4 * (2 + math.cos(3 * t)) ** 2 + 9), 0, 2 * math.pi)[0]
ANGLES = np.random.default_rng(0).uniform(-np.pi, np.pi, (2, 300))
FLAT = np.column_stack([np.cos(ANGLES[0]), np.sin(ANGLES[0]), 0.5 * np.cos(ANGLES[1]), 0.5 * np.sin(ANGLES[1])])
CASES = {
    "circle": (sphere(1.5), box(2.0, 1.7), None, 3 * math.pi),
    "torus": (torus(), box(4.4, 4.5, 1.5), None, 12 * math.pi**2),
    "two spheres": (Partial(_two_balls), box(3.0, 2.0, 2.0), None, 5 * math.pi),
    "sphere in five dimensions": (sphere(1.5), box(*[2.0] * 5), None, 8 / 3 * math.pi**2 * 1.5**4),
    "circle in space": (circle_in_space(1.5), box(2.0, 2.0, 2.0), [[1.5, 0.0, 0.0]], 3 * math.pi),
    "trefoil": (trefoil(), box(3.2, 3.2, 1.2), knot(ANGLES[0]), LENGTH_OF_TREFOIL),
    "flat torus": (clifford_torus(1.0, 0.5), box(1.2, 1.2, 0.7, 0.7), FLAT, 2 * math.pi**2),
}


def covered(name, key=0):
    mdf, region, seen, _ = CASES[name]
    random = np.random.default_rng(key)
    # Points to spread from need not be even: these are all within a part of M.
    seen = np.zeros((0, len(region[0]))) if seen is None else np.repeat(seen, 1 + 300 // len(seen), axis=0)
    return cover(jax.random.key(key), Manifold(mdf, region, random.permutation(seen).astype(np.float32)))


@pytest.mark.parametrize("name", [name for name in CASES if name != "circle in space"])
def test_volumes_are_those_of_the_closed_forms(name):
    *_, expected = CASES[name]
    manifold = covered(name)
    found = volume(draw_pool(jax.random.key(1), manifold, 100_000))
    # 16 sets: Student's with 15 degrees of freedom, beyond 4 with probability 0.001.
    assert abs(found.value - expected) <= 4 * found.standard_error + 0.001 * expected
    assert found.value == pytest.approx(expected, rel=0.01)
    assert manifold.atlas.uncovered <= 0.002
    assert manifold.atlas.inconsistent == 0


def test_charts_grow_over_all_that_is_connected_with_what_was_seen():
    """From a tenth of a circle in space, from two points of it, and from one point of a flat torus."""
    tenth = np.linspace(0, 0.2 * np.pi, 300)
    for angle in (tenth, np.array([0.0, 0.5 * np.pi])):
        part = np.column_stack([1.5 * np.cos(angle), 1.5 * np.sin(angle), 0 * angle]).astype(np.float32)
        mdf, region, _, expected = CASES["circle in space"]
        manifold = cover(jax.random.key(0), Manifold(mdf, region), part)
        assert volume(draw_pool(jax.random.key(1), manifold, 50_000)).value == pytest.approx(expected, rel=0.005)
        assert manifold.atlas.uncovered <= 0.002
    mdf, region, seen, expected = CASES["flat torus"]
    manifold = cover(jax.random.key(0), Manifold(mdf, region), np.asarray(seen[:1], np.float32))
    assert volume(draw_pool(jax.random.key(1), manifold, 50_000)).value == pytest.approx(expected, rel=0.005)


def _thin(x):
    return (jnp.sum((x / jnp.array([1.0, 0.3, 0.06])) ** 2) - 1)[None]


def _beside(radius, x):
    large = jnp.linalg.norm(x) - 1
    return (large * (jnp.linalg.norm(x - jnp.array([0.0, 1.6, 0.0])) - radius))[None]


@pytest.mark.slow
def test_narrow_rims_and_small_parts_get_charts_of_their_own():
    manifold = cover(jax.random.key(0), Manifold(Partial(_thin), box(1.3, 0.6, 0.3)))
    assert manifold.atlas.uncovered <= 0.002
    random = np.random.default_rng(0)
    round_ = random.normal(size=(200_000, 3))
    round_ /= np.linalg.norm(round_, axis=1, keepdims=True)
    sizes = np.array([1.0, 0.3, 0.06])
    elements = sizes.prod() * np.linalg.norm(round_ / sizes, axis=1)
    # Over all of it and over the rim; areas by Monte Carlo on the sphere.
    pool = draw_pool(jax.random.key(1), manifold, 200_000)
    for low, tolerance in ((0.0, 0.004), (0.9, 0.04)):
        rim = lambda points, low=low: np.linalg.norm(points[:, :2], axis=1) >= low
        exact = 4 * math.pi * np.mean(elements * rim(round_))
        found = pool.weights[rim(pool.points / sizes)].sum()
        assert found == pytest.approx(exact, rel=tolerance + 4 * 0.002)
    # A sphere of a hundredth the radius, which hardly any line meets, beside a unit one: it has known points.
    small = np.array([0.0, 1.6, 0.0]) + 0.01 * round_[:300]
    known = np.concatenate([round_[:300], small]).astype(np.float32)
    both = Manifold(Partial(_beside, jnp.asarray(0.01)), box(1.3, 1.8, 1.3))
    atlas = cover(jax.random.key(0), both, known).atlas
    near = np.linalg.norm(atlas.bases - [0.0, 1.6, 0.0], axis=1) < 0.02
    assert near.sum() >= 4
    assert np.all(density_of(atlas, known, normals_at(both.mdf, known)) > 0)


def test_the_standard_error_is_that_of_repetition():
    *_, expected = CASES["torus"]
    manifold = covered("torus")
    found = [volume(draw_pool(jax.random.key(i), manifold, 2**11)) for i in range(60)]
    values, errors = np.transpose(found)
    # Two independent estimates of one deviation: their ratio is within a factor 1.4 but for one run in a thousand.
    assert 1 / 1.4 < values.std(ddof=1) / errors.mean() < 1.4
    assert abs(values.mean() - expected) <= 4 * values.std(ddof=1) / math.sqrt(60)


def test_weighted_points_are_uniform_and_fall_to_components_by_volume():
    pool = draw_pool(jax.random.key(2), covered("torus"), 40_000)
    share = pool.weights / pool.weights.sum()
    points = np.random.default_rng(0).choice(pool.points, 2000, replace=False, p=share)
    around = np.arctan2(points[:, 1], points[:, 0])
    tube = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]) - 3)
    exact = lambda psi: 0.5 + (3 * psi + np.sin(psi)) / (6 * np.pi)
    for angle, law in ((around, lambda a: 0.5 + a / (2 * np.pi)), (tube, exact)):
        assert stats.kstest(angle, law).pvalue > 1e-3
    pool = draw_pool(jax.random.key(2), covered("two spheres"), 40_000)
    share = integrate(pool, (pool.points[:, 0] > 0).astype(float)).value / volume(pool).value
    assert share == pytest.approx(0.2, abs=0.005)


def test_parts_are_the_connected_components():
    assert components(covered("torus")).max() == 0
    spheres = covered("two spheres")
    atlas, part = spheres.atlas, components(spheres)
    np.testing.assert_array_equal(part, atlas.bases[:, 0] > 0)  # the larger sphere, with more charts, is part 0


def _drifting(x):
    """x less its nearest point of the unit circle, and a drift along it past (1, 0) and (-1, 0)."""
    size = jnp.linalg.norm(x)
    unit = x / size
    return (size - 1) * unit + 0.04 * jnp.exp(-0.5 * (unit[1] / 0.03) ** 2) * jnp.array([-unit[1], unit[0]])


@pytest.mark.slow
def test_parts_are_not_joined_by_what_lies_beyond_the_domain_of_the_field():
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False) + 0.05
    anchors = jnp.asarray(np.column_stack([np.cos(angle), np.sin(angle)]), jnp.float32)
    box = Box(-1.5 * jnp.ones(2), 1.5 * jnp.ones(2))
    for reach, parts in ((0.03, 2), (0.05, 1)):
        ridge = Ridge(Partial(_drifting), 1, 0.25, reach)
        anchors = anchors[jax.vmap(partial(project, ridge))(anchors).converged]
        manifold = cover(jax.random.key(0), Manifold(ridge, box, anchors))
        label = components(manifold)
        assert label.max() == parts - 1
        above = manifold.atlas.bases[:, 1] > 0
        assert parts == 1 or len(np.unique(label[above])) == len(np.unique(label[~above])) == 1


def test_discs_shrink_until_they_keep_to_one_sheet():
    mdf = Partial(_walls, jnp.asarray([1.0, 1.06]))
    region = box(1.5, 1.5)
    found = cover(jax.random.key(0), Manifold(mdf, region))
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    bases = np.concatenate([radius * np.column_stack([np.cos(angle), np.sin(angle)]) for radius in (1.0, 1.06)])
    wide = make_atlas(jax.random.key(0), mdf, bases.astype(np.float32), np.full(200, 1 / 200), np.full(200, 0.5))
    assert np.median(wide.radii) < 0.3
    for manifold in (found, found.charted(wide)):
        value = volume(draw_pool(jax.random.key(1), manifold, 100_000)).value
        assert value == pytest.approx(2 * math.pi * 2.06, rel=0.01)


def _walls(radii, x):
    size = jnp.linalg.norm(x)
    return ((size - radii[0]) * (size - radii[1]))[None]


def test_charts_near_data_move_half_of_the_draws_there_and_change_no_integral():
    *_, expected = CASES["torus"]
    even = covered("torus")
    near = np.tile(np.asarray(torus_point(0.0, np.linspace(-0.1, 0.1, 20)), np.float32), (1, 1))
    manifold = focused(jax.random.key(0), even, near, np.full(20, 0.05), np.full(20, 0.3))
    pool = draw_pool(jax.random.key(1), manifold, 50_000)
    assert (np.linalg.norm(pool.points - [4.0, 0.0, 0.0], axis=1) < 0.5).mean() == pytest.approx(0.5, abs=0.02)
    assert volume(pool).value == pytest.approx(expected, rel=0.01)
    both = combined([pool, draw_pool(jax.random.key(2), even, 50_000)])
    assert volume(both).value == pytest.approx(expected, rel=0.01)


def test_the_density_is_that_of_the_draws():
    mdf = CASES["circle"][0]
    angle = np.linspace(0, 2 * np.pi, 4001)
    points = (1.5 * np.column_stack([np.cos(angle), np.sin(angle)])).astype(np.float32)
    density = density_of(covered("circle").atlas, points, normals_at(mdf, points))
    assert quadrature.trapezoid(density, 1.5 * angle) == pytest.approx(1, abs=2e-3)


def test_only_what_lies_in_the_box_counts():
    half = Box(jnp.asarray([0.0, -2.0, -2.0]), jnp.asarray([2.0, 2.0, 2.0]))
    manifold = cover(jax.random.key(0), Manifold(sphere(1.5), half))
    found = volume(draw_pool(jax.random.key(0), manifold, 30_000))
    assert found.value == pytest.approx(2 * math.pi * 1.5**2, rel=0.01)


def test_points_where_no_disc_lifts_are_refused():
    cone = Partial(lambda x: (x[0] ** 2 - x[1] ** 2)[None])
    with pytest.raises(ArithmeticError, match="lifted"):
        make_atlas(jax.random.key(0), cone, np.zeros((3, 2), np.float32), np.full(3, 1 / 3), np.full(3, 0.1))


def test_neighbour_distance_leaves_the_point_itself_out():
    np.testing.assert_allclose(neighbour_distance(np.asarray([[0.0], [1.0], [3.0]]), 1), [1, 1, 2])
    np.testing.assert_allclose(neighbour_distance(np.asarray([[0.0], [1.0], [3.0]]), 9), [3, 2, 3])


def test_several_constraints_without_points_to_spread_from_are_refused():
    with pytest.raises(ValueError, match="anchors"):
        cover(jax.random.key(0), Manifold(circle_in_space(1.5), box(2.0, 2.0, 2.0)))


def test_a_manifold_with_another_function_or_box_has_no_charts_of_the_old_one():
    manifold = covered("circle")
    assert replace(manifold, mdf=sphere(1.0)).atlas is None
    assert replace(manifold, box=box(1.0, 1.0)).atlas is None
    with pytest.raises((TypeError, ValueError)):
        replace(manifold, atlas=manifold.atlas)
    leaves, structure = jax.tree.flatten(manifold)
    again = jax.tree.unflatten(structure, leaves)
    assert again.atlas is not None
    assert (again.dimension, again.codimension, again.ambient_dimension) == (1, 1, 2)


def test_parts_between_whose_bases_there_are_gaps_are_linked_where_their_charts_overlap():
    manifold = Manifold(circle_in_space(), box(2.0, 2.0, 2.0))
    angle = 2 * np.pi * np.arange(8) / 8
    bases = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]).astype(np.float32)
    atlas = make_atlas(jax.random.key(0), manifold.mdf, bases, np.full(8, 1 / 8), np.full(8, 0.5, np.float32))
    # Bases are 0.71 apart in the tangent, more than a radius; the middle between two is on both discs.
    assert components(manifold.charted(atlas)).max() == 7
    linked = _linked(jax.random.key(1), manifold, atlas, lambda key: draw_pool(key, manifold.charted(atlas), 500))
    assert components(manifold.charted(linked)).max() == 0
    assert len(linked.bases) <= 24
