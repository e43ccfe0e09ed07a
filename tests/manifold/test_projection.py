import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.tree_util import Partial
from scipy.spatial import KDTree

from implicit_manifolds._types import relative_tolerance
from implicit_manifolds.manifold.analytic import circle_in_space, sphere, torus
from implicit_manifolds.manifold.nearest import nearest_point
from implicit_manifolds.manifold.projection import project, sampson_distance

LANES = 300


@jax.jit
def project_all(mdf, points):
    """NearestPoints of all rows, with F there and the root mean square gradient."""

    def one(x):
        found = project(mdf, x)
        jacobian = jax.jacobian(mdf)(found.position)
        return found, mdf(found.position), jnp.sqrt(jnp.mean(jnp.sum(jacobian**2, axis=1)))

    return jax.vmap(one)(points)


@jax.jit
def nearest_all(mdf, points):
    """Nearest points of all rows, with J there."""

    def one(x):
        found = nearest_point(mdf, x)
        return found, jax.jacobian(mdf)(found.position)

    return jax.vmap(one)(points)


def cloud(scale, dtype, dimension=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-scale, scale, size=(LANES, dimension)), dtype)


def lanes(rows, dtype=jnp.float32):
    """The rows, the first of them repeated to fill all lanes, so that nothing compiles anew."""
    rows = np.asarray(rows, np.float64)
    return jnp.asarray(np.concatenate([rows, np.tile(rows[:1], (LANES - len(rows), 1))]), dtype)


# project ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sphere", "torus", "circle_in_space", "quadratic"])
def test_projection_lands_on_the_manifold(name, x64, build):
    dtype = jnp.float64
    mdf, near = build.problem(name, LANES, dtype)
    found, residual, slope = project_all(mdf, near + cloud(0.5, dtype, 6))
    assert found.position.dtype == dtype
    assert found.converged.all()
    np.testing.assert_allclose(residual, found.residual, atol=50 * float(jnp.finfo(dtype).eps))
    reach = 1 + np.linalg.norm(found.position, axis=1)
    assert (np.linalg.norm(found.residual, axis=1) <= 1.01 * relative_tolerance(dtype) * slope * reach).all()
    assert (found.iterations >= 1).all()


def test_a_point_of_the_manifold_stays_where_it_is_and_takes_no_iteration(dtype, build):
    points = lanes([[0.0, 2.0, 0.0]], dtype)
    found, _, _ = project_all(build.level("sphere", 2.0, dtype), points)
    np.testing.assert_array_equal(found.position, points)
    assert found.converged.all()
    assert (found.iterations == 0).all()


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(radius=st.floats(0.1, 100.0), offset=st.floats(-50.0, 50.0), reach=st.floats(0.05, 20.0))
def test_projection_onto_a_sphere_follows_the_radius(build, radius, offset, reach):
    # Gauss-Newton steps on a sphere are radial, so the zero is known wherever the point is.
    direction = np.random.default_rng(0).normal(size=(LANES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = jnp.asarray(offset + reach * radius * direction, jnp.float32)
    found, _, _ = project_all(build.level("sphere", radius, jnp.float32, offset), points)
    assert found.converged.all()
    # The point is rounded relative to its offset, and the rounding grows as the point nears the centre.
    tolerance = 1e-5 * (1 + abs(offset) + radius) * max(1, 1 / reach)
    np.testing.assert_allclose(found.position, offset + radius * direction, atol=tolerance)


@pytest.mark.parametrize("name", ["no zeros", "plateau"])
def test_a_map_without_zeros_is_reported_with_the_best_iterate(name, dtype, build):
    mdf, points = build.level(name, 1.0, dtype), cloud(3.0, dtype)
    found, _, _ = project_all(mdf, points)
    assert not found.converged.any()
    assert np.isfinite(found.position).all()
    assert (np.abs(found.residual) <= np.abs(jax.vmap(mdf)(points))).all()


def test_failing_lanes_leave_their_neighbours_as_they_would_be_alone(build):
    # The centre has no gradient and NaN has nothing: both fail, and the other lanes are none the wiser.
    mdf = build.level("sphere", 1.0, jnp.float32)
    together, _, _ = project_all(mdf, lanes([[3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.1, 0.2, 0.0], [np.nan, 1.0, 0.0]]))
    np.testing.assert_array_equal(together.converged[:4], [True, False, True, False])
    undisturbed, _, _ = project_all(mdf, lanes([[3.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.1, 0.2, 0.0], [1.0, 1.0, 0.0]]))
    for lane in (0, 2):
        for one, other in zip(together, undisturbed, strict=True):
            np.testing.assert_array_equal(one[lane], other[lane])


def _cube_root(level, x):
    return jnp.cbrt(x[:1]) - level


@pytest.mark.parametrize("case", ["a point at infinity", "an infinite slope"])
def test_an_infinite_tolerance_does_not_pass_for_convergence(case, build):
    # Residual ∞ at the first; -1 at the second, the cube root of x₀ minus 1 at x₀ = 0.
    mdf = build.level("sphere", 1.0, jnp.float32) if case == "a point at infinity" else Partial(_cube_root, 1.0)
    point = [np.inf if case == "a point at infinity" else 0.0, 0.0, 0.0]
    found, _, _ = project_all(mdf, lanes([point]))
    assert not found.converged[0] or abs(found.residual[0, 0]) < 1e-3


def test_projection_keeps_to_its_tolerance_and_cap():
    point = jnp.asarray([5.0, 0.0])
    loose = jax.jit(project)(sphere(1.0), point, jnp.asarray(0.5))
    assert loose.converged
    assert 1e-3 < abs(loose.residual[0]) <= 0.5
    none = jax.jit(project, static_argnames="max_iterations")(sphere(1.0), point, max_iterations=0)
    np.testing.assert_array_equal(none.position, point)
    assert not none.converged


def test_constraints_of_units_that_differ_a_hundredfold_are_met_by_steps_cut_short(x64, build):
    rng = np.random.default_rng(0)
    units = np.geomspace(1e-2, 1, 200)[:, None]
    mdf = build.affine_map(np.linalg.qr(rng.normal(size=(300, 200)))[0].T * units, np.zeros(200), jnp.float64)
    found = jax.jit(project)(mdf, jnp.asarray(rng.normal(size=300)), 1e-5)
    assert found.converged
    assert jnp.linalg.norm(mdf(found.position)) <= 1e-5


# nearest_point ------------------------------------------------------------------------------------


def nearest_on_torus(points, radius, tube):
    """Through the nearest point of the ring, one tube radius towards the point."""
    ring = radius * points[:, :2] / np.hypot(points[:, 0], points[:, 1])[:, None]
    ring = np.concatenate([ring, np.zeros((len(points), 1))], axis=1)
    away = points - ring
    return ring + tube * away / np.linalg.norm(away, axis=1, keepdims=True)


def check_nearest(mdf, points, expected, dtype):
    found, jacobian = nearest_all(mdf, points)
    tolerance = 20 * relative_tolerance(dtype)
    assert found.position.dtype == dtype
    assert found.converged.all()
    np.testing.assert_allclose(found.distance, np.linalg.norm(points - expected, axis=1), atol=tolerance)
    # The nearest point is as ill-conditioned as the point is near a focal set (centre, ring, axis).
    np.testing.assert_allclose(found.position, expected, atol=10 * tolerance)
    pull = np.einsum("lk,lkn->ln", found.multiplier, jacobian)
    np.testing.assert_allclose(found.position - points + pull, 0, atol=10 * tolerance)


def test_the_nearest_points_of_sphere_and_torus_are_those_of_the_closed_forms(dtype, build):
    points = cloud(5.0, dtype)
    wide = np.asarray(points, np.float64)
    on_sphere = 2 * wide / np.linalg.norm(wide, axis=1, keepdims=True)
    check_nearest(build.level("sphere", 2.0, dtype), points, on_sphere, dtype)
    check_nearest(build.level("torus", [3.0, 1.0, 0.0], dtype), points, nearest_on_torus(wide, 3.0, 1.0), dtype)


def test_the_nearest_point_of_a_circle_in_space_is_that_of_its_plane(x64):
    points = cloud(4.0, jnp.float64)
    flat = np.asarray(points) * [1, 1, 0]
    on_circle = 1.5 * flat / np.linalg.norm(flat, axis=1, keepdims=True)
    check_nearest(Partial(circle_in_space().func, jnp.asarray(1.5)), points, on_circle, jnp.float64)


def test_the_nearest_points_of_an_ellipse_are_those_of_a_grid_search(dtype, build):
    # A point of the plane x₂ = 0 has its nearest point of this flat ellipsoid in that plane or beside it;
    # with the third axis as long as the longest, in that plane.
    points = cloud(3.0, dtype, seed=1) * jnp.asarray([[1, 1, 0]], dtype)
    found, _ = nearest_all(build.level("ellipsoid", [2.0, 1.0, 1000.0], dtype), points)
    assert found.converged.all()
    angle = np.linspace(0, 2 * np.pi, 20_001)
    curve = np.stack([2 * np.cos(angle), np.sin(angle)], axis=1)
    flat = np.asarray(points, np.float64)[:, :2]
    searched = np.sqrt(((flat[:, None] - curve) ** 2).sum(axis=-1).min(axis=1))
    excess = np.asarray(found.distance) - searched
    # The grid's spacing is at most 6.3e-4, so it finds a distance at most 3.2e-4 too long.
    assert excess.max() <= 20 * relative_tolerance(dtype)
    assert excess.min() >= -3.2e-4


def test_a_point_on_the_long_axis_of_an_ellipse_is_not_sent_to_its_far_end(build):
    # By symmetry the projection of (0.1, 0) is (2, 0), where the distance is stationary but greatest: 1.9, not 0.998.
    ellipse = build.level("ellipsoid", [2.0, 1.0, 1000.0], jnp.float32)
    found, _ = nearest_all(ellipse, lanes([[0.1, 0.0, 0.0]]))
    assert found.converged[0]
    assert found.distance[0] < 1.0


def test_points_in_planes_of_symmetry_are_not_left_in_saddles_of_the_distance(x64, build):
    # Descent from such points keeps to their plane; beyond the centres of curvature the nearest points lie beside it.
    points = np.asarray(cloud(2.0, jnp.float64)) * [1, 1, 0]
    points[:50, 1] = 0
    axes = np.array([3.0, 2.0, 1.0])
    found, _ = nearest_all(build.level("ellipsoid", axes, jnp.float64), jnp.asarray(points))
    assert found.converged.all()
    u, v = np.meshgrid(np.linspace(0, np.pi, 400), np.linspace(-np.pi, np.pi, 800))
    grid = axes * np.stack([np.sin(u) * np.cos(v), np.sin(u) * np.sin(v), np.cos(u)], axis=-1).reshape(-1, 3)
    searched = KDTree(grid).query(points)[0]
    assert (np.asarray(found.distance) - searched).max() <= 1e-9
    # The grid's spacing is at most .03: nothing is nearer than it finds by more than its square over twice a distance.
    assert (searched - np.asarray(found.distance)).max() <= 5e-3
    assert (np.abs(found.position[:, 2]) > 0.1).sum() > 100


def test_curvature_is_one_on_a_sphere_and_goes_to_zero_at_its_centre(build):
    points = np.array(cloud(1.0, jnp.float32))
    points *= (np.geomspace(1e-3, 5.0, LANES) / np.linalg.norm(points, axis=1))[:, None]
    found, _ = nearest_all(build.level("sphere", 2.0, jnp.float32), jnp.asarray(points))
    assert found.converged.all()
    np.testing.assert_allclose(found.curvature, np.linalg.norm(points, axis=1) / 2, rtol=1e-3)
    middle, _ = nearest_all(build.level("sphere", 2.0, jnp.float32), jnp.asarray(1e-4 * points / 5))
    assert not middle.converged[:200].any()


def test_a_given_start_chooses_the_sheet(build):
    # From a focus-side point the distance has two local minima on the long ellipse; the start decides.
    mdf, point = build.level("ellipsoid", [2.0, 1.0, 1000.0], jnp.float32), jnp.asarray([0.1, 0.05, 0.0])
    search = jax.jit(nearest_point)
    ends = [search(mdf, point, jnp.asarray([0.1, side, 0.0])).position for side in (1.0, -1.0)]
    assert ends[0][1] > 0.9
    assert ends[1][1] < -0.9


def test_points_without_a_nearest_zero_are_reported_and_leave_other_lanes_alone(build):
    points = lanes([[3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [np.nan, 0.0, 0.0], [0.5, 0.0, 0.0]])
    found, _ = nearest_all(build.level("sphere", 1.0, jnp.float32), points)
    np.testing.assert_array_equal(found.converged[:4], [True, False, False, True])
    np.testing.assert_allclose(found.distance[jnp.asarray([0, 3])], [2.0, 0.5], atol=1e-5)
    for name in ("no zeros", "plateau"):
        assert not nearest_all(build.level(name, 1.0, jnp.float32), points)[0].converged.any()


@functools.partial(jax.jit, static_argnames="ways")
def derivatives(mdf, x, ways):
    """Nearest point, its derivatives in F's first number and in x each way, and what their formula needs."""

    def answer(number, x):
        found = nearest_point(Partial(mdf.func, number, *mdf.args[1:]), x)
        return found.position, found.distance

    found = nearest_point(mdf, x)
    slopes = [derivative(answer, argnums=(0, 1))(mdf.args[0], x) for derivative in ways]
    return found, slopes, jax.jacobian(mdf)(found.position), jax.hessian(mdf)(found.position)


def optimality_derivative(found, jacobian, hessian):
    """dy/dx = [P (I + Σ λ_i ∇²F_i) P]⁺ from dense derivatives at the nearest point."""
    tangent = np.eye(3) - np.linalg.pinv(jacobian) @ np.asarray(jacobian)
    curvature = np.einsum("k,kij->ij", found.multiplier, hessian)
    return np.linalg.pinv(tangent @ (np.eye(3) + curvature) @ tangent, rcond=1e-8)


def differences(nearest, step):
    """Central differences of positions and distances along the first six lanes: + + + - - -."""
    forward, backward = (jax.tree.map(lambda leaf, at=at: np.asarray(leaf[at : at + 3]), nearest) for at in (0, 3))
    return (forward.position - backward.position).T / (2 * step), (forward.distance - backward.distance) / (2 * step)


@pytest.mark.parametrize("name", ["ellipsoid", "circle_in_space"])
def test_derivatives_are_those_of_the_optimality_conditions_and_of_finite_differences(name, x64, build):
    point = jnp.asarray([1.3, 0.7, -0.4])
    steps = 1e-5 * np.concatenate([np.eye(3), -np.eye(3)])
    if name == "ellipsoid":
        mdf, ways = Partial(build.quadric, jnp.asarray([0.25, 1.0, 0.5]), jnp.asarray(1.0)), (jax.jacfwd, jax.jacrev)
        number_steps, with_number = steps, lambda curvature: build.level("ellipsoid", curvature**-0.5, jnp.float64)
    else:
        mdf, ways = Partial(circle_in_space().func, jnp.asarray(1.5)), (jax.jacrev,)
        number_steps, with_number = steps[:, 0], functools.partial(Partial, mdf.func)
    found, slopes, jacobian, hessian = derivatives(mdf, point, ways)
    expected = optimality_derivative(found, jacobian, hessian)
    away = np.asarray(point - found.position) / np.asarray(found.distance)

    # Truncation of the differences is 1e-10, and the solver's tolerance over the step 1e-7.
    by_point, _ = differences(
        nearest_all(with_number(mdf.args[0]), lanes(np.asarray(point) + steps, jnp.float64))[0], 1e-5
    )
    np.testing.assert_allclose(by_point, expected, atol=1e-6)
    moved = [nearest_all(with_number(mdf.args[0] + step), lanes([point], jnp.float64))[0] for step in number_steps]
    by_number = differences(jax.tree.map(lambda *leaves: np.stack([leaf[0] for leaf in leaves]), *moved), 1e-5)
    if name == "circle_in_space":  # it has one number, its radius, and the ellipsoid three
        by_number = by_number[0][:, 0], by_number[1][0]

    assert len(slopes) == len(ways)
    for (position_by_number, position_by_point), (distance_by_number, distance_by_point) in slopes:
        np.testing.assert_allclose(position_by_point, expected, atol=1e-10)
        np.testing.assert_allclose(distance_by_point, away, atol=1e-10)
        np.testing.assert_allclose(position_by_number, by_number[0], atol=1e-6)
        np.testing.assert_allclose(distance_by_number, by_number[1], atol=1e-6)


def test_on_the_manifold_the_distance_has_derivative_zero_and_the_position_the_tangent_projector(x64, build):
    point = jnp.asarray([0.6, 0.8, 0.0])
    found, slopes, _, _ = derivatives(
        Partial(build.quadric, jnp.ones(3), jnp.asarray(1.0)), point, (jax.jacfwd, jax.jacrev)
    )
    assert found.distance == 0
    for (_, by_point), (_, away) in slopes:
        np.testing.assert_array_equal(away, np.zeros(3))
        np.testing.assert_allclose(by_point, np.eye(3) - np.outer(point, point), atol=1e-12)


def _beyond_its_domain(x):
    return jnp.sqrt(x[:1] - 2)


# sampson_distance ---------------------------------------------------------------------------------

sampson_all = jax.jit(jax.vmap(sampson_distance, in_axes=(None, 0)))


def test_the_first_order_distance_is_exact_for_planes_in_any_units(dtype, build):
    rng = np.random.default_rng(0)
    matrix, offset = rng.normal(size=(2, 3)), rng.normal(size=2)
    points = cloud(3.0, dtype)
    gap = np.asarray(points, np.float64) @ matrix.T - offset
    exact = np.linalg.norm(gap @ np.linalg.pinv(matrix).T, axis=1)
    for factor in ([1.0, 1.0], [1e3, 1e-1]):
        mdf = build.scaled(build.affine_map(matrix, offset, dtype), factor, dtype)
        np.testing.assert_allclose(sampson_all(mdf, points), exact, rtol=2e-4 if dtype == jnp.float32 else 1e-12)


def test_the_error_of_the_first_order_distance_is_of_second_order(x64):
    outwards = np.array([np.cos(0.7), np.sin(0.7), 0.0])
    upwards = np.array([0.0, 0.0, 1.0])
    cases = (
        (sphere(2.0), 2 * outwards, outwards),
        (torus(), 4 * outwards, outwards),
        (circle_in_space(), outwards, outwards + upwards),
    )
    for mdf, foot, normal in cases:
        distance = np.array([1e-1, 1e-2, 1e-3, -1e-2])
        points = jnp.asarray(foot + distance[:, None] * normal / np.linalg.norm(normal))
        error = np.abs(np.asarray(sampson_all(mdf, points)) - np.abs(distance))
        # Curvature is at most 1, so the error is below d²; a wrong Gram matrix leaves an error of order d.
        assert (error <= distance**2).all()
        assert error[1] > 1e-6


def test_the_first_order_distance_has_no_nan_slope_on_the_manifold():
    slope = jax.jit(jax.grad(sampson_distance, argnums=1))(sphere(1.0), jnp.asarray([1.0, 0.0]))
    np.testing.assert_array_equal(slope, np.zeros(2))


@pytest.mark.parametrize(
    "case", [(sphere(1.0), [0.0, 0.0]), (sphere(1.0), [np.nan, 0.0]), (Partial(_beyond_its_domain), [1.0, 0.0])]
)
def test_a_first_order_distance_that_is_no_number_is_not_zero(case):
    assert not np.isfinite(sampson_distance(case[0], jnp.asarray(case[1])))


def test_of_many_constraints_that_are_too_uneven_to_solve_no_distance_is_told(build):
    random = np.random.default_rng(0)
    turn, rows = (np.linalg.qr(random.normal(size=size))[0] for size in ((40, 40), (60, 40)))
    for decades in (0, 2, 6, 9):
        matrix = turn @ np.diag(np.logspace(0, -decades, 40)) @ rows.T
        found = float(sampson_distance(build.affine_map(matrix, np.zeros(40), jnp.float32), jnp.ones(60)))
        assert not np.isfinite(found) or found == pytest.approx(np.linalg.norm(rows.T @ np.ones(60)), rel=0.05)


def _bounded_quadric(weights, x):
    return jnp.tanh(jnp.sum(weights * x**2, keepdims=True) - 1)


@pytest.mark.parametrize("spread", [1e-3, 1e-2])
def test_curvatures_that_hardly_differ_are_not_taken_for_saddles_by_rounding(spread):
    weights = 1 + spread * np.array([0.0, 1.0, -1.0, 0.5])
    inside = np.random.default_rng(0).normal(size=(1000, 4))
    inside *= 0.95 / np.linalg.norm(inside, axis=1, keepdims=True)
    mdf = Partial(_bounded_quadric, jnp.asarray(weights, jnp.float32))
    found = jax.jit(jax.vmap(nearest_point, (None, 0)))(mdf, jnp.asarray(inside, jnp.float32))
    assert found.converged.all()
    assert abs(found.curvature - 0.95).max() < 2 * spread
