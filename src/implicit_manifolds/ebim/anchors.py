"""Which points reach the learned manifold: anchors and starts of chains."""

import warnings

import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from .._random import host_generator
from .._types import MDF, Array, Bool, Float, RandomKey
from ..box import Box, uniform_in_box
from ..volumes.projected import projected

FAR = 4.0
"""Mean distance from M that is told, in units of the points' spacing or noise, whichever is more."""


def points_on_manifold(
    key: RandomKey, mdf: MDF, points: Float[Array | np.ndarray, "points n"], box: Box, count: int
) -> tuple[Float[Array, "anchors n"], Float[Array, "count n"], Bool[np.ndarray, " points"]]:
    """Anchors, training points (N, n) projected onto {F = 0}; starts (count, n) of fresh chains, on it too; and which
    of the points became anchors (N,).

    Starts are uniform noise of the box, projected. Noise that does not reach M (a plateau of ‖F‖), or reaches it
    outside the box, is replaced by a random anchor, so every start lies on M. Raises ArithmeticError where no
    training point reaches M inside the box, and warns where more than 1 % do not.
    """
    positions, reached = projected(mdf, points, box)
    anchors = positions[reached]
    if len(anchors) == 0:
        raise ArithmeticError("no training point could be projected onto the learned manifold; train longer")
    lost = len(points) - len(anchors)
    if lost > 0.01 * len(points):
        warnings.warn(f"{lost} of {len(points)} points could not be projected onto the learned manifold", stacklevel=2)
    random = host_generator(key)
    starts, usable = projected(mdf, uniform_in_box(random, box, count), box)
    spare = anchors[random.integers(0, len(anchors), count)]
    return jnp.asarray(anchors), jnp.asarray(np.where(usable[:, None], starts, spare)), reached


def warn_of_distance(points: Float[Array | np.ndarray, "N n"], anchors: Float[Array, "a n"], noise: float) -> None:
    """Warn where points (N, n) are farther from their projections (a, n) than their spacing and noise account for."""
    distinct = np.unique(np.asarray(points), axis=0)
    spacing = float(np.median(KDTree(distinct).query(distinct, 2)[0][:, 1]))
    away = float(KDTree(np.asarray(anchors)).query(distinct)[0].mean())
    if away > FAR * max(spacing, noise):
        warnings.warn(
            f"the points are {away:.2g} standard deviations from the manifold on average, {away / spacing:.0f} times "
            "their spacing: they are noisy, or have detail that was not learned",
            stacklevel=3,
        )


def shuffled(key: RandomKey, points: Float[Array | np.ndarray, "points n"]) -> Float[np.ndarray, "points n"]:
    """The rows of points (N, n) in random order."""
    return host_generator(key).permutation(np.asarray(points))
