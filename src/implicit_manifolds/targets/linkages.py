"""Closed chains of rigid bars: spaces of configurations with a known number of parts, and laws on them that are known.

Bars are joined end to end, the last of `lengths` is held still, from the origin to (its length, 0, ...), and the
coordinates are the places of the other joints. In the plane all three numbers that matter are known: the Betti numbers
from the lengths alone (Farber & Schütz, Geom. Dedicata 125, 75, 2007), of which the first is 2 where three bars are
long, any two of them longer than half of all, and 1 else (Kapovich & Millson, J. Differential Geom. 42, 133, 1995); and
volumes, by drawing bars at random angles and weighing by the coarea formula. In space there is one part, and diagonals
of the polygon are uniform in their polytope when rods point anywhere (Cantarella & Shonkwiler, Ann. Appl. Probab. 26,
549, 2016).
"""

from functools import cache
from itertools import combinations

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._random import host_generator
from .target import Quantity, Target

FOUR_BAR = np.array([0.8, 2.2, 1.8, 2.0])  # dm; the crank of 0.8 dm turns all the way
SIX_BAR = np.array([2.0, 0.5, 2.0, 0.5, 0.4, 2.0])  # dm; three long bars, so two parts, mirror images of each other
SIX_RODS, REACH = np.array([1.0, 1.2, 0.9, 1.1, 1.3, 1.5]), 0.8  # dm
STIFFNESS = 2.0  # 1/dm², of the task: a joint is to be at its goal, E = ½ κ ‖x - goal‖²
FOUR_BAR_GOAL, SIX_BAR_GOAL = np.array([1.2, 0.2]), np.array([1.3, 0.1])  # dm
SIX_BAR_MEANS = {
    "left part": (0.36991, 0.4828, 0.00032),
    "x of joint 2": (1.21228, 0.4300, 0.00023),
    "y of joint 2": (0.36065, 1.3131, 0.00078),
    "gap": (2.20333, 0.4339, 0.00029),
}
"""Mean, deviation, standard error; `python -m implicit_manifolds.targets.linkages` prints them."""


def joints(lengths, x):
    """Places of all joints (bars, d), the first at the origin and the last at the end of the bar that is held."""
    free = x.reshape(len(lengths) - 2, -1)
    end = jnp.zeros((1, free.shape[1]), x.dtype).at[0, 0].set(lengths[-1])
    return jnp.concatenate([jnp.zeros_like(end), free, end])


def _too_long(lengths, x):
    lengths = jnp.asarray(lengths, x.dtype)
    return jnp.sum(jnp.diff(joints(lengths, x), axis=0) ** 2, axis=1) - lengths[:-1] ** 2


def bars(lengths) -> Partial:
    """F of a closed chain: squared lengths less what they must be, of free joints ((bars - 2) d,) to (bars - 1,)."""
    return Partial(_too_long, np.asarray(lengths, float))


def betti(lengths) -> tuple[int, ...]:
    """Betti numbers of the configurations in the plane, ValueError where the chain can be straight.

    bₖ = aₖ + aₙ₋₃₋ₖ, aₖ the number of sets of k + 1 bars that hold the longest and are shorter than half of all.
    """
    lengths, total = np.asarray(lengths, float), float(np.sum(lengths))
    longest, rest = lengths.max(), np.delete(lengths, lengths.argmax())
    sums = [longest + np.array([sum(some) for some in combinations(rest, k)]) for k in range(len(rest))]
    if any(np.isclose(2 * some, total).any() for some in sums):
        raise ValueError(
            "some bars are as long as the others together: the chain can be straight, where it is singular"
        )
    short = [int((2 * some < total).sum()) for some in sums][: len(lengths) - 2]
    return tuple(a + b for a, b in zip(short, reversed(short), strict=True))


def proposals(random: np.random.Generator, lengths: np.ndarray, tries: int) -> np.ndarray:
    """Angles (closed, bars - 1) of chains that close, of `tries` of which all angles but two are uniform.

    Which two bars close the chain is drawn each time, and on which side of each other they lie.
    """
    pairs = np.array(list(combinations(range(len(lengths) - 1), 2)))
    pair = pairs[random.integers(0, len(pairs), tries)]
    angles, row, (i, j) = random.uniform(-np.pi, np.pi, (tries, len(lengths) - 1)), np.arange(tries), pair.T
    ends = lengths[:-1] * np.exp(1j * angles)
    gap, side = lengths[-1] - ends.sum(axis=1) + ends[row, i] + ends[row, j], random.choice([-1, 1], tries)
    angles[row, i], angles[row, j], closes = _closed_by(gap, lengths[pair], side)
    return angles[closes]


def _closed_by(gap, two, side):
    """Angles of bars of lengths `two` (..., 2) that reach over `gap`, a complex number, and whether they can."""
    reach, first, second = np.abs(gap), two[..., 0], two[..., 1]
    cosine = (reach**2 + first**2 - second**2) / (2 * reach * first)
    closes = np.abs(cosine) < 1
    angle = np.angle(gap) + side * np.arccos(np.where(closes, cosine, 0))
    return angle, np.angle(gap - first * np.exp(1j * angle)), closes


def volume_per_angle(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """V (count,): volume of free joints' places per unit of all angles but i and j is V / (lᵢ lⱼ |sin(θᵢ - θⱼ)|).

    V² = det G det(D G⁻¹ Dᵀ), D the derivative of the chain's end, G = Σ Jᵀ J over the joints of the open chain; its end
    is counted too, since it does not move along closed ones.
    """
    bar = lengths[:-1]
    after = len(bar) - np.maximum.outer(np.arange(len(bar)), np.arange(len(bar)))
    metric = np.outer(bar, bar) * after * np.cos(angles[:, :, None] - angles[:, None])
    end = np.stack([-bar * np.sin(angles), bar * np.cos(angles)], axis=1)
    across = end @ np.linalg.solve(metric, np.swapaxes(end, 1, 2))
    return np.sqrt(np.linalg.det(metric) * np.linalg.det(across))


def weights(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Volume that each of `proposals` stands for, over the number of tries; bounded, since all pairs are proposed."""
    sines = sum(
        lengths[i] * lengths[j] * np.abs(np.sin(angles[:, i] - angles[:, j]))
        for i, j in combinations(range(len(lengths) - 1), 2)
    )
    count = (len(lengths) - 1) * (len(lengths) - 2) // 2
    return 2 * count * (2 * np.pi) ** (len(lengths) - 3) * volume_per_angle(lengths, angles) / sines


def configurations(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Points of M (count, 2 (bars - 2)) from angles of bars (count, bars - 1)."""
    ends = np.cumsum(lengths[:-2] * np.exp(1j * angles[:, :-1]), axis=1)
    return np.stack([ends.real, ends.imag], axis=2).reshape(len(angles), -1)


def _planar_starts(lengths, key, count):
    random, found = host_generator(key), np.zeros((0, len(lengths) - 1))
    while len(found) < count:
        found = np.concatenate([found, proposals(random, lengths, 16 * count)])
    return configurations(lengths, found[:count])


def near(stiffness, goal, joint, x):
    """½ κ ‖xⱼ - goal‖² of one joint; `goal` of the plane."""
    off = x.reshape(-1, 2)[joint - 1] - jnp.asarray(goal, x.dtype)
    return 0.5 * stiffness * jnp.sum(off**2)


def turns_left(first, second, lengths, x):
    """Whether bar `second` points to the left of bar `first`, 1 or 0: of two long bars, no motion changes it."""
    turns = jnp.diff(joints(lengths, x), axis=0)
    return (turns[first, 0] * turns[second, 1] > turns[first, 1] * turns[second, 0]).astype(x.dtype)


def _coordinate(index, x):
    return x[index]


def _gap(x):
    """Distance of joint 3 from the first."""
    return jnp.linalg.norm(x[4:6])


def four_bar() -> Target:
    """A crank, coupler and rocker whose two assemblies no motion joins, the rocker's end drawn to a goal; quadrature.

    Density exp(-E) by length in the coordinates of both free joints: trapezoidal sums over the crank's angle are exact.
    """
    side = np.tile([-1, 1], 2000)
    x, density = four_bar_law(np.repeat(np.linspace(-np.pi, np.pi, 2000, endpoint=False), 2), side)
    values = {
        "left part": (Partial(turns_left, 1, 2, FOUR_BAR), (side < 0).astype(float)),
        "y of the crank's end": (Partial(_coordinate, 1), x[:, 1]),
        "x of the rocker's end": (Partial(_coordinate, 2), x[:, 2]),
    }
    share = density / density.sum()
    return Target(
        "four_bar", 4, bars(FOUR_BAR), Partial(near, STIFFNESS, FOUR_BAR_GOAL, 2), "hausdorff",
        Partial(_planar_starts, FOUR_BAR), {name: _weighed(*value, share) for name, value in values.items()},
        four_bar.__doc__ or "", None, float(np.log(2 * np.pi * density.sum() / 2000)),
    )  # fmt: skip


def four_bar_law(crank, side):
    """Points (count, 4) and exp(-E) by the crank's angle, where the coupler is to the left (1) or right (-1)."""
    two = FOUR_BAR[1:3]
    coupler, rocker, _ = _closed_by(FOUR_BAR[3] - FOUR_BAR[0] * np.exp(1j * crank), two, side)
    angles = np.stack([crank, coupler, rocker], axis=1)
    x = configurations(FOUR_BAR, angles)
    length = volume_per_angle(FOUR_BAR, angles) / (two.prod() * np.abs(np.sin(coupler - rocker)))
    return x, length * np.exp(-0.5 * STIFFNESS * ((x[:, 2:] - FOUR_BAR_GOAL) ** 2).sum(axis=1))


def planar_polygon() -> Target:
    """Six bars, three of them long: two tori of dimension 3, joint 2 drawn to a goal; means from 4 million draws.

    Density exp(-E) by volume in the coordinates of four free joints; the draws are importance sampling's, independent.
    """
    functions = [Partial(turns_left, 0, 2, SIX_BAR), Partial(_coordinate, 2), Partial(_coordinate, 3), Partial(_gap)]
    quantities = {
        name: Quantity(function, *known, "importance sampling")
        for (name, known), function in zip(SIX_BAR_MEANS.items(), functions, strict=True)
    }
    return Target(
        "planar_polygon", 8, bars(SIX_BAR), Partial(near, STIFFNESS, SIX_BAR_GOAL, 2), "hausdorff",
        Partial(_planar_starts, SIX_BAR), quantities, planar_polygon.__doc__ or "",
    )  # fmt: skip


def _weighed(function, values, share):
    mean = float((values * share).sum())
    return Quantity(function, mean, float(np.sqrt(((values - mean) ** 2 * share).sum())), 0.0, "quadrature")


def _print_six_bar_means(rounds: int = 80, tries: int = 250_000) -> None:
    random, kept = np.random.default_rng(0), []
    for _ in range(rounds):
        angles = proposals(random, SIX_BAR, tries)
        x = configurations(SIX_BAR, angles)
        pull = np.exp(-0.5 * STIFFNESS * ((x[:, 2:4] - SIX_BAR_GOAL) ** 2).sum(axis=1))
        left = (np.sin(angles[:, 2] - angles[:, 0]) > 0).astype(float)
        values = [left, x[:, 2], x[:, 3], np.hypot(x[:, 4], x[:, 5])]
        kept.append(np.stack([weights(SIX_BAR, angles) * pull, *values], axis=1))
    weight, *values = np.concatenate(kept).T
    share = weight / weight.sum()
    print(f"# {len(weight)} draws, worth {1 / (share**2).sum():.0f}")
    for name, value in zip(SIX_BAR_MEANS, values, strict=True):
        mean = (share * value).sum()
        deviation = np.sqrt((share * (value - mean) ** 2).sum())
        print(f'    "{name}": ({mean:.5f}, {deviation:.4f}, {np.sqrt((share**2 * (value - mean) ** 2).sum()):.5f}),')


def _diagonal(joint, x):
    return jnp.linalg.norm(x.reshape(-1, 3)[joint - 1])


def _off_reach(stiffness, reach, x):
    return 0.5 * stiffness * (_diagonal(3, x) - reach) ** 2


def _fold(x):
    """Cosine of the dihedral angle about the middle diagonal, between joints 2 and 4."""
    place = x.reshape(-1, 3)
    left, right = jnp.cross(place[2], place[1::2])
    return left @ right / (jnp.linalg.norm(left) * jnp.linalg.norm(right))


def spatial_loop() -> Target:
    """Six rods with ball joints, all directions alike, joint 3 drawn to a distance from the first; exact by quadrature.

    Directions of rods are uniform, given that they close the loop, which is the density of F's squared lengths at 0.
    """
    middle, ends, share = diagonals()
    quantities = {
        "diagonal 2": _uniform_between(2, ends[0], share),
        "diagonal 3": _weighed(Partial(_diagonal, 3), middle, share),
        "diagonal 4": _uniform_between(4, ends[1], share),
        "fold": Quantity(Partial(_fold), 0.0, float(np.sqrt(0.5)), 0.0, "a uniform angle"),
    }
    return Target(
        "spatial_loop", 12, bars(SIX_RODS), Partial(_off_reach, 4 * STIFFNESS, REACH), "ambient", _spatial_starts,
        quantities, spatial_loop.__doc__ or "",
    )  # fmt: skip


@cache
def diagonals(cells: int = 100_000):
    """Diagonal 3 (cells,), ends of what triangles leave to 2 and to 4, each uniform between them, and cells' shares."""
    first, second, third, fourth, fifth, held = SIX_RODS
    middle = (np.arange(cells) + 0.5) / cells * SIX_RODS[:3].sum()
    ends = [
        (np.maximum(abs(a - b), np.abs(middle - c)), np.minimum(a + b, middle + c))
        for a, b, c in ((first, second, third), (held, fifth, fourth))
    ]
    share = np.prod([np.maximum(high - low, 0) for low, high in ends], axis=0)
    share = share * np.exp(-2 * STIFFNESS * (middle - REACH) ** 2)
    return middle, ends, share / share.sum()


def _uniform_between(joint, interval, share):
    low, high = interval
    mean, square = (share * (low + high) / 2).sum(), (share * (low**2 + low * high + high**2) / 3).sum()
    return Quantity(Partial(_diagonal, joint), float(mean), float(np.sqrt(square - mean**2)), 0.0, "quadrature")


def _spatial_starts(key, count):
    """Diagonals uniform in their polytope and all dihedral angles uniform: the law but for the task."""
    random, rods, kept = host_generator(key), SIX_RODS, np.zeros((0, 5))
    while len(kept) < count:
        sides = random.uniform(0, rods.sum() / 2, (128 * count, 5))  # from the first joint to all others
        sides[:, 0], sides[:, -1] = rods[0], rods[-1]
        left, right = sides[:, :-1], sides[:, 1:]
        closes = (np.abs(left - right) < rods[1:-1]) & (rods[1:-1] < left + right)
        kept = np.concatenate([kept, sides[closes.all(axis=1)]])
    x = [np.broadcast_to(np.array([rods[-1], 0.0, 0.0]), (count, 3))]
    for joint in (3, 2, 1, 0):
        x.append(_corner(random, x[-1], kept[:count, joint], rods[joint + 1]))
    return np.stack(x[:0:-1], axis=1).reshape(count, -1)


def _corner(random, last, from_origin, from_last):
    """Places (count, 3) at two distances, from the origin and from `last`, anywhere on the circle of all such."""
    apart = np.linalg.norm(last, axis=1)
    axis = last / apart[:, None]
    along = (apart**2 + from_origin**2 - from_last**2) / (2 * apart)
    across = random.normal(size=last.shape)
    across -= (across * axis).sum(axis=1, keepdims=True) * axis
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return along[:, None] * axis + np.sqrt(from_origin**2 - along**2)[:, None] * across


if __name__ == "__main__":
    _print_six_bar_means()
