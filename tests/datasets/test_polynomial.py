import numpy as np
import pytest
from scipy.spatial import Delaunay

from implicit_manifolds.datasets.polynomial import (
    COEFFICIENTS,
    ROTATION,
    polynomial_log_density,
    polynomial_surface,
    surface_point,
    vertical_offset,
)


def test_points_lie_on_the_surface_and_the_offset_is_along_its_own_axis():
    points = polynomial_surface(np.random.default_rng(0), np.linspace(-1, 1, 500))
    assert np.abs(vertical_offset(points)).max() < 1e-7
    np.testing.assert_allclose(vertical_offset(points + 0.3 * ROTATION[:, 2]), 0.3, atol=1e-7)


def test_the_polynomial_is_of_the_stated_order():
    # At z = (1, 2) by hand, degree by degree and falling powers of the first coordinate.
    monomials = [1, 1, 2, 1, 2, 4, 1, 2, 4, 8, 1, 2, 4, 8, 16, 1, 2, 4, 8, 16, 32]
    height = np.exp(-0.5) * np.dot(COEFFICIENTS, monomials)
    np.testing.assert_allclose(surface_point(np.array([[1.0, 2.0]])) @ ROTATION, [[1.0, 2.0, height]], atol=1e-7)


@pytest.mark.parametrize("theta", [-1.0, 0.0, 1.0])
def test_the_density_by_area_integrates_to_one(theta):
    axis = np.linspace(-9, 10, 200)
    grid = np.column_stack([part.ravel() for part in np.meshgrid(axis, axis - 1)])
    points = surface_point(grid)
    corners = points[Delaunay(grid).simplices]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    density = np.exp(polynomial_log_density(points, np.full(len(points), theta)))[Delaunay(grid).simplices].mean(axis=1)
    assert (area * density).sum() == pytest.approx(1, abs=0.01)


def test_a_tenth_of_all_points_tell_theta_by_their_spread():
    random = np.random.default_rng(0)
    for theta, width in ((-1.0, 0.2), (1.0, 1.0)):
        z = (polynomial_surface(random, np.full(40_000, theta)) @ ROTATION)[:, :2]
        # Both normals' shares of the variance, and of what lies between their means.
        expected = 0.6 * 4 + 0.4 * width**2 + 0.24 * 4
        np.testing.assert_allclose(z.var(axis=0), expected, rtol=0.03)
        np.testing.assert_allclose(z.mean(axis=0), [0.2, -0.2], atol=0.05)
