from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.tree_util import Partial

from implicit_manifolds import Box
from implicit_manifolds._types import relative_tolerance
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.manifold.multipliers import newton, quasi_newton
from implicit_manifolds.mcmc.constrained_langevin import ConstrainedLangevin
from implicit_manifolds.mcmc.outcome import Reason

LANES = 40


@jax.jit
def step_all(sampler, key, positions):
    """One step from every row; the state before, the state after and the info."""
    before = jax.vmap(sampler.init)(positions)
    after, info = jax.vmap(sampler.step)(jax.random.split(key, len(positions)), before)
    return before, after, info


def taken(info):
    return info.reason == Reason.ACCEPTED


def converged(info):
    return info.reason != Reason.NOT_CONVERGED


def circle(dtype=jnp.float32, low=-3.0, high=3.0):
    angle = np.linspace(low, high, 400)
    return jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1), dtype)


# The formula --------------------------------------------------------------------------------------


value_of = jax.jit(lambda mdf, x: mdf(x))
jacobian_of = jax.jit(lambda mdf, x: jax.jacobian(mdf)(x))


def reference_step(mdf, x, tangent_noise, slope, step_size, clip):
    """x' = x + εPr - (α/2) clip(∇E) - J(x)ᵀm with F(x') = 0, as the paper writes it, by scipy's fsolve from m = 0."""
    jacobian = np.asarray(jacobian_of(mdf, x))
    target = x + tangent_noise - 0.5 * step_size * np.clip(slope, -clip, clip)

    def residual(m):
        return np.asarray(value_of(mdf, target - jacobian.T @ m))

    multiplier = scipy.optimize.fsolve(residual, np.zeros(len(jacobian)), xtol=1e-12, full_output=True)[0]
    np.testing.assert_allclose(residual(multiplier), 0, atol=1e-10)
    return target - jacobian.T @ multiplier


@pytest.mark.parametrize("name", ["sphere", "torus", "circle_in_space", "quadratic"])
def test_a_step_is_the_one_of_the_paper_found_by_brute_force(name, x64, build, linear_energy):
    mdf, positions = build.problem(name, LANES, jnp.float64)
    slope = np.array([3.0, -40.0, 10.0, 4.0, -1.0, 30.0])
    clip = 20.0

    def step(slope):
        sampler = ConstrainedLangevin(mdf, linear_energy(jnp.asarray(slope)), 0.1, 0.02, clip)
        return step_all(sampler, jax.random.key(2), positions)

    # The noise in the tangent space is what is left of a step without energy: P(x' - x) = εPr.
    before, free, _ = step(np.zeros(6))
    _, after, info = step(slope)
    assert taken(info).mean() > 0.9
    jacobian = np.asarray(before.linearization.jacobian)
    compared = 0
    for lane in np.flatnonzero(taken(info))[:12]:
        tangent = np.eye(6) - np.linalg.pinv(jacobian[lane]) @ jacobian[lane]
        noise = tangent @ np.asarray(free.position[lane] - positions[lane])
        expected = reference_step(mdf, np.asarray(positions[lane]), noise, slope, 0.02, clip)
        np.testing.assert_allclose(after.position[lane], expected, atol=1e-9)
        compared += np.linalg.norm(tangent @ np.clip(slope, -clip, clip)) > 1
    assert compared >= 6  # a drift that the test can see


def test_the_noise_of_a_step_is_normal_in_the_tangent_space(x64, linear_energy):
    count, scale = 20_000, 0.1
    sampler = ConstrainedLangevin(sphere(1.0), linear_energy(jnp.zeros(3)), scale)
    x = np.array([2.0, -1.0, 2.0]) / 3
    _, after, info = step_all(sampler, jax.random.key(0), jnp.tile(jnp.asarray(x), (count, 1)))
    assert taken(info).all()
    tangent = np.eye(3) - np.outer(x, x)
    noise = (np.asarray(after.position) - x) @ tangent / scale
    # Entries of mean and second moment, each within 4.5 standard errors (at most √(2/n)): false alarm 6e-5.
    assert (np.abs(noise.mean(axis=0)) <= 4.5 / np.sqrt(count)).all()
    assert (np.abs(noise.T @ noise / count - tangent) <= 4.5 * np.sqrt(2 / count)).all()


def test_the_step_size_defaults_to_the_noise_scale_squared(linear_energy):
    energy, key, start = linear_energy(jnp.asarray([-2.0, 1.0])), jax.random.key(0), circle()
    _, default, _ = step_all(ConstrainedLangevin(sphere(1.0), energy, 0.2), key, start)
    _, explicit, _ = step_all(ConstrainedLangevin(sphere(1.0), energy, 0.2, 0.04), key, start)
    _, other, _ = step_all(ConstrainedLangevin(sphere(1.0), energy, 0.2, 0.08), key, start)
    np.testing.assert_allclose(default.position, explicit.position, atol=1e-6)
    assert np.abs(default.position - other.position).max() > 0.01


def test_the_gradient_is_clipped_entry_by_entry(linear_energy):
    def step(slope, clip):
        sampler = ConstrainedLangevin(sphere(1.0), linear_energy(jnp.asarray(slope)), 0.1, 0.05, clip)
        return step_all(sampler, jax.random.key(0), circle())[1].position

    np.testing.assert_allclose(step([50.0, -0.5], 2.0), step([2.0, -0.5], 100.0), atol=1e-6)
    np.testing.assert_allclose(step([-3.0, 9.0], 2.0), step([-2.0, 2.0], 100.0), atol=1e-6)
    assert np.abs(step([50.0, -0.5], 2.0) - step([50.0, -0.5], 3.0)).max() > 0.005


# Steps that are not taken -------------------------------------------------------------------------


def assert_stayed(before, after, lanes):
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(np.asarray(old)[lanes], np.asarray(new)[lanes])


@pytest.mark.parametrize(("solver", "dtype"), [(quasi_newton, "float32"), (newton, "float64")], indirect=["dtype"])
def test_a_failed_solve_leaves_the_chain_where_it_was_and_says_so(solver, dtype, linear_energy):
    sampler = ConstrainedLangevin(sphere(1.0), linear_energy(jnp.zeros(2, dtype)), 1.5, solver=solver)
    start = circle(dtype)
    before, after, info = step_all(sampler, jax.random.key(3), start)
    failed = ~np.asarray(converged(info))
    np.testing.assert_array_equal(taken(info), converged(info))
    # A tangent step of length over 1, |N(0, 1.5²)| > 1 with probability 0.505, leaves the circle for good.
    assert 0.4 < failed.mean() < 0.6
    assert_stayed(before, after, failed)
    assert not (np.asarray(info.residual_norm)[failed] < 4 * relative_tolerance(dtype)).any()
    assert (np.asarray(info.residual_norm)[~failed] < 4.1 * relative_tolerance(dtype)).all()
    assert (np.abs(after.position - start).max(axis=1)[~failed] > 1e-4).all()
    assert ((np.asarray(info.iterations) >= 1) & (np.asarray(info.iterations) <= 12)).all()


def test_a_step_out_of_bounds_is_not_taken_although_it_converged(linear_energy):
    low, high = jnp.asarray([-2.0, -0.1]), jnp.asarray([2.0, 2.0])
    wide = Box(jnp.full(2, -jnp.inf), jnp.full(2, jnp.inf))
    sampler = ConstrainedLangevin(sphere(1.0), linear_energy(jnp.zeros(2)), 0.3, box=Box(low, high))
    unbounded = ConstrainedLangevin(sphere(1.0), linear_energy(jnp.zeros(2)), 0.3, box=wide)
    start = circle(low=0.0)
    before, after, info = step_all(sampler, jax.random.key(3), start)
    _, free, free_info = step_all(unbounded, jax.random.key(3), start)
    np.testing.assert_array_equal(converged(info), converged(free_info))
    outside = np.asarray(taken(free_info)) & (np.asarray(free.position)[:, 1] < -0.1)
    assert outside.sum() >= 3
    np.testing.assert_array_equal(taken(info), np.asarray(taken(free_info)) & ~outside)
    assert_stayed(before, after, outside)
    assert_stayed(free, after, np.asarray(taken(info)))


def _half_defined(strength, x):
    return strength * jnp.sqrt(x[0])


def test_a_step_to_where_the_energy_has_no_finite_gradient_is_not_taken():
    sampler = ConstrainedLangevin(sphere(1.0), Partial(_half_defined, 0.1), 0.3)
    start = circle(low=-1.5, high=1.5)
    before, after, info = step_all(sampler, jax.random.key(1), start)
    assert (after.position[:, 0] > 0).all()
    blocked = np.asarray(info.reason == Reason.NON_FINITE)
    assert blocked.any()
    assert_stayed(before, after, blocked)


def test_tolerance_and_iteration_cap_of_the_sampler_reach_the_solver(linear_energy):
    energy = linear_energy(jnp.zeros(2))
    loose = ConstrainedLangevin(sphere(1.0), energy, 0.2, tolerance=jnp.asarray(1e-2), max_iterations=1)
    _, _, info = step_all(loose, jax.random.key(0), circle())
    assert (info.iterations <= 1).all()
    np.testing.assert_array_equal(taken(info), info.residual_norm <= 1e-2)
    assert taken(info).mean() > 0.9
    assert (info.residual_norm[taken(info)] > 1e-4).any()


def test_a_plain_number_serves_as_tolerance_outside_jit(linear_energy):
    sampler = ConstrainedLangevin(sphere(1.0), linear_energy(jnp.zeros(2)), 0.1, tolerance=1e-5)
    _, info = sampler.step(jax.random.key(0), sampler.init(jnp.asarray([1.0, 0.0])))
    assert taken(info)


def _waves(rows, x):
    return rows @ x + 0.1 * jnp.sin(2 * rows @ x[::-1])


def test_a_rough_tangent_projection_of_many_constraints_leaves_the_step_as_it_is(linear_energy):
    rows = np.diag(np.linspace(0.5, 1, 40)) @ np.linalg.qr(np.random.default_rng(0).normal(size=(50, 40)))[0].T
    mdf, energy = Partial(_waves, jnp.asarray(rows, jnp.float32)), linear_energy(np.ones(50, np.float32))
    sampler = ConstrainedLangevin(mdf, energy, noise_scale=0.1, tolerance=1e-5, solver=newton)

    def stepped(share):
        _, after, info = step_all(replace(sampler, tangent_tolerance=share), jax.random.key(0), jnp.zeros((8, 50)))
        assert taken(info).all()
        return after.position

    rough, exact = stepped(0.3), stepped(1e-6)
    assert jnp.linalg.norm(exact, axis=1).min() > 0.1
    np.testing.assert_allclose(rough, exact, atol=1e-4)
    assert jnp.abs(rough - exact).max() > 0  # or the share would not have been used
