import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax.tree_util import Partial

from implicit_manifolds._types import relative_tolerance
from implicit_manifolds.manifold.tangent import (
    DENSE_MAX_CODIMENSION,
    gram_solve,
    jacobian_times,
    linearize,
    normal_projection,
    pseudo_inverse_times,
    tangent_projection,
    transposed_times,
)
from implicit_manifolds.manifold.triangular import WRITTEN_OUT, gram_cholesky, lower_solve, orthonormal_complement

DIMENSION = 8
# Both precisions share the code; every shape in one of them is enough, and a third of them in both.
codimensions = pytest.mark.parametrize(
    ("dtype", "codimension"),
    [("float64", k) for k in range(1, 7)] + [("float32", k) for k in (1, 6)],
    indirect=["dtype"],
)


def rounding(dtype):
    """What a few hundred roundings may add up to: 2.4e-5 in float32, 4.4e-14 in float64."""
    return 200 * float(jnp.finfo(dtype).eps)


@jax.jit
def both_ways(mdf, x, v, u):
    """The dense Jacobian, and the module's answers with and without one: compiled once a shape."""

    def answers(at):
        return {
            "residual": at.residual,
            "jacobian_times": jacobian_times(mdf, at, v),
            "transposed_times": transposed_times(mdf, at, u),
            "gram_solve": gram_solve(mdf, at, u),
            "tangent_projection": tangent_projection(mdf, at, v),
        }

    dense, matrix_free = linearize(mdf, x, dense=True), linearize(mdf, x, dense=False)
    each = jax.vmap(lambda row: (tangent_projection(mdf, dense, row), normal_projection(mdf, dense, row)))
    projectors = each(jnp.eye(x.size, dtype=x.dtype))
    return jax.jacobian(mdf)(x), [answers(dense), answers(matrix_free)], projectors


def problem(build, codimension, dtype, seed=0, scale=1.0):
    """A quadratic map in R^8 with a point, a vector v (8,) and a vector u (k,)."""
    mdf, x = build.quadratic_map(DIMENSION, codimension, dtype, seed)
    rng = np.random.default_rng(seed)
    v, u = (jnp.asarray(rng.normal(size=size), dtype) for size in (DIMENSION, codimension))
    return build.scaled(mdf, scale, dtype), x, v, u


def tangent_projector(jacobian):
    """P = I - Jᵀ(JJᵀ)⁻¹J in double."""
    jacobian = np.asarray(jacobian, np.float64)
    return np.eye(jacobian.shape[1]) - jacobian.T @ np.linalg.solve(jacobian @ jacobian.T, jacobian)


@codimensions
def test_projectors_are_symmetric_idempotent_complementary_and_kill_the_normals(codimension, dtype, build):
    jacobian, _, projectors = both_ways(*problem(build, codimension, dtype))
    tangent, normal = (np.asarray(rows).T for rows in projectors)
    tolerance = rounding(dtype)
    assert tangent.dtype == dtype
    np.testing.assert_allclose(tangent, tangent_projector(jacobian), atol=tolerance)
    np.testing.assert_allclose(tangent @ tangent, tangent, atol=tolerance)
    np.testing.assert_allclose(normal @ normal, normal, atol=tolerance)
    np.testing.assert_allclose(tangent + normal, np.eye(DIMENSION), atol=tolerance)
    np.testing.assert_allclose(np.asarray(jacobian) @ tangent, 0, atol=tolerance)
    np.testing.assert_allclose(tangent, tangent.T, atol=tolerance)
    np.testing.assert_allclose(np.trace(tangent), DIMENSION - codimension, atol=tolerance)


@codimensions
def test_conjugate_gradients_agree_with_cholesky(codimension, dtype, build):
    mdf, x, v, u = problem(build, codimension, dtype)
    jacobian, ways, _ = both_ways(mdf, x, v, u)
    wide = np.asarray(jacobian, np.float64)
    expected = {
        "gram_solve": np.linalg.solve(wide @ wide.T, np.asarray(u, np.float64)),
        "tangent_projection": tangent_projector(jacobian) @ np.asarray(v, np.float64),
    }
    for answers in ways:
        for name, value in expected.items():
            # The condition number of G is about 4; conjugate gradients stop at the relative tolerance.
            np.testing.assert_allclose(answers[name], value, atol=20 * relative_tolerance(dtype), err_msg=name)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(codimension=st.sampled_from([1, 6]), exponent=st.integers(-6, 6), seed=st.integers(0, 1000))
def test_products_with_the_jacobian_match_a_dense_one_at_any_scale_of_f(dtype, build, codimension, exponent, seed):
    mdf, x, v, u = problem(build, codimension, dtype, seed, 10.0**exponent)
    jacobian, ways, _ = both_ways(mdf, x, v, u)
    tolerance = rounding(dtype) * 10.0**exponent
    for answers in ways:
        np.testing.assert_allclose(answers["residual"], 0, atol=tolerance)
        np.testing.assert_allclose(answers["jacobian_times"], np.asarray(jacobian) @ np.asarray(v), atol=tolerance)
        np.testing.assert_allclose(answers["transposed_times"], np.asarray(u) @ np.asarray(jacobian), atol=tolerance)
        tangent = tangent_projector(jacobian) @ np.asarray(v)
        np.testing.assert_allclose(answers["tangent_projection"], tangent, atol=50 * relative_tolerance(dtype))


@pytest.mark.parametrize("codimension", [1, 2, WRITTEN_OUT, WRITTEN_OUT + 1, 13, DENSE_MAX_CODIMENSION + 1])
def test_factors_and_solves_are_those_of_lapack_whether_written_out_or_not(codimension, x64):
    jacobian = np.random.default_rng(0).normal(size=(codimension, 40))
    factor = gram_cholesky(jnp.asarray(jacobian))
    expected = np.linalg.cholesky(jacobian @ jacobian.T)
    np.testing.assert_allclose(factor, expected, atol=1e-12)
    normals = lower_solve(factor, jnp.asarray(jacobian))
    np.testing.assert_allclose(normals, np.linalg.solve(expected, jacobian), atol=1e-11)
    mdf, right = Partial(_times, jnp.asarray(jacobian)), np.arange(codimension) + 1.0
    solution = gram_solve(mdf, linearize(mdf, jnp.zeros(40)), jnp.asarray(right))
    np.testing.assert_allclose(solution, np.linalg.solve(jacobian @ jacobian.T, right), rtol=1e-9)


def _times(matrix, x):
    return matrix @ x


@pytest.mark.parametrize("dense", [True, False])
def test_the_pseudo_inverse_gives_the_shortest_solution(dense, dtype, build):
    mdf, x, _, u = problem(build, 3, dtype)
    solve = jax.jit(lambda mdf, x, u: pseudo_inverse_times(mdf, linearize(mdf, x, dense=dense), u))
    jacobian = np.asarray(jax.jit(lambda mdf, x: jax.jacobian(mdf)(x))(mdf, x), np.float64)
    shortest = np.linalg.pinv(jacobian) @ np.asarray(u)
    np.testing.assert_allclose(solve(mdf, x, u), shortest, atol=20 * relative_tolerance(dtype))


def test_a_solution_cut_short_leads_down_the_norm_of_the_residual_as_a_whole_one_does(x64, build):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 300)) * np.geomspace(1e-4, 1, 200)[:, None]
    mdf = build.affine_map(matrix, np.zeros(200), jnp.float64)
    b = jnp.asarray(rng.normal(size=200))
    at = linearize(mdf, jnp.zeros(300))
    found = jax.jit(lambda mdf, b: pseudo_inverse_times(mdf, at, b, 0.1, most=20))(mdf, b)
    change = jacobian_times(mdf, at, found)
    assert jnp.linalg.norm(b - change) > 0.5 * jnp.linalg.norm(b)
    np.testing.assert_allclose(b @ change, b @ b, rtol=1e-6)


def test_the_row_norms_are_those_of_the_gradients_or_their_root_mean_square(dtype, build):
    matrix = np.diag([1.0, 2.0, 5.0]) @ np.linalg.qr(np.random.default_rng(0).normal(size=(6, 3)))[0].T
    mdf = build.affine_map(matrix, np.zeros(3), dtype)
    # The rows are orthogonal, so the random-sign estimate of the matrix-free path is exact as well.
    norms = jax.jit(lambda mdf, x: [linearize(mdf, x, dense=dense).row_norms for dense in (True, False)])
    expected = [[1, 2, 5], [np.sqrt(30 / 3)] * 3]
    np.testing.assert_allclose(norms(mdf, jnp.ones(6, dtype)), expected, rtol=rounding(dtype))


def _stretched_squares(scale, x):
    return scale * x[: scale.shape[0]] ** 2 - 1


@pytest.mark.parametrize(("codimension", "dense"), [(DENSE_MAX_CODIMENSION, True), (DENSE_MAX_CODIMENSION + 1, False)])
def test_the_jacobian_is_formed_up_to_the_documented_codimension_only(codimension, dense, build):
    dimension = codimension + 20
    mdf = Partial(_stretched_squares, jnp.linspace(1.0, 2.0, codimension))
    formed = []

    def everything(x, v):
        at = linearize(mdf, x)
        formed.append((at.jacobian is not None, at.gram_factor is not None))
        return tangent_projection(mdf, at, v), pseudo_inverse_times(mdf, at, at.residual)

    largest = max(build.array_sizes(everything, jnp.ones(dimension), jnp.ones(dimension)))
    assert formed == [(dense, dense)]
    assert largest >= codimension * dimension if dense else largest <= dimension


@pytest.mark.parametrize("ratio", [1e3, 1e5])
def test_the_matrix_free_projector_is_right_or_says_that_it_is_not(ratio, build):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 100)) * np.geomspace(1, ratio, 40)[:, None]
    mdf = build.affine_map(matrix, np.zeros(40), jnp.float32)
    v = jnp.asarray(rng.normal(size=100), jnp.float32)
    project = jax.jit(lambda v: tangent_projection(mdf, linearize(mdf, jnp.zeros(100)), v))
    for unit in (1.0, 1e-12):
        found = np.asarray(project(unit * v)) / unit
        # The dense path is right to 1e-6 on the same problem; not finite counts as saying so.
        right = np.abs(found - tangent_projector(matrix) @ np.asarray(v)).max() < 1e-2
        assert right or (ratio > 1e4 and not np.isfinite(found).all())


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_without_a_jacobian_a_solution_has_the_unit_of_what_is_solved_for(unit, build):
    rng = np.random.default_rng(0)
    mdf = build.affine_map(rng.normal(size=(40, 100)), np.zeros(40), jnp.float32)
    b = jnp.asarray(rng.normal(size=40), jnp.float32)
    solve = jax.jit(lambda b: gram_solve(mdf, linearize(mdf, jnp.zeros(100)), b))
    np.testing.assert_allclose(solve(unit * b), unit * solve(b), rtol=1e-3)


@pytest.mark.parametrize("matrix", [[[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]], [[0.0, 0.0, 0.0]]])
def test_a_rank_deficient_jacobian_gives_no_finite_projection(matrix, build):
    mdf = build.affine_map(matrix, np.zeros(len(matrix)), jnp.float32)
    projection = jax.jit(lambda mdf, x: tangent_projection(mdf, linearize(mdf, x), x))
    assert not np.isfinite(projection(mdf, jnp.ones(3))).all()


@pytest.mark.parametrize("count", [1, 3])
def test_an_orthonormal_complement_is_one(count, x64):
    rows = np.random.default_rng(count).normal(size=(count, 6))
    rows[0, 0] = -abs(rows[0, 0])  # reflections go away from zero on either side
    found = np.asarray(orthonormal_complement(jnp.asarray(rows)))
    np.testing.assert_allclose(found @ found.T, np.eye(6 - count), atol=1e-12)
    np.testing.assert_allclose(found @ rows.T, 0, atol=1e-12)
    axis = np.eye(6)[:count]
    np.testing.assert_allclose(orthonormal_complement(jnp.asarray(axis)) @ axis.T, 0, atol=1e-12)
