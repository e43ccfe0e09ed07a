"""Laws in closed form against 2,000 or more chains, each started far from the law and run until it has forgotten.

Every chain gives one draw, its last position, so draws are independent. A Kolmogorov–Smirnov test fails where its
p-value is below 1e-4, the false alarm rate of each; with this file's tests together it is below one in a hundred.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds import Box
from implicit_manifolds.manifold.analytic import circle_in_space, sphere, stiefel, torus, torus_point
from implicit_manifolds.mcmc import ConstrainedHMC, GeodesicLangevin, Reason
from tests.mcmc.laws import CHAINS, UNIFORM_ANGLE, angle_of, ellipse, final, follows, law_on, linear, quadratic


def test_von_mises_on_the_circle(dtype):
    sampler = ConstrainedHMC(sphere(1.0), Partial(linear, np.array([-2.0, 0.0])), 0.6)
    draws, _ = final(sampler, [-1.0, 0.0], 60, dtype)
    assert follows(angle_of(draws), scipy.stats.vonmises(2.0).cdf)


def test_von_mises_fisher_on_the_sphere(dtype):
    sampler = ConstrainedHMC(sphere(1.0), Partial(linear, np.array([0.0, 0.0, -3.0])), 0.3, num_steps=4)
    draws, _ = final(sampler, [0.6, 0.0, -0.8], 30, dtype)
    assert follows(draws[:, 2], law_on(-1, 1, lambda t: np.exp(3 * t)))
    assert follows(angle_of(draws), UNIFORM_ANGLE)


def test_von_mises_fisher_in_ten_dimensions_with_persistent_momenta(dtype):
    slope = np.zeros(10)
    slope[0] = -10.0
    sampler = ConstrainedHMC(sphere(1.0), Partial(linear, slope), 0.15, 0.7, num_steps=2)
    draws, _ = final(sampler, np.eye(10)[3], 80, dtype)
    assert follows(draws[:, 0], law_on(-1, 1, lambda t: np.exp(10 * t) * (1 - t**2) ** 3.5))
    across = draws[:, 4] / np.linalg.norm(draws[:, 1:], axis=1)
    assert follows(across, law_on(-1, 1, lambda t: (1 - t**2) ** 3))  # uniform on the sphere in nine dimensions


def test_uniform_area_on_the_torus_by_a_random_walk(dtype):
    sampler = ConstrainedHMC(torus(1.0, 0.5), Partial(linear, np.zeros(3)), 0.4, use_gradient=False)
    draws, _ = final(sampler, torus_point(0.0, np.pi, 1.0, 0.5), 250, dtype)
    tube = np.arctan2(draws[:, 2], np.hypot(draws[:, 0], draws[:, 1]) - 1)
    assert follows(tube, law_on(-np.pi, np.pi, lambda psi: 1 + 0.5 * np.cos(psi)))
    assert follows(angle_of(draws), UNIFORM_ANGLE)


def test_haar_on_the_rotations(dtype):
    sampler = ConstrainedHMC(stiefel(3), Partial(linear, np.zeros(9)), 0.35, num_steps=3)
    draws, _ = final(sampler, np.eye(3).ravel(), 40, dtype)
    rotations = draws.reshape(-1, 3, 3)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-4)
    trace = np.trace(rotations, axis1=1, axis2=2)
    turn = np.arccos(np.clip((trace - 1) / 2, -1, 1))
    assert follows(turn, law_on(0, np.pi, lambda t: 1 - np.cos(t)))
    assert follows(rotations[:, 0, 2], law_on(-1, 1, np.ones_like))  # the third column is uniform on the sphere


def test_bingham_on_the_sphere(dtype):
    weights = np.array([3.0, -2.0, 0.0])  # the density is exp(3 x² - 2 y²)
    sampler = ConstrainedHMC(sphere(1.0), Partial(quadratic, -np.diag(weights)), 0.5, num_steps=2)
    half = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])  # both poles: two modes far apart mix slowly
    draws, _ = final(sampler, np.repeat(half, CHAINS // 2, axis=0), 60, dtype)

    def height(z):
        across = 1 - z**2
        return np.exp(0.5 * across) * scipy.special.i0(2.5 * across)

    assert follows(draws[:, 2], law_on(-1, 1, height))
    assert follows(draws[:, 1], _bingham_second)


def _bingham_second(y):
    """Law of y under exp(3 x² - 2 y²): given y, (x, z) is on a circle of squared radius 1 - y²."""
    density = lambda y: np.exp(-2 * y**2 + 1.5 * (1 - y**2)) * scipy.special.i0(1.5 * (1 - y**2))
    return law_on(-1, 1, density)(y)


def test_uniform_frames_of_two_vectors_in_five_dimensions(dtype):
    sampler = ConstrainedHMC(stiefel(2), Partial(linear, np.zeros(10)), 0.3, num_steps=3)
    draws, _ = final(sampler, np.eye(5)[:, :2].ravel(), 40, dtype)
    frames = draws.reshape(-1, 5, 2)
    assert follows(frames[:, 3, 1], law_on(-1, 1, lambda t: 1 - t**2))
    # A row's squared length is that of a uniform plane's projection: Beta(p/2, (n - p)/2).
    assert follows((frames[:, 0] ** 2).sum(axis=1), scipy.stats.beta(1.0, 1.5).cdf)


def test_von_mises_on_a_circle_in_space_of_codimension_two(dtype):
    sampler = ConstrainedHMC(circle_in_space(1.5), Partial(linear, np.array([0.0, 1.0, 5.0])), 0.8)
    draws, _ = final(sampler, [0.0, 1.5, 0.0], 60, dtype)
    assert follows(angle_of(draws[:, [1, 0]] * [-1, 1]), scipy.stats.vonmises(1.5).cdf)


AXES = np.array([1.5, 0.75])


def ellipse_draws(measure, dtype=jnp.float32):
    sampler = ConstrainedHMC(
        Partial(ellipse, AXES), Partial(quadratic, 0.5 * np.eye(2)), 0.3, num_steps=4, measure=measure
    )
    return angle_of(final(sampler, [0.0, 0.75], 80, dtype)[0], AXES)


def test_a_normal_law_conditioned_on_an_ellipse_under_the_ambient_target(dtype):
    # With x = (1.5 cos t, 0.75 sin t), arc length over |∇F| is constant in t: only the normal density is left.
    weight = lambda t: np.exp(-0.5 * (AXES[0] ** 2 * np.cos(t) ** 2 + AXES[1] ** 2 * np.sin(t) ** 2))
    assert follows(ellipse_draws("ambient", dtype), law_on(-np.pi, np.pi, weight))


def test_the_same_density_by_arc_length_under_the_hausdorff_target():
    def weight(t):
        speed = np.hypot(AXES[0] * np.sin(t), AXES[1] * np.cos(t))
        return speed * np.exp(-0.5 * (AXES[0] ** 2 * np.cos(t) ** 2 + AXES[1] ** 2 * np.sin(t) ** 2))

    assert follows(ellipse_draws("hausdorff"), law_on(-np.pi, np.pi, weight))
    # FoldedPoints into one quadrant, where the two laws differ most.
    folded = [np.arcsin(np.abs(np.sin(ellipse_draws(measure)))) for measure in ("hausdorff", "ambient")]
    assert follows(folded[0], law_on(0, np.pi / 2, weight))
    assert not follows(folded[1], law_on(0, np.pi / 2, weight))


def test_half_a_circle_by_bounds():
    low, high = np.array([-2.0, 0.0]), np.array([2.0, 2.0])
    sampler = ConstrainedHMC(sphere(1.0), Partial(linear, np.array([-1.0, 0.0])), 0.5, box=Box(low, high))
    draws, shares = final(sampler, [0.0, 1.0], 150)
    assert shares[Reason.OUT_OF_BOUNDS] > 0.05
    assert follows(angle_of(draws), law_on(0, np.pi, lambda t: np.exp(np.cos(t))))


# Does the check bite? -----------------------------------------------------------------------------


def z_of_mean_cosine(reverse_tolerance):
    """Standard errors by which the mean of cos ψ misses ¼ on the torus R = 1, r = ½, with 20,000 chains at h = 0.5."""
    sampler = ConstrainedHMC(torus(1.0, 0.5), Partial(linear, np.zeros(3)), 0.5, reverse_tolerance=reverse_tolerance)
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, size=(2, 20_000))
    draws, shares = final(sampler, torus_point(*angles, 1.0, 0.5), 100, chains=20_000)
    cosine = (np.hypot(draws[:, 0], draws[:, 1]) - 1) / 0.5
    return (cosine.mean() - 0.25) / (cosine.std() / np.sqrt(len(cosine))), shares


@pytest.mark.slow
def test_long_steps_on_the_torus_keep_the_law_only_if_those_that_cannot_be_undone_are_refused():
    honest, shares = z_of_mean_cosine(None)
    assert shares[Reason.NOT_REVERSIBLE] > 0.01
    assert abs(honest) < 4  # false alarm 6e-5
    broken, shares = z_of_mean_cosine(np.inf)
    assert shares[Reason.NOT_REVERSIBLE] == 0
    assert abs(broken) > 8


def test_a_wrong_measure_would_be_noticed():
    """Uniform in the angle is not uniform in area, and 2,000 chains tell."""
    sampler = ConstrainedHMC(torus(1.0, 0.5), Partial(linear, np.zeros(3)), 0.4, use_gradient=False)
    draws, _ = final(sampler, torus_point(0.0, np.pi, 1.0, 0.5), 250)
    assert not follows(np.arctan2(draws[:, 2], np.hypot(draws[:, 0], draws[:, 1]) - 1), UNIFORM_ANGLE)


# Unadjusted: geodesic Langevin --------------------------------------------------------------------


def _waves(strength, x):
    return -strength * (4 * x[0] ** 3 - 3 * x[0])  # -strength cos 3θ on the circle


def test_geodesic_langevin_has_the_law_but_for_its_bias():
    sampler = GeodesicLangevin(sphere(1.0), Partial(linear, np.array([-2.0, 0.0])), 0.2, 2.0)
    draws, shares = final(sampler, [0.0, -1.0], 200)
    assert shares[Reason.ACCEPTED] > 0.999
    assert follows(angle_of(draws), scipy.stats.vonmises(2.0).cdf)


@pytest.mark.slow
def test_geodesic_langevin_has_a_bias_of_higher_than_first_order_in_the_step():
    exact = float(scipy.special.i1(1) / scipy.special.i0(1))
    chains, rng, biases = 400_000, np.random.default_rng(0), []
    angle = (rng.vonmises(0, 1, chains) + 2 * np.pi * rng.integers(0, 3, chains)) / 3
    positions = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for step_size, num_steps in ((0.4, 20), (0.2, 40)):
        sampler = GeodesicLangevin(sphere(1.0), Partial(_waves, 1.0), step_size)
        draws, shares = final(sampler, positions, num_steps, chains=chains)
        assert shares[Reason.ACCEPTED] > 0.999
        waves = np.asarray(_waves(-1.0, draws.T))
        biases.append(abs(waves.mean() - exact))
    error = waves.std() / np.sqrt(chains)
    assert biases[0] > 20 * error
    assert biases[1] + 4 * error < biases[0] / 2
