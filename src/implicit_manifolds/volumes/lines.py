"""Uniform points of a hypersurface from its crossings with random lines (Cauchy and Crofton; Santaló 2004, ch. 14).

A line with isotropic direction and uniform offset in a ball of radius R that holds the box meets a hypersurface in a
number of points whose mean is proportional to the hypersurface's volume, and the crossings of many lines are uniform
on it. Where offsets have another density q(p), a crossing counts for 1/q(p).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri
from scipy.stats.qmc import Sobol

from .._loops import in_blocks
from .._random import host_generator
from .._types import Array, Float, Int, RandomKey
from .manifold import Manifold
from .pools import SETS, Pool, combined

LINES = 4096
COLUMNS = 32
MAX_CELLS = 1024
MAX_LINES = 2**17
ILLINOIS_STEPS = 16


def uniform_pool(key: RandomKey, manifold: Manifold, num_lines: int, cells: int | None = None) -> Pool:
    """Points of M, one constraint, from `num_lines` random lines or up to twice as many.

    Lines come as 16 sets of a power of two. Points are weighted: half of the lines are from the ball around the box,
    half from the one as wide as its longest side.

    Each line's chord in the box is searched for sign changes of F on a grid, which is halved until that finds no
    more than the standard error of the count (or `MAX_CELLS` is reached); `cells` fixes the grid instead. Roots are
    bracketed and refined to the dtype. Any n; the share of lines that meet M falls as (size of M / size of
    the box)^(n-1), so n up to about 10. Raises ValueError for more than one constraint.
    """
    low, high = (np.asarray(bound, np.float64) for bound in manifold.box.on_host())
    if not manifold.signed:
        raise ValueError("random lines serve one constraint; this function has another number")
    random, per_set = host_generator(key), 2 ** math.ceil(math.log2(max(num_lines / SETS / 2, 1)))
    # Half of the lines keep to where a manifold mostly is; in ten dimensions hardly any other meets it.
    radii = float((high - low).max() / 2), float(np.linalg.norm(high - low) / 2)
    chords = [random_chords(random, low, high, radius, per_set) for _ in range(SETS) for radius in radii]
    groups = np.repeat(np.arange(2 * SETS) // 2, [len(origins) for origins, _, _ in chords])
    origins, spans, offsets = map(np.concatenate, zip(*chords, strict=True))
    search = _Search(manifold.mdf, origins, spans)
    rows, left = search.brackets()
    doubt = math.inf
    while search.cells < (cells or MAX_CELLS):
        before = len(rows)
        search.halve()
        rows, left = search.brackets()
        doubt = (len(rows) - before) / max(len(rows), 1)
        error = np.bincount(groups[rows], minlength=SETS).std(ddof=1) * math.sqrt(SETS)
        if cells is None and len(rows) - before <= max(error, 1):
            break
    inner, outer = (1 / crossing_volume(len(low), radius) for radius in radii)
    weights = 1 / (SETS * per_set * (outer + inner * (offsets[rows] < radii[0])))
    return Pool(search.roots(rows, left), weights, groups[rows], SETS, search.cells, doubt)


def pool_of_size(key: RandomKey, manifold: Manifold, size: int) -> Pool:
    """A pool of at least `size` points, from as many lines as that takes, at least `size`.

    Raises ArithmeticError where 100 · size lines do not meet M that often.
    """
    pools: list[Pool] = []
    lines, found = 0, 0
    while found < size:
        if lines >= 100 * size:
            raise ArithmeticError(f"{lines} random lines met the zero set only {found} times; narrow the box")
        # A tenth more than the share of crossings so far asks for.
        wanted = size if not pools else int(1.1 * (size - found) * lines / max(found, 1)) + SETS
        wanted = min(wanted, MAX_LINES)
        pools.append(uniform_pool(jax.random.fold_in(key, len(pools)), manifold, wanted))
        lines, found = lines + wanted, found + len(pools[-1].points)
    return combined(pools)


def crossing_volume(dimension: int, radius: float) -> float:
    """Volume that one crossing stands for, times the number of lines: π^{n/2} R^{n-1} / Γ(n/2)."""
    return math.pi ** (dimension / 2) * radius ** (dimension - 1) / math.gamma(dimension / 2)


def random_chords(random: np.random.Generator, low, high, radius: float, num_lines: int):
    """Isotropic uniform lines of the ball of `radius` about the box's centre, cut by the box.

    Lines come from one scrambled Sobol sequence: each is uniform, together they are more even than chance.
    Returns, of the lines that meet the box, where they enter it (b, n), from there to where they leave (b, n), and
    their distance from the centre (b,), in double.
    """
    dimension, centre = len(low), (low + high) / 2
    uniform = Sobol(2 * dimension, rng=random).random(num_lines)
    normal = ndtri(np.clip(uniform[:, :-1], 1e-12, 1 - 1e-12))
    direction = normal[:, :dimension] / np.linalg.norm(normal[:, :dimension], axis=1, keepdims=True)
    # Uniform in the (n-1)-ball of the last axis' complement, and turned with that axis into the direction.
    flat = np.pad(normal[:, dimension:], ((0, 0), (0, 1)))
    flat *= radius * uniform[:, -1:] ** (1 / (dimension - 1)) / np.linalg.norm(flat, axis=1, keepdims=True)
    mirror = direction - np.eye(dimension)[-1]
    along = np.sum(flat * mirror, axis=1, keepdims=True) / np.maximum(np.sum(mirror**2, axis=1, keepdims=True), 1e-300)
    offset = flat - 2 * along * mirror
    with np.errstate(divide="ignore"):
        sides = (np.stack([low, high]) - centre - offset[:, None]) / direction[:, None]
    enter, leave = sides.min(axis=1).max(axis=1), sides.max(axis=1).min(axis=1)
    met = enter < leave
    origin = centre + offset + enter[:, None] * direction
    return origin[met], ((leave - enter)[:, None] * direction)[met], np.linalg.norm(offset[met], axis=1)


class _Search:
    """Signs of F along chords on a grid that can be halved, and the roots its sign changes bracket."""

    def __init__(self, mdf, origins, spans):
        self.mdf, self.count, self.cells = mdf, len(origins), COLUMNS
        padding = -len(origins) % LINES
        self.chords = [
            np.pad(part, ((0, padding), (0, 0))).reshape(-1, LINES, part.shape[1]).astype(jnp.result_type(float))
            for part in (origins, spans)
        ]
        self.signs = self._signs(0.0, COLUMNS + 1)

    def _signs(self, first: float, columns: int) -> np.ndarray:
        """Sign of F, 0 where it is not finite, at fractions (first + i) / cells of each chord, (lines, columns)."""
        pieces = []
        for origins, spans in zip(*self.chords, strict=True):
            row = []
            for start in range(0, columns, COLUMNS + 1):
                row.append(np.asarray(_block_signs(self.mdf, origins, spans, first + start, 1 / self.cells)))
            pieces.append(np.concatenate(row, axis=1)[:, :columns])
        return np.concatenate(pieces)[: self.count]

    def halve(self) -> None:
        """Evaluate F at the middle of every cell too."""
        middle = self._signs(0.5, self.cells)
        merged = np.empty((self.count, 2 * self.cells + 1), np.int8)
        merged[:, ::2], merged[:, 1::2] = self.signs, middle
        self.signs, self.cells = merged, 2 * self.cells

    def brackets(self) -> tuple[np.ndarray, np.ndarray]:
        """Chord (c,) and cell (c,) of every sign change."""
        row, cell = np.nonzero(self.signs[:, 1:] * self.signs[:, :-1] < 0)
        return row, cell

    def roots(self, rows, left) -> np.ndarray:
        """The points (c, n) where F vanishes in the given cells."""
        origins, spans = (part.reshape(-1, part.shape[2])[rows] for part in self.chords)
        ends = np.stack([left, left + 1], axis=1).astype(origins.dtype) / self.cells
        size = origins.shape[1]
        joined = np.concatenate([origins, spans, ends], axis=1)
        return in_blocks(
            lambda block: _block_roots(self.mdf, *jnp.split(block, (size, 2 * size), axis=1)), joined, LINES
        )


@jax.jit
def _block_signs(mdf, origins, spans, first, width) -> Int[Array, "lines columns"]:
    fractions = (first + jnp.arange(COLUMNS + 1)) * width

    def sign(fraction):
        values = jax.vmap(mdf)(origins + fraction * spans)[:, 0]
        return jnp.where(jnp.isfinite(values), jnp.where(values < 0, -1, 1), 0).astype(jnp.int8)

    return jax.lax.map(sign, fractions).T


@jax.jit
def _block_roots(mdf, origins, spans, ends) -> Float[Array, "lines n"]:
    """Regula falsi with the Illinois rule, which keeps the bracket and converges superlinearly."""

    def value(fraction):
        return jax.vmap(mdf)(origins + fraction[:, None] * spans)[:, 0]

    def step(_, state):
        a, b, at_a, at_b = state
        gap = at_b - at_a
        c = jnp.where(gap == 0, a, b - at_b * (b - a) / jnp.where(gap == 0, 1, gap))
        at_c = value(c)
        crossed = (at_c < 0) != (at_b < 0)
        a, at_a = jnp.where(crossed, b, a), jnp.where(crossed, at_b, at_a / 2)
        return a, c, at_a, at_c

    a, b = ends[:, 0], ends[:, 1]
    _, b, _, _ = jax.lax.fori_loop(0, ILLINOIS_STEPS, step, (a, b, value(a), value(b)))
    return origins + b[:, None] * spans
