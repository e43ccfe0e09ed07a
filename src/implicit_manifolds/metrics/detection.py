"""How well a score tells points of one kind from those of another."""

import numpy as np

from .._types import Float


def auc(inside: Float[np.ndarray, " N"], outside: Float[np.ndarray, " M"]) -> float:
    """The chance that a point out of distribution scores above one inside (ties half), scores (N,) and (M,)."""
    inside = np.sort(np.nan_to_num(inside, nan=np.inf, posinf=np.inf))
    outside = np.nan_to_num(outside, nan=np.inf, posinf=np.inf)
    below = np.searchsorted(inside, outside, "left") + np.searchsorted(inside, outside, "right")
    return float(below.mean() / (2 * len(inside)))
