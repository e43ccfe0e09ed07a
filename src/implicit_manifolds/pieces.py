"""Standardisation by parts: those far from others, or much smaller, each in units of their own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from scipy.cluster.hierarchy import linkage, to_tree
from scipy.spatial import KDTree

from ._pytree import pytree
from ._types import Array, Bool, Float, Int, Vector
from .box import Box
from .scaling import Scaling, standardization

SMALL = 0.1
"""A part that is smaller than so much of the whole, by root mean square, is hard to see in the units of the whole."""
GAP = 4.0
"""Width of the gap between parts, over the widest within either."""
FEWEST, MOST_PARTS, MOST_POINTS = 20, 9, 3000
BESIDE, APART = 5.0, 2.2
"""Distance between parts that are moved beside each other, each of unit root mean square: at least, and in half widths
of the widest.
"""


@pytree
@dataclass(frozen=True, eq=False)
class Pieces:
    """x = shift + scale · (y - place), y = whole.restore(z), by the part of space that x and z are in.

    shift, place (p, n) and scale (p,) of each part, the smallest first; low and high (p, n), boxes around the parts in
    the units of the data. A point is of the first part whose box it is in, else of that whose box is nearest in units
    of the part. It is a `Scaling` but for its scale, which differs between parts (`lengths_at`).
    """

    whole: Scaling
    shift: Float[np.ndarray | Array, "*models p n"]
    scale: Float[np.ndarray | Array, "*models p"]
    place: Float[np.ndarray | Array, "*models p n"]
    low: Float[np.ndarray | Array, "*models p n"]
    high: Float[np.ndarray | Array, "*models p n"]

    @property
    def length(self) -> float:
        """What a length of one is in the units of the data, in the largest part."""
        return float(np.max(self.scale)) * self.whole.length

    @property
    def stretches(self) -> None:
        """None: within a part all columns have one scale."""
        return

    def lengths_at(self, points: Float[np.ndarray | Array, "N n"]) -> np.ndarray:
        """What a length of one is in the units of the data, at standardised points (N, n): (N,)."""
        return np.asarray(self.scale, np.float64)[self._part(self.whole.restore(points))] * self.whole.length

    @property
    def by_column(self) -> bool:
        """False: within a part all columns have one scale."""
        return False

    def standard_point(self, x: Vector) -> Vector:
        """One point in data units (n,) in standardised ones, inside jit, in its own precision."""
        low, high, scale, shift, place = self._as(x.dtype)
        beyond = jnp.maximum(jnp.maximum(low - x[None], x[None] - high), 0)
        part = jnp.argmin(jnp.linalg.norm(beyond, axis=1) / scale)  # the first of equals
        return self.whole.standard_point(place[part] + (x - shift[part]) / scale[part])

    def data_point(self, z: Vector) -> Vector:
        """One standardised point (n,) in data units, inside jit, in its own precision."""
        _, _, scale, shift, place = self._as(z.dtype)
        beside = self.whole.data_point(z)
        part = _owner(beside, place)
        return shift[part] + scale[part] * (beside - place[part])

    def units_at(self, z: Vector) -> Vector:
        """What one is in each column in the units of the data, at a standardised point (n,), inside jit: (n,)."""
        _, _, scale, _, place = self._as(z.dtype)
        return scale[_owner(self.whole.data_point(z), place)] * self.whole.units_at(z)

    def owner(self, z: Vector) -> Int[Array, ""]:
        """The part that a standardised point belongs to, inside jit."""
        return _owner(self.whole.data_point(z), self._as(z.dtype)[4])

    def view(self, x: Vector) -> Float[Array, "p n"]:
        """One point in data units (n,) as every part sees it, standardised, inside jit.

        Far from all parts that is more than one standardised point can tell: no layout has a place for what is between.
        """
        _, _, scale, shift, place = self._as(x.dtype)
        return jax.vmap(self.whole.standard_point)(place + (x[None] - shift) / scale[:, None])

    def views(self, points: Float[np.ndarray | Array, "N n"]) -> Float[Array, "N p n"]:
        """`view` of points (N, n), computed in double."""
        wide = np.asarray(points, np.float64)[:, None]
        scale, shift, place = (np.asarray(one, np.float64) for one in (self.scale, self.shift, self.place))
        return self.whole.standardize(place + (wide - shift) / scale[:, None])

    def extents(self, dtype) -> tuple[Array, Array, Array]:
        """Boxes around the parts in standardised units, low and high (p, n), and a length of one in data units (p,)."""
        low, high, scale, shift, place = self._as(dtype)
        corner = lambda side: jax.vmap(self.whole.standard_point)(place + (side - shift) / scale[:, None])
        return corner(low), corner(high), scale * self.whole.units_at(place[0])[0]

    def _as(self, dtype) -> tuple[Array, ...]:
        return tuple(jnp.asarray(one, dtype) for one in (self.low, self.high, self.scale, self.shift, self.place))

    def standardize(self, points: Float[np.ndarray | Array, "N n"]) -> Float[Array, "N n"]:
        """Data units to standardised ones, (N, n)."""
        wide = np.asarray(points, np.float64)
        low, high, scale = (np.asarray(side, np.float64) for side in (self.low, self.high, self.scale))
        beyond = np.maximum(low - wide[:, None], wide[:, None] - high).clip(0)
        part = (np.linalg.norm(beyond, axis=2) / scale).argmin(axis=1)  # the first of equals
        shift, place = np.asarray(self.shift, np.float64)[part], np.asarray(self.place, np.float64)[part]
        return self.whole.standardize(place + (wide - shift) / scale[part, None])

    def restore(self, points: Float[np.ndarray | Array, "N n"]) -> np.ndarray:
        """Standardised units to data units, (N, n)."""
        beside = self.whole.restore(points)
        part = self._part(beside)
        shift, place = np.asarray(self.shift, np.float64)[part], np.asarray(self.place, np.float64)[part]
        return shift + np.asarray(self.scale, np.float64)[part, None] * (beside - place)

    def moved(self, offset: Float[np.ndarray, " n"]) -> "Pieces":
        """The same, of data moved by an offset (n,)."""
        shift, low, high = (np.asarray(one, np.float64) + offset for one in (self.shift, self.low, self.high))
        return replace(self, shift=shift, low=low, high=high)

    def _part(self, beside: np.ndarray) -> Int[np.ndarray, " N"]:
        return np.abs(beside[:, None] - np.asarray(self.place)).max(axis=2).argmin(axis=1)


def _owner(beside: Vector, place: Float[Array, "p n"]) -> Int[Array, ""]:
    return jnp.argmin(jnp.max(jnp.abs(beside[None] - place), axis=1))


def parts_of(points: Float[np.ndarray, "N n"]) -> list[Bool[np.ndarray, " N"]]:
    """The parts of points (N, n) that ask for units of their own, as masks; one where all are seen in one unit.

    By single linkage: a group of points parts in two where the gap is `GAP` times the widest within either, and one of
    the two is smaller than `SMALL` of the group, with no fewer than `FEWEST` points.
    """
    some = points[np.random.default_rng(0).permutation(len(points))[:MOST_POINTS]]
    owner, groups, count = np.zeros(len(some), int), [to_tree(linkage(some, "single"))], 0
    while groups:
        group = groups.pop()
        left, right = group.left, group.right
        if left is not None and right is not None and _apart(some, group, left, right):
            groups += [left, right]
        else:
            owner[group.pre_order()] = count
            count += 1
    if count > MOST_PARTS:
        return [np.ones(len(points), bool)]
    of_all = owner[KDTree(some).query(points)[1]]
    return [of_all == part for part in range(count)]


def _apart(points, group, left, right) -> bool:
    if min(left.count, right.count) < FEWEST or group.dist < GAP * max(left.dist, right.dist):
        return False
    whole, *sizes = (_size(points[node.pre_order()]) for node in (group, left, right))
    return min(sizes) < SMALL * whole


def _size(points) -> float:
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).mean()))


def by_pieces(
    points: Float[np.ndarray, "N n"], parts: Sequence[Bool[np.ndarray, " N"]], margin: float
) -> tuple[Pieces, Array, Box]:
    """The scaling by parts of `points` (N, n), the points in its units, and the box around them, as `standardization`.

    Parts are set on a grid in the first two coordinates, in no order that means anything.
    """
    parts = sorted(parts, key=lambda part: _size(points[part]))
    own = [standardization(points[part], margin=margin) for part in parts]
    side = int(np.ceil(np.sqrt(len(parts))))
    place, number = np.zeros((len(parts), points.shape[1])), np.arange(len(parts))
    # Every box about its place is nearer to that than to any other.
    apart = max(BESIDE, APART * max(float(np.abs(np.asarray(box)[:, :2]).max()) for _, _, box in own))
    place[:, 0], place[:, 1] = apart * (number % side), apart * (number // side)
    bounds = [np.stack([scaling.restore(side) for side in box]) for scaling, _, box in own]
    shift, scale = np.stack([one.shift for one, _, _ in own]), np.array([one.length for one, _, _ in own])
    beside = np.zeros_like(points)
    for part, there, (_, standard, _) in zip(parts, place, own, strict=True):
        beside[part] = there + np.asarray(standard, np.float64)
    whole, standard, box = standardization(beside, margin=margin)
    low, high = (np.stack([bound[side] for bound in bounds]) for side in (0, 1))
    return Pieces(whole, shift, scale, place, low, high), standard, box
