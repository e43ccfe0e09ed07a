"""Places of M that are emptier of data than chance, or a density that fades, would leave them."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from .._random import host_generator
from .._types import Array, Bool, Float, RandomKey
from ..manifold.tangent import FramedMDF
from .atlas import normals_at
from .manifold import Manifold
from .projected import projected

LOOKS, ROUNDS, MOST_ROUNDS, STILL, FARTHER = 2048, 12, 120, 1.1, 1.5
"""Places that climb away from data; steps before those that have hardly come farther stop, and of all; by how much; and
by how much farther one has come before it is told again."""
AROUND, MOST = 2.0, 128
"""How far around a hole points are counted, in its radius; and of how many it is asked whether their density fades."""
ERROR, DOUBT = 0.001, 0.05
"""Of point sets without holes the share in which one is seen; and of those that fade, in which it is an abrupt one."""
STEEPEST = 0.5
"""Of the way from a hole to a point on the same sheet of M, the share that may be normal."""
POWERS = np.geomspace(1, 40, 80)


class Holes(NamedTuple):
    """Balls around points of M (c, n) that hold no datum, radii (c,), and how many each should hold, (c,).

    chance (c,): it may be empty by chance. abrupt (c,): it is not, nor does the density fade towards it.
    """

    centres: Float[np.ndarray, "c n"]
    radii: Float[np.ndarray, " c"]
    expected: Float[np.ndarray, " c"]
    chance: Bool[np.ndarray, " c"]
    abrupt: Bool[np.ndarray, " c"]


def holes(
    key: RandomKey, manifold: Manifold, points: Float[np.ndarray | Array, "N n"], wide: bool | None = None
) -> Holes:
    """Balls in which M, of m dimensions, has none of points (N, n), found by climbing away from them on M.

    Of i points scattered evenly over a ball A times as wide as a hole none is in the hole with probability
    p = (1 - A^-m)^i. Of all balls that N such points leave empty the least likely has about
    log 1/p = log N + m log log N (Janson 1986), and by chance log 1/`ERROR` more. Where density grows outwards as a
    power of the distance, p is rather the ratio of the largest likelihoods that distances of the points around have
    under such laws on the whole ball and on what is around the hole. Points on other sheets of M do not count.

    wide: look for holes many spacings wide as well, as on level sets unless given. A ridge has edges of its own, beyond
    which it goes a little, and at which there are data on one side alone.
    """
    host, dimension = np.unique(np.asarray(points), axis=0), manifold.dimension
    tree = KDTree(host)
    wide = not isinstance(manifold.mdf, FramedMDF) if wide is None else wide
    centres, radii = _climbed(host_generator(key), manifold, host, tree, wide)
    usual = np.log(len(host)) + dimension * np.log(np.log(len(host)))
    each, few = -np.log1p(-(AROUND**-dimension)), usual - np.log(ERROR)
    around = tree.query_ball_point(centres, AROUND * radii, return_length=True)
    abrupt = np.zeros(len(centres), bool)
    suspects = np.flatnonzero(around * each > few)
    for row, normals in zip(suspects, normals_at(manifold.mdf, centres[suspects]), strict=True):
        chords = (host[tree.query_ball_point(centres[row], AROUND * radii[row])] - centres[row]) / radii[row]
        away = np.linalg.norm(chords, axis=1)
        away = np.sort(away[np.linalg.norm(chords @ normals.T, axis=1) <= STEEPEST * away])
        around[row] = len(away)
        abrupt[row] = len(away) * each > few and _against_fading(away, dimension) > usual - np.log(DOUBT)
    return Holes(centres, radii, around / (AROUND**dimension - 1), around * each <= few, abrupt)


def places_in(
    key: RandomKey, manifold: Manifold, empty: Holes, which: Bool[np.ndarray, " c"], count: int
) -> Float[np.ndarray, "p n"]:
    """At most `count` points of M in those of its holes, scattered over them."""
    random = host_generator(key)
    row = random.choice(np.flatnonzero(which), count)
    length = empty.radii[row] * random.uniform(size=count) ** (1 / manifold.dimension)
    trial = empty.centres[row] + length[:, None] * _unit(random.normal(size=empty.centres[row].shape))
    found, usable = projected(manifold.mdf, trial.astype(empty.centres.dtype), manifold.box)
    return found[usable & (np.linalg.norm(found - empty.centres[row], axis=1) < empty.radii[row])]


def _climbed(random: np.random.Generator, manifold: Manifold, points, tree: KDTree, wide: bool):
    """Points of M (c, n) that steps on M, random but rather outwards, lead to from data; and how far from any (c,).

    For wide holes each goes on while it has come farther by a tenth within the last steps, and where it was on its way
    is told as well, each time that it was half as far again: M may bend so much before the middle of a hole that all
    data seem to lie on other sheets from there.
    """
    at, usable = projected(manifold.mdf, points, manifold.box)
    at = np.resize(random.permutation(at[usable]), (LOOKS, points.shape[1]))
    away, nearest = tree.query(at)
    least = float(np.median(tree.query(points, 2)[0][:, 1]))
    climbs, before, told, passed = np.arange(LOOKS), away.copy(), np.maximum(away, least), []
    for number in range(1, (MOST_ROUNDS if wide else ROUNDS) + 1):
        here = at[climbs]
        direction = _unit(here - points[nearest[climbs]]) + _unit(random.normal(size=here.shape))
        length = np.maximum(away[climbs], least) * random.uniform(size=len(climbs))
        trial, usable = projected(manifold.mdf, (here + length[:, None] * direction).astype(points.dtype), manifold.box)
        farther, closest = tree.query(trial)
        better = usable & (farther > away[climbs])
        rows = climbs[better]
        at[rows], away[rows], nearest[rows] = trial[better], farther[better], closest[better]
        if wide and len(rows := np.flatnonzero(away > FARTHER * told)):
            passed.append((at[rows], away[rows]))
            told[rows] = away[rows]
        if number % ROUNDS == 0:
            climbs, before = np.flatnonzero(away > STILL * before), away.copy()
        if not len(climbs):
            break
    return tuple(np.concatenate(rows) for rows in zip(*passed, (at, away), strict=True))


def _unit(vectors: Float[np.ndarray, "c n"]) -> Float[np.ndarray, "c n"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(vectors.dtype).tiny)


def _against_fading(away: Float[np.ndarray, " q"], dimension: int) -> float:
    """Log ratio of the largest likelihoods of distances, in the hole's radius: with the hole over without it."""
    reach = away[MOST] if len(away) > MOST else AROUND
    inside = np.maximum(away[:MOST], 1.0)
    count, power = len(inside), dimension * POWERS
    each = count * np.log(power) + (power - 1) * np.log(inside).sum()
    filled = each - count * power * np.log(reach)
    hollow = each - count * np.log(np.maximum(reach**power - 1, np.finfo(float).tiny))
    return float(hollow.max() - filled.max())
