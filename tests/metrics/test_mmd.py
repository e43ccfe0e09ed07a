import numpy as np
import pytest

from implicit_manifolds.metrics.mmd import squared_mmd


def test_mmd_of_normals_with_another_mean_is_the_closed_form():
    # Of N(0, I) and N(μ, I) in d dimensions with kernel width s: 2 (s²/(s² + 2))^(d/2) (1 - exp(-|μ|²/(2 (s² + 2)))).
    random = np.random.default_rng(0)
    found = squared_mmd(random.normal(size=(4000, 2)), random.normal((1.0, 0.0), 1.0, (4000, 2)), bandwidth=1.5)
    exact = 2 * 1.5**2 / (1.5**2 + 2) * (1 - np.exp(-1 / (2 * (1.5**2 + 2))))
    assert found == pytest.approx(exact, rel=0.08)


def test_mmd_of_equal_laws_scatters_about_zero_and_does_not_depend_on_units():
    random = np.random.default_rng(1)
    sets = random.normal(size=(40, 2, 200, 3))
    found = np.array([squared_mmd(*pair) for pair in sets])
    # Unbiased: the mean of 40 is within five standard errors of zero, and some are negative.
    assert abs(found.mean()) < 5 * found.std() / 40**0.5
    assert found.min() < 0
    assert squared_mmd(7 * sets[0, 0], 7 * sets[0, 1]) == pytest.approx(found[0], abs=1e-12)
