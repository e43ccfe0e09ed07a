"""Tables too large to hold on a device: a sample that is held, and all rows, read a few at a time as training asks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ._random import host_generator
from ._types import Float, Int, RandomKey
from .errors import InputError
from .pieces import Pieces
from .points import BLOCK, refuse_not_finite
from .scaling import Scaling

MOST_HELD = 200_000
"""Points that a fit holds; of a larger table as many, drawn at random, tell units, edges, charts and kernels."""


@runtime_checkable
class Rows(Protocol):
    """What training takes its batches from, when not from arrays."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def rows(self, index: Int[np.ndarray, " b"]) -> Any:
        """Rows as arrays that share the leading axis, or a pytree of such arrays."""
        ...


@dataclass(frozen=True, eq=False)
class Stream:
    """All rows of a table in standardised units: points (N, n), a memory map for instance, are read when asked for."""

    points: Float[np.ndarray, "N n"]
    scaling: Scaling | Pieces

    def __len__(self) -> int:
        """N."""
        return len(self.points)

    def rows(self, index: Int[np.ndarray, " b"]) -> Float[np.ndarray, "b n"]:
        """Standardised rows (b, n), read in the order in which they lie."""
        order = np.argsort(index)
        read = np.empty((len(index), self.points.shape[1]))
        read[order] = self.points[index[order]]
        return np.asarray(self.scaling.standardize(read))


@dataclass(frozen=True, eq=False)
class Mapped:
    """What a function makes of blocks of a source's rows."""

    source: Rows
    function: Callable[[Any], Any]

    def __len__(self) -> int:
        """As many as the source has."""
        return len(self.source)

    def rows(self, index: Int[np.ndarray, " b"]) -> Any:
        """The function's of those rows."""
        return self.function(self.source.rows(index))


def held(key: RandomKey, points) -> tuple[np.ndarray, np.ndarray | None]:
    """What of `points` (N, n) is held, all of them or `MOST_HELD` at random, and the table if it is larger, else None.

    Raises InputError where a larger table has values that are not finite real numbers.
    """
    points = np.asanyarray(points)  # a memory map stays one
    if points.ndim != 2 or len(points) <= MOST_HELD:
        return points, None
    if points.dtype.kind not in "fiub":
        raise InputError(f"points hold {points.dtype} values; give real numbers")
    for start in range(0, len(points), BLOCK):
        refuse_not_finite(points[start : start + BLOCK], start)
    rows = host_generator(key).choice(len(points), MOST_HELD, replace=False, shuffle=False)
    return np.asarray(points[np.sort(rows)], np.float64), points
