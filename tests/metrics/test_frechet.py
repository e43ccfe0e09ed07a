import numpy as np
import pytest
from scipy.linalg import sqrtm

from implicit_manifolds.metrics.frechet import frechet_distance


def test_it_is_the_formula_of_the_moments():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(500, 4)) @ random.normal(size=(4, 4)), random.normal(1.0, 2.0, (300, 4))
    covariances = [np.cov(points.T) for points in (first, second)]
    cross = np.trace(sqrtm(covariances[0] @ covariances[1])).real
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2) + np.trace(sum(covariances)) - 2 * cross
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_it_is_nought_for_a_set_and_itself_and_the_squared_shift_for_a_shifted_one():
    points = np.random.default_rng(0).normal(size=(100, 3))
    points[:, 2] = points[:, 0]  # a singular covariance
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(points, points + np.array([3.0, 4.0, 0.0])) == pytest.approx(25, rel=1e-9)
