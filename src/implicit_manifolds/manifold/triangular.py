"""Cholesky factors, triangular solves and reflections of small matrices, as arithmetic that fuses over lanes."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from .._types import Array, Float

WRITTEN_OUT, LARGEST = 4, 32
"""Up to how many rows factors and solves are written out number by number, and halved until they are: LAPACK costs
microseconds a lane. Above it is LAPACK all the same."""


def gram_cholesky(jacobian: Float[Array, "k n"]) -> Float[Array, "k k"]:
    """Lower Cholesky factor of J Jᵀ, (k, k); NaN where J is rank-deficient."""
    return cholesky(jacobian @ jacobian.T)


@jax.custom_jvp
def half_log_det_gram(jacobian: Float[Array, "k n"]) -> Float[Array, ""]:
    """½ log det J Jᵀ; NaN where J is rank-deficient.

    Its derivative is ⟨(J Jᵀ)⁻¹J, dJ⟩: through a factor written out number by number it takes longer to compile and run.
    """
    return jnp.sum(jnp.log(jnp.diag(gram_cholesky(jacobian))))


@half_log_det_gram.defjvp
def _half_log_det_gram_jvp(primals, tangents):
    (jacobian,), (change,) = primals, tangents
    factor = gram_cholesky(jacobian)
    dual = upper_solve(factor, lower_solve(factor, jacobian))
    return jnp.sum(jnp.log(jnp.diag(factor))), jnp.sum(dual * change)


def cholesky(gram: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """Lower Cholesky factor of a positive definite matrix, (k, k); NaN where it is not."""
    size = len(gram)
    if size > LARGEST:
        return jnp.linalg.cholesky(gram)
    if size <= WRITTEN_OUT:
        return _cholesky_written_out(gram)
    half = (size + 1) // 2
    upper = cholesky(gram[:half, :half])
    beside = lower_solve(upper, gram[:half, half:])
    lower = cholesky(gram[half:, half:] - _product(beside.T, beside))
    return jnp.block([[upper, jnp.zeros_like(beside)], [beside.T, lower]])


def _cholesky_written_out(gram):
    zero = jnp.zeros_like(gram[0, 0])
    factor = [[zero] * len(gram) for _ in gram]
    for j in range(len(gram)):
        pivot = gram[j, j] - sum(factor[j][m] ** 2 for m in range(j))
        factor[j][j] = jnp.sqrt(pivot)
        for i in range(j + 1, len(gram)):
            factor[i][j] = (gram[i, j] - sum(factor[i][m] * factor[j][m] for m in range(j))) / factor[j][j]
    return jnp.stack([jnp.stack(row) for row in factor])


def _product(a, b):
    """A b of small matrices as sums that fuse over lanes, where a product would be a call a lane."""
    return sum(jnp.multiply.outer(a[:, i], b[i]) for i in range(a.shape[1]))


def lower_solve(factor: Float[Array, "k k"], b: Float[Array, " k *c"]) -> Float[Array, " k *c"]:
    """L⁻¹b for a lower triangular L, (k,) or (k, c) to the same."""
    size = len(factor)
    if size > LARGEST:
        return solve_triangular(factor, b, lower=True)
    if size > WRITTEN_OUT:
        half = (size + 1) // 2
        first = lower_solve(factor[:half, :half], b[:half])
        return jnp.concatenate(
            [first, lower_solve(factor[half:, half:], b[half:] - _product(factor[half:, :half], first))]
        )
    rows: list = []
    for i in range(size):
        rows.append((b[i] - sum(factor[i, m] * rows[m] for m in range(i))) / factor[i, i])
    return jnp.stack(rows)


def upper_solve(factor: Float[Array, "k k"], b: Float[Array, " k *c"]) -> Float[Array, " k *c"]:
    """L⁻ᵀb for a lower triangular L, (k,) or (k, c) to the same."""
    size = len(factor)
    if size > LARGEST:
        return solve_triangular(factor, b, lower=True, trans=1)
    if size > WRITTEN_OUT:
        half = (size + 1) // 2
        last = upper_solve(factor[half:, half:], b[half:])
        first = upper_solve(factor[:half, :half], b[:half] - _product(factor[half:, :half].T, last))
        return jnp.concatenate([first, last])
    rows: dict = {}
    for i in reversed(range(size)):
        rows[i] = (b[i] - sum(factor[m, i] * rows[m] for m in range(i + 1, size))) / factor[i, i]
    return jnp.stack([rows[i] for i in range(size)])


def orthonormal_complement(rows: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """Orthonormal rows that span what is orthogonal to k independent ones, by Householder reflections; m = n - k."""
    count, size = rows.shape

    def reflect(rows, index):
        row = jnp.where(jnp.arange(size) < index, 0, rows[index])
        mirror = row.at[index].add(jnp.where(row[index] < 0, -1, 1) * jnp.linalg.norm(row))
        mirror /= jnp.linalg.norm(mirror)
        return rows - 2 * jnp.outer(rows @ mirror, mirror), mirror

    _, mirrors = jax.lax.scan(reflect, rows, jnp.arange(count))
    undo = lambda basis, mirror: (basis - 2 * jnp.outer(basis @ mirror, mirror), None)
    return jax.lax.scan(undo, jnp.eye(size, dtype=rows.dtype)[count:], mirrors, reverse=True)[0]
