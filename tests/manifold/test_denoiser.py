"""Manifolds of denoisers against the exact one of a uniform law on a sphere of two dimensions in R^60."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats
from scipy.optimize import brentq

from implicit_manifolds.manifold import DenoiserManifold, project
from implicit_manifolds.manifold.scaled_chord import scaled_chord
from implicit_manifolds.mcmc import ConstrainedLangevin, run

N, SIGMA = 60, 0.3
FRAME = np.linalg.qr(np.random.default_rng(0).normal(size=(N, 3)))[0]


def _langevin(kappa):
    """Mean cosine of a von Mises-Fisher law on the sphere in space."""
    return 1 / jnp.tanh(kappa) - 1 / kappa


def _posterior_mean(frame, x, sigma):
    """E[x₀ | x], x₀ uniform on the unit sphere of the frame's space, x = x₀ + σ z."""
    inside = x @ frame
    radius = jnp.linalg.norm(inside)
    return frame @ inside / radius * _langevin(radius / sigma**2)


BALL = DenoiserManifold(Partial(_posterior_mean, jnp.asarray(FRAME, float)), 2, SIGMA)
RADIUS = brentq(lambda r: r - float(_langevin(r / SIGMA**2)), 0.5, 1.0)


@pytest.fixture(scope="module")
def reached():
    far = 1.5 * FRAME @ np.random.default_rng(1).normal(size=(3, 200)) + 0.3 * np.random.default_rng(2).normal(
        size=(N, 200)
    )
    return jax.jit(jax.vmap(lambda x: project(BALL, x)))(jnp.asarray(far.T, float))


def test_points_are_led_to_the_ridge(reached):
    assert reached.converged.all()
    inside = reached.position @ FRAME
    np.testing.assert_allclose(jnp.linalg.norm(inside, axis=1), RADIUS, rtol=2e-5)
    np.testing.assert_allclose(reached.position, inside @ FRAME.T, atol=2e-5)


def test_tangents_and_eigenvalues_are_those_of_the_sphere(reached):
    x = reached.position[0]
    value, basis, eigenvalues = jax.jit(BALL.spectrum)(x)
    tangent = basis[:, :2]
    assert jnp.linalg.norm(value) < 1e-4
    assert jnp.linalg.norm(tangent.T @ x) < 1e-4
    np.testing.assert_allclose(tangent.T @ tangent, np.eye(2), atol=1e-5)
    # Across the sphere that of L(r/σ²) by r, which is σ⁻² (1 - 2 L σ²/r - L²); L = r on the ridge.
    across = SIGMA**-2 * (1 - RADIUS**2) - 2
    np.testing.assert_allclose(eigenvalues, [1, 1, across], atol=1e-4)


def test_a_basis_nearby_leads_to_the_same_tangents(reached):
    x = reached.position[0]
    at = jax.jit(BALL.linearize)(x)
    moved = RADIUS * (x + 0.1 * at.tangent[:, 0]) / jnp.linalg.norm(x + 0.1 * at.tangent[:, 0])
    afresh, followed = jax.jit(BALL.linearize)(moved), jax.jit(BALL.linearize)(moved, at)
    projector = lambda found: found.tangent @ found.tangent.T
    # One pass leaves of the sine of the angle between them, 0.1, about the ratio of eigenvalues, 1/9.
    assert jnp.linalg.norm(projector(afresh) - projector(followed), 2) < 0.02
    # The next eigenvalue is followed, too, or a gap would be seen where there is none.
    np.testing.assert_allclose(BALL.spectrum(moved, at)[2], BALL.spectrum(moved)[2], atol=0.02)


def test_chains_have_the_law_of_their_energy(reached):
    kappa, pole = 3.0, jnp.asarray(FRAME[:, 0], float)
    energy = Partial(lambda pole, x: -3.0 * (pole @ x) / RADIUS, pole)
    sampler = ConstrainedLangevin(BALL, energy, 0.15, solver=scaled_chord, tolerance=1e-4)
    found = run(jax.random.key(0), sampler, reached.position, 150, thinning=5)
    assert found.info.reason[..., 0].mean() > 0.99
    cosine = (found.positions[30:] @ FRAME[:, 0]) / RADIUS
    # Distribution of the cosine: (e^{κc} - e^{-κ}) / (2 sinh κ), of 1,600 draws 75 steps apart: false alarm .003.
    law = lambda c: (np.exp(kappa * c) - np.exp(-kappa)) / (2 * np.sinh(kappa))
    assert stats.kstest(np.asarray(cosine[::15], float).ravel(), law).statistic < 0.045


def test_where_the_gap_is_too_small_or_denoising_goes_far_there_is_no_manifold(reached):
    x = reached.position[0]
    across = SIGMA**-2 * (1 - RADIUS**2) - 2
    linearized = jax.jit(lambda manifold, x: manifold.linearize(x))  # gap and reach are leaves: one program for all
    within = lambda manifold, x: bool(linearized(manifold, x).within)
    assert within(BALL, x)
    assert within(replace(BALL, gap=0.99 * (1 - across)), x)
    assert not within(replace(BALL, gap=1.01 * (1 - across)), x)
    far = 3 * x
    length = float(jnp.linalg.norm(BALL.field(far)))
    assert within(replace(BALL, reach=1.01 * length), far) != within(replace(BALL, reach=0.99 * length), far)


def test_an_approach_goes_on_until_denoising_moves_little_and_no_longer():
    start = 3.0 * jnp.asarray(FRAME[:, 0], float)
    within = replace(BALL, reach=0.1)
    near = jax.jit(within.approach)(start)
    assert jnp.linalg.norm(BALL.field(near)) <= 0.1 < jnp.linalg.norm(BALL.field(start))
    np.testing.assert_array_equal(jax.jit(within.approach)(near), near)
