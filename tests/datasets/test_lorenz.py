import numpy as np

from implicit_manifolds.datasets.lorenz import lorenz_attractor, lorenz_field


def test_the_field_is_that_of_each_trajectory():
    states = np.array([[1.0, 2.0], [3.0, -1.0], [20.0, 5.0]])
    found = lorenz_field(0.0, states.ravel()).reshape(3, 2)
    np.testing.assert_allclose(found[:, 0], [10 * 2, 1 * 8 - 3, 3 - 8 / 3 * 20])
    np.testing.assert_allclose(found[:, 1], [-30, 2 * 23 + 1, -2 - 40 / 3])


def test_points_have_the_moments_that_the_attractor_is_known_for():
    points = lorenz_attractor(np.random.default_rng(0), 20_000)
    assert points.shape == (20_000, 3)
    # Means and standard deviations that Brehmer & Cranmer standardise by; x and y change sign rarely.
    np.testing.assert_allclose(points.mean(axis=0)[2], 23.7, atol=0.5)
    np.testing.assert_allclose(points.mean(axis=0)[:2], 0, atol=1.5)
    np.testing.assert_allclose(points.std(axis=0), [7.98, 9.09, 8.32], rtol=0.05)
