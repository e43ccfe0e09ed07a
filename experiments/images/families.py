"""Families of images that fill a manifold that is known: a 3-sphere of two blobs, a Möbius strip of lines in a disc."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.images.near import nearest

SIDE = 28
ROWS, COLUMNS = (jnp.asarray(grid, float) for grid in np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"))
BLOB, REACH = 2.5, (5.0, 4.0)
"""Standard deviation of a blob in pixels, and how far it moves down and across."""
LINE, OFFSET, DISC = 2.0, 6.0, 11.0
"""Standard deviation of a line's profile, its greatest offset from the middle, and the disc's radius, in pixels."""
NEWTONS, REFERENCE = 15, 4000

Name = Literal["blobs", "lines"]


class Family(NamedTuple):
    """Images (784,) of parameters (d,) that fill a manifold of `dimension` m.

    draw(random, count): parameters (count, d), uniform in their own terms. directions(p): how parameters may move,
    orthonormal columns (d, m). back(p): the parameters that moved ones stand for. statistics(p): what laws are compared
    in, by name, each without regard to how the same image is written.
    """

    dimension: int
    draw: Callable[[np.random.Generator, int], np.ndarray]
    image: Callable[[jax.Array], jax.Array]
    directions: Callable[[jax.Array], jax.Array]
    back: Callable[[jax.Array], jax.Array]
    statistics: Callable[[np.ndarray], dict[str, np.ndarray]]


def _blobs(q):
    """Two blobs, each in its half of the image; where they are is a point of the unit sphere in R^4."""
    blob = lambda row, column: jnp.exp(-((ROWS - row) ** 2 + (COLUMNS - column) ** 2) / (2 * BLOB**2))
    (down, across), middle = REACH, (SIDE - 1) / 2
    left = blob(middle + down * q[0], middle - 6.5 + across * q[1])
    return (left + blob(middle + down * q[2], middle + 6.5 + across * q[3])).ravel()


def _lines(p):
    """A line of light through a disc, by its angle and its offset: (a + π, -s) is the same line as (a, s)."""
    rows, columns = ROWS - (SIDE - 1) / 2, COLUMNS - (SIDE - 1) / 2
    off = rows * jnp.cos(p[0]) + columns * jnp.sin(p[0]) - p[1] * OFFSET
    return (jnp.exp(-(off**2) / (2 * LINE**2)) * jax.nn.sigmoid(DISC - jnp.hypot(rows, columns))).ravel()


def _on_sphere(random, count):
    drawn = random.normal(size=(count, 4))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _of_lines(random, count):
    return np.stack([random.uniform(0, np.pi, count), random.uniform(-1, 1, count)], axis=1)


FAMILIES: dict[Name, Family] = {
    "blobs": Family(
        3,
        _on_sphere,
        _blobs,
        lambda q: jnp.linalg.svd(jnp.outer(q, q))[0][:, 1:],
        lambda q: q / jnp.linalg.norm(q),
        lambda q: {f"q{axis + 1}": q[:, axis] for axis in range(4)} | {"first blob": np.hypot(q[:, 0], q[:, 1])},
    ),
    "lines": Family(
        2,
        _of_lines,
        _lines,
        lambda p: jnp.eye(2),
        lambda p: p,
        lambda p: {"angle": np.mod(p[:, 0], np.pi), "offset": np.abs(p[:, 1])},
    ),
}


def images_of(family: Family, parameters: np.ndarray) -> np.ndarray:
    """Images (N, 784) of parameters (N, d)."""
    return np.asarray(jax.jit(jax.vmap(family.image))(jnp.asarray(parameters, float)))


def nearest_parameters(family: Family, images: np.ndarray) -> np.ndarray:
    """Parameters (N, d) of the family's image nearest to each image (N, 784), by Gauss-Newton from the best of many."""
    reference = family.draw(np.random.default_rng(0), REFERENCE)
    starts = reference[nearest(images, images_of(family, reference))[0]]

    @jax.jit
    @jax.vmap
    def refined(image, start):
        def step(_, p):
            along = family.directions(p)
            moved = _tangents(family, p)
            return family.back(p + along @ jnp.linalg.lstsq(moved, image - family.image(p))[0])

        return jax.lax.fori_loop(0, NEWTONS, step, start)

    return np.asarray(refined(jnp.asarray(images), jnp.asarray(starts, float)))


def true_tangents(family: Family, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal tangents (N, 784, m) of the true manifold, and how much volume its parameters have there (N,)."""
    found = jax.lax.map(lambda p: jnp.linalg.qr(_tangents(family, p)), jnp.asarray(parameters, float), batch_size=1000)
    return np.asarray(found[0]), np.abs(np.prod(np.asarray(jnp.diagonal(found[1], axis1=1, axis2=2)), axis=1))


def _tangents(family: Family, p):
    return jax.jacfwd(family.image)(p) @ family.directions(p)
