"""The least eigenvalue of a symmetric operator that is known by its products: Lanczos' method."""

import jax
import jax.numpy as jnp

from .._types import Scalar, Vector
from .spectrum import descending_eigh


def least_eigenvalue(product, within, start: Vector, steps: int) -> tuple[Scalar, Vector]:
    """The least eigenvalue among those that so many steps see from `start`, and its unit vector (n,) (Lanczos 1950).

    product: v -> A v, A symmetric, which keeps to a space that `start` lies in, and that `within` projects to; all its
    eigenvalues there are seen after as many steps as it has different ones. All vectors are kept and each is made
    orthogonal to those before, twice; where they span all that A makes of the start, further ones are left out. What is
    left of a vector then is rounding, most of it out of the space, where it would pass for an eigenvalue of zero.
    """
    size, tiny = start.size, 100 * jnp.finfo(start.dtype).eps

    def step(index, carry):
        vectors, images, v, alive = carry
        v = jnp.where(alive, v, 0)
        image = product(v)
        vectors, images = vectors.at[index].set(v), images.at[index].set(image)
        rest = image
        for _ in range(2):
            rest = within(rest - (vectors @ rest) @ vectors)
        length = jnp.linalg.norm(rest)
        alive = alive & (length > tiny * (1 + jnp.linalg.norm(image)))
        return vectors, images, rest / jnp.where(alive, length, 1), alive

    room = jnp.zeros((steps, size), start.dtype)
    carry = (room, room, start / jnp.linalg.norm(start), jnp.asarray(True))
    vectors, images, *_ = jax.lax.fori_loop(0, steps, step, carry)
    table = vectors @ images.T
    unused = jnp.sum(vectors**2, axis=1) < 0.5
    beyond = 1 + 2 * jnp.sum(jnp.abs(table))
    values, turns = descending_eigh((table + table.T) / 2 + jnp.diag(jnp.where(unused, beyond, 0)))
    return values[-1], turns[:, -1] @ vectors
