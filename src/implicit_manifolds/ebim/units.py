"""In which units a manifold is learned: one scale for all columns, or one for each where that helps."""

from typing import Any, NamedTuple

import numpy as np

from .._random import derived_keys
from .._types import Array, RandomKey
from ..box import Box
from ..pieces import Pieces, by_pieces, parts_of
from ..scaling import Scaling, standardization
from .dimension import DenoisingConfig, denoised

UNEVEN, NO_LESS = 6.0, 0.1
"""Ratio of the columns' deviations from which own scales are tried, and how much less gap and votes may be then."""


class Units(NamedTuple):
    """What `standardization` takes: whether to standardise, and the margin or the half widths of the box.

    own: whether columns or parts may have scales of their own.
    """

    standardize: bool = True
    margin: float = 0.25
    half_widths: tuple[float, ...] | None = None
    own: bool = True


def standardized(
    key: RandomKey,
    points: np.ndarray,
    codimension: int | None,
    units: Units,
    denoising: DenoisingConfig,
    **options: Any,
) -> tuple[Scaling | Pieces, Array, Box]:
    """The scaling of `points` (N, n), the points in its units, and the box around them.

    Parts far from others, or much smaller, are learned in units of their own (`pieces`).

    Where columns spread unevenly, both ways are tried by their spectra (`denoised`): columns get scales of their own
    where these show a gap that is no smaller, by no fewer votes, and no more dimensions than one scale for all does:
    a thin column may be noise.
    """
    fixed = not units.own or units.half_widths is not None
    if not fixed and len(parts := parts_of(points)) > 1:
        return by_pieces(points, parts, units.margin)
    even = standardization(points, *units[:3])
    spread = points.std(axis=0)
    spread = spread[spread > 0]
    if fixed or spread.max() <= UNEVEN * spread.min():
        return even
    own = standardization(points, *units[:3], by_column=True)
    keys = derived_keys(key, 2)
    first, second = (
        denoised(one_key, one[1], denoising, name=f"units {name}", **options)[1]
        for one_key, name, one in zip(keys, ("of all", "of columns"), (even, own), strict=True)
    )
    least = first.codimension if codimension is None else codimension
    as_clear = second.gap >= first.gap - NO_LESS and second.votes >= first.votes - NO_LESS
    clearer = second.codimension > least or as_clear
    helps = second.found and ((second.codimension >= least and clearer) or not first.found)
    return own if helps else even
