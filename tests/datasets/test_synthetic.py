"""Laws are tested at fixed seeds; with a seed drawn anew, each p-value would fail a right sampler 1 in 1000 times."""

import numpy as np
import pytest
from scipy import stats

from implicit_manifolds.datasets.synthetic import (
    projected_normal_sphere,
    projected_normal_sphere_density,
    sine_torus,
    sine_torus_density,
    sinusoid,
    sinusoid_log_density,
    sinusoid_point,
    uniform_sphere,
    von_mises_circle,
    von_mises_circle_density,
    von_mises_mixture,
    von_mises_mixture_density,
    von_mises_torus,
)

ERROR_RATE = 1e-3
COUNT = 20_000
GRID = np.linspace(-np.pi, np.pi, 4000, endpoint=False)


def assert_law(sample, cdf):
    assert stats.kstest(sample, cdf).pvalue > ERROR_RATE


def assert_independent(first, second):
    """A chi-squared test on a table of quartiles, which sees dependence that a correlation misses."""
    quartiles = [np.searchsorted(np.quantile(x, [0.25, 0.5, 0.75]), x) for x in (first, second)]
    table = np.histogram2d(*quartiles, bins=4)[0]
    assert stats.chi2_contingency(table).pvalue > ERROR_RATE


def circle(angle, centre=0.0):
    return np.column_stack([centre + np.cos(angle), np.sin(angle)])


def angle(points, centre=0.0):
    return np.arctan2(points[:, 1], points[:, 0] - centre)


@pytest.mark.parametrize("concentration", [0.5, 2.0, 20.0])
def test_circle_angles_are_von_mises_about_zero(concentration):
    points = von_mises_circle(np.random.default_rng(1), COUNT, concentration)
    assert points.shape == (COUNT, 2)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-15)
    assert_law(angle(points), stats.vonmises(concentration).cdf)


def test_the_mixtures_circles_face_each_other_and_are_equally_likely():
    points = von_mises_mixture(np.random.default_rng(2), COUNT)
    assert points.shape == (COUNT, 2)
    left, right = points[points[:, 0] < 0], points[points[:, 0] > 0]
    assert stats.binomtest(len(left), COUNT).pvalue > ERROR_RATE
    for side, centre in (left, -1.8), (right, 1.8):
        np.testing.assert_allclose(np.hypot(side[:, 0] - centre, side[:, 1]), 1, atol=1e-14)
    assert_law(angle(left, -1.8), stats.vonmises(2.0).cdf)
    assert_law(angle(right * [-1, 1], -1.8), stats.vonmises(2.0).cdf)


def test_the_mixtures_sides_are_drawn_in_no_order():
    side = von_mises_mixture(np.random.default_rng(3), COUNT)[:, 0] > 0
    assert stats.chi2_contingency(np.histogram2d(side[:-1], side[1:], bins=2)[0]).pvalue > ERROR_RATE


@pytest.mark.parametrize("concentration", [0.0, 2.0, 1000.0])
def test_the_circle_density_is_von_mises_and_integrates_to_one(concentration):
    density = von_mises_circle_density(circle(GRID), concentration)
    assert density.shape == GRID.shape
    assert density.sum() * 2 * np.pi / len(GRID) == pytest.approx(1, abs=1e-12)
    expected = stats.vonmises(concentration).pdf(GRID) if concentration else 1 / (2 * np.pi)
    np.testing.assert_allclose(density, expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(("concentration", "offset"), [(2.0, 1.8), (1000.0, 1.8), (2.0, 0.6)])
def test_the_mixture_density_is_half_von_mises_on_each_circle_and_integrates_to_one(concentration, offset):
    expected = stats.vonmises(concentration).pdf(GRID) / 2
    left = von_mises_mixture_density(circle(GRID, -offset), concentration, offset)
    right = von_mises_mixture_density(circle(GRID + np.pi, offset), concentration, offset)
    np.testing.assert_allclose(left, expected, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(right, expected, rtol=1e-9, atol=1e-300)
    assert (left.sum() + right.sum()) * 2 * np.pi / len(GRID) == pytest.approx(1, abs=1e-12)


def test_a_point_a_little_off_the_mixture_has_the_density_of_the_point_beneath_it():
    on = von_mises_mixture(np.random.default_rng(4), 100)
    centre = np.where(on[:, :1] < 0, -1.8, 1.8) * [1.0, 0.0]
    off = centre + 1.01 * (on - centre)
    np.testing.assert_allclose(von_mises_mixture_density(off), von_mises_mixture_density(on), rtol=1e-12)


def test_the_uniform_sphere_has_uniform_heights_and_longitudes():
    points = uniform_sphere(np.random.default_rng(5), COUNT)
    assert points.shape == (COUNT, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-15)
    assert_law(points[:, 2], stats.uniform(-1, 2).cdf)
    assert_law(angle(points), stats.uniform(-np.pi, 2 * np.pi).cdf)
    assert_independent(points[:, 2], angle(points))


def projected_cdf(mean):
    """Law of x₀/‖x‖ for x ~ N(mean e₀, I) in space: x₀ / √((x₁² + x₂²)/2) is noncentral t, 2 degrees of freedom."""
    return lambda t: stats.nct.cdf(np.sqrt(2) * t / np.sqrt(1 - t**2), 2, mean)


def test_the_projected_normal_is_an_equal_mixture_about_its_two_means():
    points = projected_normal_sphere(np.random.default_rng(6), COUNT)
    assert points.shape == (COUNT, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-15)
    assert_law(points[:, 0], lambda t: (projected_cdf(1)(t) + projected_cdf(-1)(t)) / 2)
    around = np.arctan2(points[:, 2], points[:, 1])
    assert_law(around, stats.uniform(-np.pi, 2 * np.pi).cdf)
    assert_independent(points[:, 0], around)


def test_the_projected_normal_takes_other_means():
    points = projected_normal_sphere(np.random.default_rng(7), COUNT, means=((0, 0, 3),))
    assert_law(points[:, 2], projected_cdf(3))


def test_torus_angles_are_independent_and_von_mises():
    x, y, z = von_mises_torus(np.random.default_rng(8), COUNT, 1.5, radius=2.0, tube=0.5).T
    ring, tube = np.arctan2(y, x), np.arctan2(z, np.hypot(x, y) - 2)
    np.testing.assert_allclose((np.hypot(x, y) - 2) ** 2 + z**2, 0.25, rtol=1e-12)
    assert_law(ring, stats.vonmises(1.5).cdf)
    assert_law(tube, stats.vonmises(1.5).cdf)
    assert_independent(ring, tube)


@pytest.mark.parametrize(
    "sample",
    [von_mises_circle, von_mises_mixture, projected_normal_sphere, uniform_sphere, von_mises_torus],
)
def test_a_seed_gives_the_same_sample_again(sample):
    first, second = (sample(np.random.default_rng(9), 10) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float64


def test_projected_normals_have_their_density():
    # The density is symmetric about the first axis, so its height there has 2π times the density as its own.
    heights = np.linspace(-1, 1, 20_001)
    points = np.column_stack([heights, np.sqrt(1 - heights**2), 0 * heights])
    density = 2 * np.pi * projected_normal_sphere_density(points)
    law = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(heights))])
    assert law[-1] == pytest.approx(1, abs=1e-6)
    drawn = projected_normal_sphere(np.random.default_rng(0), COUNT)
    assert_law(drawn[:, 0], lambda x: np.interp(x, heights, law))


def test_the_sine_law_has_its_density():
    grid = np.stack(np.meshgrid(GRID[::20], GRID[::20], indexing="ij"), axis=-1).reshape(-1, 2)
    ring = 3 + np.cos(grid[:, 1])
    points = np.column_stack([ring * np.cos(grid[:, 0]), ring * np.sin(grid[:, 0]), np.sin(grid[:, 1])])
    by_angle = sine_torus_density(points) * ring
    assert by_angle.mean() * 4 * np.pi**2 == pytest.approx(1, rel=1e-6)
    drawn = sine_torus(np.random.default_rng(0), COUNT)
    phi, psi = np.arctan2(drawn[:, 1], drawn[:, 0]), np.arctan2(drawn[:, 2], np.hypot(drawn[:, 0], drawn[:, 1]) - 3)
    share = by_angle / by_angle.sum()
    for values, of_grid in ((phi, grid[:, 0]), (psi, grid[:, 1]), (phi * psi, grid[:, 0] * grid[:, 1])):
        mean, square = share @ of_grid, share @ of_grid**2
        # Means within four standard errors: one run in sixteen thousand is beyond.
        assert abs(values.mean() - mean) <= 4 * np.sqrt((square - mean**2) / COUNT)


def test_the_sinusoid_has_unit_variance_and_its_density_integrates_to_one_along_it():
    points = sinusoid(np.random.default_rng(0), 100_000)
    np.testing.assert_allclose(points.std(axis=0), 1, atol=0.01)
    curve = sinusoid_point(np.linspace(-8, 8, 40_001))
    length = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    density = np.exp(sinusoid_log_density((curve[1:] + curve[:-1]) / 2))
    assert (length * density).sum() == pytest.approx(1, abs=1e-4)
