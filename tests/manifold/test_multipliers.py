import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.tree_util import Partial

from implicit_manifolds._types import relative_tolerance
from implicit_manifolds.manifold.analytic import circle_in_space, sphere
from implicit_manifolds.manifold.multipliers import MultiplierSolver, newton, quasi_newton, residual_weights
from implicit_manifolds.manifold.paper_multipliers import gradient_descent, lbfgs
from implicit_manifolds.manifold.tangent import linearize, tangent_projection

SOLVERS = {solver.__name__: solver for solver in (quasi_newton, newton, gradient_descent, lbfgs)}


@jax.jit
def solve_all(mdf, points, moves):
    """What each solver makes of a tangent step from each point; with y, J(x) and the weights of F there."""

    def one(x, move):
        at = linearize(mdf, x)
        y = x + tangent_projection(mdf, at, move)
        caps = {"gradient_descent": 5000}
        found = {name: solver(mdf, at, y, max_iterations=caps.get(name)) for name, solver in SOLVERS.items()}
        return found, y, jax.jacobian(mdf)(x), residual_weights(at)

    return jax.vmap(one)(points, moves)


@pytest.mark.parametrize("name", ["sphere", "torus", "circle_in_space", "quadratic"])
def test_all_solvers_find_the_same_zero_along_the_normals(name, x64, build):
    mdf, points = build.problem(name, 64, jnp.float64)
    moves = jnp.asarray(0.1 * np.random.default_rng(3).normal(size=points.shape))
    found, y, jacobian, weights = solve_all(mdf, points, moves)
    eps = float(jnp.finfo(jnp.float64).eps)
    for solver, solution in found.items():
        converged = np.asarray(solution.converged)
        # jaxopt's line search stops short of the dtype's tolerance in the odd lane, and says so.
        assert converged.mean() >= (0.9 if solver == "lbfgs" else 1.0), solver
        residual = np.asarray(jax.vmap(mdf)(solution.position))
        size, slack = np.linalg.norm(weights * residual, axis=1), 50 * eps * np.asarray(weights).max(axis=1)
        assert (size <= 1 + slack)[converged].all(), solver
        along = np.asarray(y) - np.einsum("lk,lkn->ln", solution.multiplier, jacobian)
        np.testing.assert_allclose(solution.position, along, atol=20 * eps, err_msg=solver)
        # Residuals at the tolerance part two solutions by twice (1 + ‖x‖) ≤ 5 relative tolerances, over σ_min / rms.
        difference = np.asarray(solution.position - found["newton"].position)[converged]
        np.testing.assert_allclose(difference, 0, atol=25 * relative_tolerance(jnp.float64), err_msg=solver)
    mean = {solver: np.asarray(solution.iterations).mean() for solver, solution in found.items()}
    assert mean["newton"] <= min(mean["quasi_newton"], mean["gradient_descent"])


def test_newton_agrees_with_itself_where_no_jacobian_is_at_hand(x64, build):
    mdf, zero = build.quadratic_map(6, 3, jnp.float64)
    y = zero + jnp.asarray(0.1 * np.random.default_rng(3).normal(size=6))
    both = jax.jit(lambda x, y: [newton(mdf, linearize(mdf, x, dense=dense), y) for dense in (True, False)])
    dense, matrix_free = both(zero, y)
    assert matrix_free.converged
    np.testing.assert_allclose(matrix_free.position, dense.position, atol=1e-11)


@functools.partial(jax.jit, static_argnames=("solver", "max_iterations"))
def solve_lanes(solver, mdf, x, y, tolerance=None, max_iterations=None):
    """Solve from each of the rows of y (6, n)."""
    return jax.vmap(lambda y: solver(mdf, linearize(mdf, x), y, tolerance, max_iterations))(y)


def circle_and_starts(build, steps, dtype, factor=1.0):
    """c(‖x‖² - 1), the point (1, 0), and tangent steps from it, (6, 2)."""
    mdf = build.scaled(sphere(1.0), factor, dtype)
    return mdf, jnp.asarray([1.0, 0.0], dtype), jnp.stack([jnp.ones(6, dtype), jnp.asarray(steps, dtype)], axis=1)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_lane_with_no_zero_does_not_converge_and_leaves_the_others_alone(solver, build):
    # On the unit circle the line {(c, 5)} holds no zero, and the smallest residual along it is 24.
    mdf, x, y = circle_and_starts(build, [0.3, 5.0, np.nan, 0.0, -0.7, -5.0], jnp.float32)
    together = solve_lanes(SOLVERS[solver], mdf, x, y)
    np.testing.assert_array_equal(together.converged, [True, False, False, True, True, False])
    assert not (np.abs(together.residual[jnp.asarray([1, 2, 5])]) < 23.9).any()
    exact = np.sqrt(1 - np.array([0.3, 0.0, 0.7]) ** 2)
    np.testing.assert_allclose(together.position[jnp.asarray([0, 3, 4]), 0], exact, atol=1e-5)
    _, _, solvable = circle_and_starts(build, [0.3, 0.1, 0.2, 0.0, -0.7, -0.2], jnp.float32)
    undisturbed = solve_lanes(SOLVERS[solver], mdf, x, solvable)
    assert undisturbed.position.dtype == jnp.float32
    assert undisturbed.converged.all()
    for lane in (0, 3, 4):
        np.testing.assert_array_equal(together.position[lane], undisturbed.position[lane])
        assert together.iterations[lane] == undisturbed.iterations[lane]


@pytest.mark.parametrize("solver", ["quasi_newton", "newton", "gradient_descent"])
def test_a_tangent_step_that_leaves_every_zero_behind_does_not_converge_in_double(solver, x64, build):
    mdf, x, y = circle_and_starts(build, [5.0, np.nan, 1.01, 0.99, 0.0, 100.0], jnp.float64)
    found = solve_lanes(SOLVERS[solver], mdf, x, y)
    np.testing.assert_array_equal(found.converged, [False, False, False, True, True, False])
    assert found.iterations[4] == 0
    np.testing.assert_allclose(np.linalg.norm(found.position[3]), 1, atol=1e-12)


@pytest.mark.parametrize("solver", ["quasi_newton", "newton", "gradient_descent"])
def test_tolerance_and_iteration_cap_are_kept(solver, build):
    mdf, x, y = circle_and_starts(build, [0.0, 0.1, 0.3, 0.5, 0.8, 0.9], jnp.float32)
    # One tolerance for all lanes; the residual at the start is the step squared.
    capped = solve_lanes(SOLVERS[solver], mdf, x, y, jnp.asarray(0.1), max_iterations=1)
    assert (capped.iterations <= 1).all()
    np.testing.assert_array_equal(capped.converged, np.abs(capped.residual[:, 0]) <= 0.1)
    assert capped.converged[:3].all()
    assert not capped.converged[5]


SCALES = settings(max_examples=10, deadline=None, derandomize=True, database=None)


def positions_at_scale(build, solver, exponent):
    steps = np.array([0.0, 0.1, -0.3, 0.5, 0.8, -0.8])
    found = solve_lanes(SOLVERS[solver], *circle_and_starts(build, steps, jnp.float32, 10.0**exponent))
    return found, np.stack([np.sqrt(1 - steps**2), steps], axis=1)


@SCALES
@given(exponent=st.integers(-8, 8), solver=st.sampled_from(["quasi_newton", "newton", "lbfgs"]))
def test_the_units_of_f_do_not_matter(build, exponent, solver):
    found, expected = positions_at_scale(build, solver, exponent)
    assert found.converged.all()
    np.testing.assert_allclose(found.position, expected, atol=1e-5)


@pytest.mark.parametrize("exponent", [-4, 4])
def test_the_units_of_f_do_not_matter_to_gradient_descent(exponent, build):
    found, expected = positions_at_scale(build, "gradient_descent", exponent)
    assert found.converged.all()
    np.testing.assert_allclose(found.position, expected, atol=1e-5)


@pytest.mark.parametrize("solver", ["quasi_newton", "newton", "gradient_descent"])
def test_a_converged_position_is_near_m_whatever_the_units_of_each_constraint(solver, build):
    # The unit circle as a sphere in units of 1e-6 and a plane: the solver starts on the sphere, off the plane.
    mdf = build.scaled(circle_in_space(1.0), [1e6, 1.0], jnp.float32)
    y = jnp.asarray([[np.sqrt(1 - 0.03**2), 0.0, 0.03]], jnp.float32)
    found = solve_lanes(SOLVERS[solver], mdf, jnp.asarray([1.0, 0.0, 0.0]), y)
    assert not found.converged[0] or abs(found.position[0, 2]) < 1e-3


def test_every_solver_has_the_shared_signature():
    for solver in SOLVERS.values():
        assert isinstance(solver, MultiplierSolver)


def test_a_plain_number_serves_as_tolerance():
    at = linearize(sphere(1.0), jnp.asarray([1.0, 0.0]))
    assert quasi_newton(sphere(1.0), at, jnp.asarray([1.0, 0.3]), tolerance=1e-3).converged


def _squares(x):
    return x[:40] ** 2 - 1


def test_matrix_free_solvers_never_form_a_jacobian(build):
    mdf = Partial(_squares)

    def everything(x, y):
        at = linearize(mdf, x)
        return [solver(mdf, at, y).position for solver in SOLVERS.values()]

    # L-BFGS keeps ten pairs of multipliers: 400 numbers, below k x k = 1600 and k x n = 2800.
    assert max(build.array_sizes(everything, jnp.ones(70), 1.01 * jnp.ones(70))) < 1600


def _flat_in_one(x):
    return jnp.stack([x[0] ** 2, 3 * x[1] - 3])


def test_a_constraint_without_a_slope_has_no_weight_and_others_weigh_by_theirs():
    at = linearize(Partial(_flat_in_one), jnp.asarray([0.0, 1.0]))
    weights = residual_weights(at)
    assert np.isnan(weights[0])
    assert float(weights[1]) == pytest.approx(1 / (3 * relative_tolerance(jnp.float32)), rel=1e-5)
    far = residual_weights(linearize(Partial(_flat_in_one), jnp.asarray([0.0, 10.0])))
    assert float(far[1] / weights[1]) == pytest.approx(0.1, rel=1e-5)
    np.testing.assert_array_equal(residual_weights(at, 0.5), [2, 2])


def test_of_one_constraint_broydens_steps_with_and_without_a_jacobian_are_the_secants(x64, build):
    # By hand: the secant method for t -> F(y - t J(x)ᵀ), from t = 0 and the chord.
    mdf, x, y = sphere(1.0), jnp.asarray([1.0, 0.0]), jnp.asarray([1.0, 0.8])
    normal = 2 * np.asarray(x)
    along = lambda t: float(mdf(y - t * normal)[0])
    times = [0.0, along(0.0) / (normal @ normal)]
    while abs(along(times[-1])) > 1e-10:
        before, last = times[-2:]
        times.append(last - along(last) * (last - before) / (along(last) - along(before)))
    for cap in range(1, len(times)):
        for dense in (True, False):
            found = quasi_newton(mdf, linearize(mdf, x, dense=dense), y, max_iterations=cap)
            np.testing.assert_allclose(found.multiplier, [times[cap]], rtol=1e-9)
