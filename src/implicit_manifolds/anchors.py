"""Which points reach the learned manifold: anchors and starts of chains, and the choice among restarts."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from ._loops import in_blocks
from ._random import Box, host_generator, uniform_in_box
from ._types import MDF, Array, Bool, Float, RandomKey
from .losses.manifold import singular_values
from .manifold.projection import project

BLOCK = 1000
SLACK = 1.15


def points_on_manifold(
    key: RandomKey, mdf: MDF, points: Float[Array | np.ndarray, "points n"], box: Box, count: int
) -> tuple[Float[Array, "anchors n"], Float[Array, "count n"]]:
    """Anchors, training points (N, n) projected onto {F = 0}; and starts (count, n) of fresh chains, on it too.

    Starts are uniform noise of the box, projected. Noise that does not reach M (a plateau of ‖F‖), or reaches it
    outside the box, is replaced by a random anchor, so every start lies on M. Raises ArithmeticError where no
    training point reaches M inside the box, and warns where more than 1 % do not.
    """
    positions, usable = _projected(mdf, points, box)
    anchors = positions[usable]
    if len(anchors) == 0:
        raise ArithmeticError("no training point could be projected onto the learned manifold; train longer")
    lost = len(points) - len(anchors)
    if lost > 0.01 * len(points):
        warnings.warn(f"{lost} of {len(points)} points could not be projected onto the learned manifold", stacklevel=2)
    random = host_generator(key)
    starts, usable = _projected(mdf, uniform_in_box(random, box, count), box)
    spare = anchors[random.integers(0, len(anchors), count)]
    return jnp.asarray(anchors), jnp.asarray(np.where(usable[:, None], starts, spare))


def nearest_fit(key: RandomKey, models, data: Float[Array | np.ndarray, "points n"], box: Box) -> MDF:
    """Of the stacked models whose zeros in the box and data (N, n) are near to each other, the best conditioned.

    A model's misfit is the root mean square distance from data to the zeros they project to, plus the mean distance
    from zeros (noise, projected) to data: stray zeros count by share and remoteness. A point that reaches no zero
    counts as far as the box is wide. Among those within `SLACK` of the least misfit the one with the largest ratio of
    least to largest singular value of J on its zeros is taken: where that is small, sheets are about to tear or join.
    """
    data = np.asarray(data)
    noise = uniform_in_box(host_generator(key), box, len(data))
    width = float(np.linalg.norm(box[1] - box[0]))
    tree = KDTree(data)

    def judged(mdf) -> tuple[float, float]:
        reached, usable = _projected(mdf, data, box)
        to_zeros = np.where(usable, np.linalg.norm(reached - data, axis=1), width)
        zeros, usable = _projected(mdf, noise, box)
        if not usable.any():
            return 2 * width, 0.0
        misfit = float(np.sqrt((to_zeros**2).mean()) + tree.query(zeros[usable])[0].mean())
        values = in_blocks(lambda rows: _singular_values(mdf, rows, key), zeros, BLOCK)[usable]
        return misfit, float(values.min() / values.max())

    models = jax.device_get(models)
    members = [jax.tree.map(lambda leaf, row=row: leaf[row], models) for row in range(_count(models))]
    misfits, ratios = np.transpose([judged(member) for member in members])
    chosen = int(np.argmax(np.where(misfits <= SLACK * misfits.min(), ratios, -1.0)))
    return jax.tree.map(jnp.asarray, members[chosen])


def _count(stacked) -> int:
    return jax.tree.leaves(stacked)[0].shape[0]


def _projected(mdf, points, box) -> tuple[Float[np.ndarray, "points n"], Bool[np.ndarray, " points"]]:
    """Points (N, n) projected onto {F = 0}, and which of them reached it inside the box."""
    low, high = jax.device_get(box)
    found = in_blocks(lambda rows: _project_block(mdf, rows), points, BLOCK)
    inside = np.all((found.position >= low) & (found.position <= high), axis=1)
    return found.position, found.converged & inside


@jax.jit
def _project_block(mdf, points):
    return jax.vmap(lambda x: project(mdf, x))(points)


@jax.jit
def _singular_values(mdf, points, key):
    return singular_values(mdf, points, key)[0]
