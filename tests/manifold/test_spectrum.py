import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds.manifold.spectrum import ROTATED, descending_eigh, leading_projector


def symmetric(random, size):
    matrix = random.normal(size=(size, size))
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("size", [1, 2, 3, ROTATED, ROTATED + 1])
def test_eigenvectors_are_orthonormal_in_falling_order_and_give_the_matrix_back(size, dtype):
    random = np.random.default_rng(size)
    basis = np.linalg.qr(random.normal(size=(size, size)))[0]
    grouped = basis @ np.diag(np.where(np.arange(size) % 2, 2.0, -1.0)) @ basis.T
    for matrix in (symmetric(random, size), 1e3 * symmetric(random, size), grouped, np.zeros((size, size))):
        values, vectors = jax.jit(descending_eigh)(jnp.asarray(matrix, dtype))
        rounding = 30 * jnp.finfo(dtype).eps
        assert jnp.abs(vectors @ jnp.diag(values) @ vectors.T - matrix).max() <= rounding * max(abs(matrix).max(), 1e-9)
        assert jnp.abs(vectors.T @ vectors - jnp.eye(size)).max() <= rounding
        assert (jnp.diff(values) <= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "rank"), [(3, 1), (4, 2), (ROTATED + 1, 3)])
def test_three_derivatives_of_the_projector_are_finite_differences_where_others_coincide(size, rank, x64):
    random = np.random.default_rng(rank)
    basis = np.linalg.qr(random.normal(size=(size, size)))[0]
    centre = jnp.asarray(basis @ np.diag((np.arange(size) < rank).astype(float)) @ basis.T)
    linear, square = jnp.asarray(symmetric(random, size)), jnp.asarray(symmetric(random, size))

    def projector(t):
        return leading_projector(centre + t * linear + t**2 * square, rank)

    functions = [projector]
    for _ in range(3):
        functions.append(jax.jit(jax.jacfwd(functions[-1])))
    step = 1e-3
    for function, derivative in itertools.pairwise(functions):
        at = {shift: np.asarray(function(shift * step)) for shift in (-2, -1, 1, 2)}
        difference = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
        np.testing.assert_allclose(derivative(0.0), difference, atol=1e-7 * abs(difference).max())
    np.testing.assert_allclose(jax.jacrev(projector)(0.0), functions[1](0.0), atol=1e-12)
    np.testing.assert_allclose(jax.jacfwd(jax.jacrev(projector))(0.0), functions[2](0.0), atol=1e-11)


def test_the_first_derivative_of_the_projector_is_that_of_perturbation_theory(x64):
    random = np.random.default_rng(0)
    matrix, change = symmetric(random, 4), symmetric(random, 4)
    projector, slope = jax.jit(lambda a, b: jax.jvp(lambda m: leading_projector(m, 2), (a,), (b,)))(
        jnp.asarray(matrix), jnp.asarray(change)
    )
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    np.testing.assert_allclose(projector, vectors[:, :2] @ vectors[:, :2].T, atol=1e-12)
    # First order: Σ over i leading and j not of (u_i u_jᵀ + u_j u_iᵀ) (u_iᵀ B u_j) / (λ_i - λ_j).
    mixed = (vectors[:, :2].T @ change @ vectors[:, 2:]) / (values[:2, None] - values[None, 2:])
    expected = vectors[:, :2] @ mixed @ vectors[:, 2:].T
    np.testing.assert_allclose(slope, expected + expected.T, atol=1e-10)
