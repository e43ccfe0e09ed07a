"""Volumes and uniform pools by random lines, against closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats
from scipy.special import ellipe

from implicit_manifolds import Box, Manifold
from implicit_manifolds.manifold.algebra import translate
from implicit_manifolds.manifold.analytic import circle_in_space, sphere, torus
from implicit_manifolds.volumes.lines import crossing_volume, pool_of_size, uniform_pool
from implicit_manifolds.volumes.pools import combined, integrate, volume


def _quadric(axes, x):
    return jnp.sum((x / axes) ** 2, keepdims=True) - 1


def _two_balls(radii, x):
    first, second = jnp.asarray([-1.5, 0.3, 0.0]), jnp.asarray([1.8, 0.0, 0.4])
    return jnp.stack([jnp.sum((x - c) ** 2) - r**2 for c, r in zip((first, second), radii, strict=True)]).prod(
        keepdims=True
    )


def box(*half):
    half = jnp.asarray(half)
    return Box(-half, half)


CASES = {
    "circle": (Partial(_quadric, jnp.full(2, 1.5)), box(2.0, 1.7), 3 * math.pi),
    "ellipse": (Partial(_quadric, jnp.asarray([2.0, 1.0])), box(2.2, 1.7), 8 * ellipe(0.75)),
    "sphere": (sphere(1.5), box(2.0, 1.7, 1.8), 4 * math.pi * 1.5**2),
    "oblate ellipsoid": (
        Partial(_quadric, jnp.asarray([2.0, 2.0, 1.0])),
        box(2.2, 2.2, 1.2),
        2 * math.pi * 4 * (1 + (1 - 0.75) / math.sqrt(0.75) * math.atanh(math.sqrt(0.75))),
    ),
    "torus": (torus(), box(4.4, 4.5, 1.5), 12 * math.pi**2),
    "two spheres": (Partial(_two_balls, (1.0, 0.5)), box(3.0, 2.0, 2.0), 5 * math.pi),
    "sphere in four dimensions": (sphere(1.5), box(*[2.0] * 4), 2 * math.pi**2 * 1.5**3),
    "sphere in ten dimensions": (sphere(1.5), box(*[2.0] * 10), math.pi**5 / 12 * 1.5**9),
}


@pytest.mark.parametrize("name", CASES)
def test_volumes_are_those_of_the_closed_forms_within_four_standard_errors(name):
    mdf, region, expected = CASES[name]
    pool = uniform_pool(jax.random.key(1), Manifold(mdf, region), 100_000)
    found = volume(pool)
    # 16 sets of lines: the error is Student's with 15 degrees of freedom, beyond 4 with probability 0.001.
    assert abs(found.value - expected) <= 4 * found.standard_error + 0.002 * expected
    assert found.value == pytest.approx(expected, rel=0.01)
    assert pool.doubt < 0.01
    residual = np.abs(jax.vmap(mdf)(pool.points))
    assert residual.max() <= 2e-5 * 4


def test_the_standard_error_is_that_of_repetition():
    mdf, region, _ = CASES["torus"]
    found = [volume(uniform_pool(jax.random.key(i), Manifold(mdf, region), 2**12)) for i in range(40)]
    spread = np.std([value for value, _ in found], ddof=1)
    # Two independent estimates of one deviation: their ratio is within a factor 1.5 but for one run in a thousand.
    assert 1 / 1.5 < spread / np.mean([error for _, error in found]) < 1.5


def test_thinned_points_are_uniform_on_the_torus_and_fall_to_components_by_volume():
    pool = uniform_pool(jax.random.key(3), Manifold(*CASES["torus"][:2]), 2**17)
    random = np.random.default_rng(0)
    points = random.choice(pool.points, 2000, replace=False, p=pool.weights / pool.weights.sum())
    around = np.arctan2(points[:, 1], points[:, 0])
    tube = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]) - 3)
    exact = lambda psi: 0.5 + (3 * psi + np.sin(psi)) / (6 * np.pi)
    for angle, law in ((around, lambda a: 0.5 + a / (2 * np.pi)), (tube, exact)):
        assert stats.kstest(angle, law).pvalue > 1e-3
    pool = uniform_pool(jax.random.key(3), Manifold(*CASES["two spheres"][:2]), 2**17)
    share = integrate(pool, (pool.points[:, 0] > 0).astype(float)).value / volume(pool).value
    assert share == pytest.approx(0.2, abs=0.01)


def test_only_what_lies_in_the_box_counts():
    half = Box(jnp.asarray([0.0, -2.0, -2.0]), jnp.asarray([2.0, 2.0, 2.0]))
    found = volume(uniform_pool(jax.random.key(0), Manifold(sphere(1.5), half), 2**15))
    assert found.value == pytest.approx(2 * math.pi * 1.5**2, rel=0.02)


def test_what_lies_in_a_corner_of_the_box_counts_though_fewer_lines_meet_it():
    corner = translate(sphere(0.4), jnp.full(3, 1.5))  # farther from the centre than the box is wide
    found = volume(uniform_pool(jax.random.key(0), Manifold(corner, box(2.0, 2.0, 2.0)), 2**16))
    assert abs(found.value - 4 * math.pi * 0.16) <= 4 * found.standard_error
    assert found.value == pytest.approx(4 * math.pi * 0.16, rel=0.04)


def test_grazing_crossings_are_found_by_halving_the_cells():
    # A thin ring: both walls lie in one cell of a coarse grid, and cancel.
    ring = Partial(_walls, jnp.asarray([1.0, 1.02]))
    coarse = uniform_pool(jax.random.key(0), Manifold(ring, box(1.5, 1.5)), 2**13, cells=32)
    settled = uniform_pool(jax.random.key(0), Manifold(ring, box(1.5, 1.5)), 2**13)
    expected = 2 * math.pi * 2.02
    assert volume(coarse).value < 0.5 * expected
    assert volume(settled).value == pytest.approx(expected, rel=0.02)
    assert settled.cells >= 128


def _walls(radii, x):
    size = jnp.linalg.norm(x)
    return ((size - radii[0]) * (size - radii[1]))[None]


def test_places_where_f_is_not_finite_are_no_crossings():
    found = uniform_pool(jax.random.key(0), Manifold(Partial(_hollow), box(2.0, 2.0)), 2**12)
    np.testing.assert_allclose(np.linalg.norm(found.points, axis=1), 1.5, atol=1e-5)


def _hollow(x):
    size = jnp.sum(x**2, keepdims=True)
    return jnp.where(size < 1, jnp.nan, size - 2.25)


def test_pools_combine_and_grow_to_the_size_asked_for():
    mdf, region, expected = CASES["circle"]
    pools = [uniform_pool(jax.random.key(i), Manifold(mdf, region), 2**12) for i in range(2)]
    both = combined(pools)
    assert volume(both).value == pytest.approx(np.mean([volume(pool).value for pool in pools]))
    assert both.num_groups == 32
    grown = pool_of_size(jax.random.key(0), Manifold(mdf, region), 9000)
    assert 9000 <= len(grown.points) < 40_000
    assert volume(grown).value == pytest.approx(expected, rel=0.02)


def test_what_cannot_be_pooled_is_refused():
    with pytest.raises(ValueError, match="one constraint"):
        uniform_pool(jax.random.key(0), Manifold(circle_in_space(), box(2.0, 2.0, 2.0)), 100)
    with pytest.raises(ArithmeticError, match="met the zero set"):
        pool_of_size(jax.random.key(0), Manifold(sphere(1.5), box(1.0, 1.0)), 10)


def test_a_crossing_counts_as_the_formulas_in_the_plane_and_in_space_say():
    assert crossing_volume(2, 3.0) == pytest.approx(math.pi * 3)
    assert crossing_volume(3, 3.0) == pytest.approx(2 * math.pi * 9)
