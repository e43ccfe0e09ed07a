"""Small symmetric matrices: their eigenvectors, and the projector on the leading ones with derivatives of any order."""

from functools import partial

import jax
import jax.numpy as jnp

from .._types import Array, Float, Vector

Matrix = Float[Array, "n n"]
ROTATED = 6
"""Up to this size eigenvectors come from Jacobi's rotations, written out: a LAPACK call per lane costs more."""
SWEEPS = 5
"""Sweeps of rotations that float32 needs, by which errors fall quadratically; float64 takes one more."""


def descending_eigh(matrix: Matrix) -> tuple[Vector, Matrix]:
    """Eigenvalues (n,) of a symmetric matrix, the largest first, and its eigenvectors as columns (n, n).

    Not to be differentiated: inside a group of equal eigenvalues the eigenvectors are any.
    """
    if len(matrix) > ROTATED:
        values, vectors = jnp.linalg.eigh(matrix)
        return values[::-1], vectors[:, ::-1]
    values, vectors = _rotated(matrix)
    place = jnp.arange(len(values))
    before = (values[None] > values[:, None]) | ((values[None] == values[:, None]) & (place[None] < place[:, None]))
    order = jax.nn.one_hot(before.sum(axis=1), len(values), dtype=values.dtype)
    return values @ order, vectors @ order


def _rotated(matrix: Matrix) -> tuple[Vector, Matrix]:
    """Eigenvalues and eigenvectors by cyclic Jacobi sweeps (Golub & Van Loan 2013, §8.5), in no order."""
    size = len(matrix)
    sweeps = SWEEPS + (matrix.dtype == jnp.float64)
    one, zero = jnp.ones_like(matrix[0, 0]), jnp.zeros_like(matrix[0, 0])
    # Rows of numbers, so that each rotation is arithmetic that XLA fuses over all lanes.
    upper = [[matrix[i, j] for j in range(i, size)] for i in range(size)]
    vectors = [[one if i == j else zero for j in range(size)] for i in range(size)]

    def sweep(_, carry):
        upper, vectors = carry
        full = [[upper[min(i, j)][abs(i - j)] for j in range(size)] for i in range(size)]
        vectors = [list(row) for row in vectors]
        for p in range(size):
            for q in range(p + 1, size):
                _rotate(full, vectors, p, q)
        return [[full[i][j] for j in range(i, size)] for i in range(size)], vectors

    upper, vectors = jax.lax.fori_loop(0, sweeps, sweep, (upper, vectors))
    return jnp.stack([row[0] for row in upper]), jnp.stack([jnp.stack(row) for row in vectors])


def _rotate(full: list, vectors: list, p: int, q: int) -> None:
    """Make entry (p, q) zero, in place."""
    size, off = len(full), full[p][q]
    ratio = (full[q][q] - full[p][p]) / jnp.where(off == 0, 1, 2 * off)
    tangent = jnp.where(ratio >= 0, 1, -1) / (jnp.abs(ratio) + jnp.sqrt(1 + ratio**2))
    tangent = jnp.where(off == 0, 0, tangent)
    cosine = jax.lax.rsqrt(1 + tangent**2)
    sine = cosine * tangent
    full[p][p], full[q][q] = full[p][p] - tangent * off, full[q][q] + tangent * off
    full[p][q] = full[q][p] = jnp.zeros_like(off)
    for i in range(size):
        if i not in (p, q):
            first, second = full[i][p], full[i][q]
            full[i][p] = full[p][i] = cosine * first - sine * second
            full[i][q] = full[q][i] = sine * first + cosine * second
        first, second = vectors[i][p], vectors[i][q]
        vectors[i][p], vectors[i][q] = cosine * first - sine * second, sine * first + cosine * second


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def leading_projector(matrix: Matrix, rank: int) -> Matrix:
    """The orthogonal projector on the eigenvectors of the `rank` largest eigenvalues of a symmetric matrix.

    Smooth wherever eigenvalue `rank` is larger than the next, however the others coincide:
    dP = S + Sᵀ with S = P S (I - P) and P H S - S H = P dH (I - P).
    """
    leading = descending_eigh(matrix)[1][:, :rank]
    return leading @ leading.T


@leading_projector.defjvp
def _leading_projector_jvp(rank, primals, tangents):
    (matrix,), (change,) = primals, tangents
    projector = leading_projector(matrix, rank)
    moved = _coupling(rank, matrix, projector, change)
    return projector, moved + moved.T


def _coupling(rank: int, matrix: Matrix, projector: Matrix, change: Matrix) -> Matrix:
    """S with S = P S Q and H S - S H = P C Q, for P the leading projector of H and Q = I - P.

    As a linear system, symmetric in S: JAX differentiates that, forward and backward, and never the eigenvectors.
    """
    across = lambda part: projector @ (part - part @ projector)

    # The identity elsewhere, so that the system has full rank.
    commuted = lambda part: part + across(matrix @ part - part @ matrix - part)

    def solve(_, right):
        values, vectors = descending_eigh(matrix)
        leading, rest = vectors[:, :rank], vectors[:, rank:]
        gaps = values[:rank, None] - values[None, rank:]
        inside = leading.T @ right @ rest
        return right + leading @ (inside / gaps - inside) @ rest.T

    return jax.lax.custom_linear_solve(commuted, across(change), solve, symmetric=True)
