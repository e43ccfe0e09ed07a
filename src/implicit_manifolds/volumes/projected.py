"""Many points projected onto M at once, and which of them reached it."""

import numpy as np

from .._loops import over_points
from .._types import MDF, Array, Bool, Float
from ..box import Box
from ..manifold.projection import project

BLOCK = 1000


def projected(
    mdf: MDF, points: Float[Array | np.ndarray, "points n"], box: Box
) -> tuple[Float[np.ndarray, "points n"], Bool[np.ndarray, " points"]]:
    """Points (N, n) projected onto {F = 0}, and which of them reached it inside the box."""
    found = over_points(project, mdf, points, BLOCK)
    return found.position, found.converged & box.on_host().contains(found.position)
