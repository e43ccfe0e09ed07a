import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds.manifold.algebra import intersection, pull_back, translate, union
from implicit_manifolds.manifold.analytic import circle_in_space, sphere, torus, torus_point
from implicit_manifolds.manifold.projection import project
from implicit_manifolds.manifold.ridge import Ridge
from implicit_manifolds.manifold.tangent import codimension_of, framed, linearize

POINTS = np.random.default_rng(0).normal(size=(20, 3))


def values(mdf, dtype):
    return np.asarray(jax.jit(jax.vmap(mdf))(jnp.asarray(POINTS, dtype)))


def test_an_intersection_stacks_the_residuals(dtype):
    both = intersection(sphere(1.0), circle_in_space(2.0), torus())
    expected = np.concatenate(
        [values(sphere(1.0), dtype), values(circle_in_space(2.0), dtype), values(torus(), dtype)], 1
    )
    np.testing.assert_allclose(values(both, dtype), expected, rtol=1e-6)


def test_a_union_is_zero_on_each_part_and_nowhere_else(dtype):
    shells = union(sphere(1.0), sphere(2.0), sphere(3.0))
    radii = np.linalg.norm(POINTS, axis=1)
    expected = (radii**2 - 1) * (radii**2 - 4) * (radii**2 - 9)
    np.testing.assert_allclose(values(shells, dtype)[:, 0], expected, rtol=1e-4, atol=1e-4)
    for radius in (1.0, 2.0, 3.0):
        assert shells(jnp.asarray([radius, 0.0, 0.0], dtype)) == 0


@pytest.mark.parametrize("first", [circle_in_space(), sphere()])
def test_a_union_with_a_part_of_codimension_two_is_refused(first):
    with pytest.raises(ValueError, match="codimension 1"):
        union(first, circle_in_space())(jnp.ones(3))
    with pytest.raises(ValueError, match="codimension 1"):
        union(circle_in_space(), first)(jnp.ones(3))


def test_a_union_of_codimensions_two_and_three_is_refused_in_the_same_words():
    with pytest.raises(ValueError, match="codimension 1"):
        union(circle_in_space(), intersection(sphere(), sphere(), sphere()))(jnp.ones(3))


def _turn(matrix, x):
    return matrix @ x


def test_a_pull_back_moves_the_zeros_by_the_inverse_and_the_gradient_by_the_chain_rule(dtype):
    matrix = np.random.default_rng(1).normal(size=(3, 3))
    turned = pull_back(torus(), Partial(_turn, jnp.asarray(matrix, dtype)))
    on_torus = np.asarray(torus_point(jnp.linspace(-3.0, 3.0, 7), jnp.linspace(0.0, 3.0, 7)), np.float64)
    tolerance = 1e4 * float(jnp.finfo(dtype).eps)
    zeros = jnp.asarray(np.linalg.solve(matrix, on_torus.T).T, dtype)
    np.testing.assert_allclose(jax.vmap(turned)(zeros), 0, atol=tolerance)
    x = jnp.asarray(POINTS[0], dtype)
    chained = jax.jacobian(torus())(jnp.asarray(matrix, dtype) @ x) @ jnp.asarray(matrix, dtype)
    np.testing.assert_allclose(jax.jacobian(turned)(x), chained, rtol=1e-4)


def test_translate_shifts_the_zeros_by_the_offset(dtype):
    offset = jnp.asarray([10.0, -4.0, 0.5], dtype)
    moved = translate(sphere(2.0), offset)
    assert moved(offset + jnp.asarray([0.0, 2.0, 0.0], dtype)) == 0
    expected = ((POINTS - np.asarray(offset, np.float64)) ** 2).sum(axis=1) - 4
    np.testing.assert_allclose(values(moved, dtype)[:, 0], expected, rtol=1e-5)


def test_arithmetic_travels_through_jit_as_an_argument_and_new_numbers_do_not_retrace():
    traces = []

    @jax.jit
    def evaluate(mdf, x):
        traces.append(1)
        return mdf(x)

    x = jnp.ones(3)
    for radius in (1.0, 2.0):
        for shift in (0.0, 1.0):
            part = translate(sphere(radius), jnp.full(3, shift))
            mdf = intersection(union(part, sphere(3.0)), pull_back(sphere(5.0), Partial(_turn, jnp.eye(3))))
            expected = (3 * (1 - shift) ** 2 - radius**2) * (3 - 9), 3 - 25
            np.testing.assert_allclose(evaluate(mdf, x), expected)
    assert len(traces) == 1


def test_the_closed_form_level_sets_are_zero_exactly_where_they_should_be(dtype):
    tolerance = 40 * float(jnp.finfo(dtype).eps)
    ring, tube = jnp.meshgrid(*2 * [jnp.linspace(-3.1, 3.1, 9, dtype=dtype)])
    points = torus_point(ring, tube, 2.0, 0.5)
    assert points.shape == (9, 9, 3)
    np.testing.assert_allclose(jax.vmap(jax.vmap(torus(2.0, 0.5)))(points), 0, atol=tolerance)
    np.testing.assert_allclose(jnp.hypot(points[..., 0], points[..., 1]), 2 + 0.5 * jnp.cos(tube), rtol=tolerance)
    np.testing.assert_allclose(points[..., 2], 0.5 * jnp.sin(tube), atol=tolerance)
    assert torus(2.0, 0.5)(jnp.asarray([2.0, 0.0, 0.0], dtype)) == -0.25
    np.testing.assert_allclose(circle_in_space(1.5)(jnp.asarray([0.0, 1.5, 0.0], dtype)), [0, 0], atol=tolerance)
    np.testing.assert_allclose(circle_in_space(1.5)(jnp.asarray([0.0, 0.0, 2.0], dtype)), [1.75, 2.0])
    for dimension in (2, 3, 7):
        assert sphere(2.0)(jnp.zeros(dimension, dtype)) == -4


def _off_sphere(x):
    return x - x / jnp.linalg.norm(x)


def _height(x):
    return x[2:]


def test_ridges_are_moved_stretched_and_intersected_with_their_frames(dtype):
    """A unit sphere as a ridge, moved up by .6: it meets the plane z = 0 in a circle of radius .8."""
    moved = translate(Ridge(Partial(_off_sphere), 1, reach=jnp.asarray(0.5, dtype)), jnp.asarray([0, 0, 0.6], dtype))
    meeting = intersection(moved, Partial(_height))
    assert codimension_of(meeting, jnp.zeros(3)) == 2
    found = jax.jit(jax.vmap(project, (None, 0)))(meeting, jnp.asarray([[1.0, 0.2, 0.3], [-0.5, 0.4, -0.1]], dtype))
    assert found.converged.all()
    tolerance = 100 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(jnp.linalg.norm(found.position[:, :2], axis=1), 0.8, atol=tolerance)
    np.testing.assert_allclose(found.position[:, 2], 0, atol=tolerance)
    on_moved = jax.jit(jax.vmap(project, (None, 0)))(moved, found.position)
    np.testing.assert_allclose(on_moved.position, found.position, atol=tolerance)
    x = jnp.asarray([0.9, 0.1, 0.05], dtype)
    at = linearize(meeting, x)
    np.testing.assert_allclose(at.jacobian, jax.jacobian(framed(meeting, at))(x), atol=30 * tolerance)
    assert not linearize(meeting, jnp.asarray([0.1, 0.1, 0.6], dtype)).within  # beyond the reach of the sphere
