"""Adaptive kernel densities of points on a manifold: an energy of their own, and where to look for mass."""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._loops import over_points, value
from .._pytree import pytree
from .._random import host_generator
from .._types import Array, Float, Int, RandomKey, Scalar, Vector
from ..box import Box
from ..volumes.atlas import neighbour_distance
from ..volumes.pools import Pool, PoolSource, box_source
from .members import FoldedPoints, folds

NEIGHBOUR = 3
MULTIPLES = 2.0 ** np.arange(-2, 5)
NARROWEST, WIDEST = 0.005, 1.0
"""Bounds of bandwidths in standard units: below, rounding of the data would be learned."""
LEAST_WEIGHT = 0.01
MAX_CENTRES = 20_000
BLOCK = 512
MOST_PAIRS = 10**8
"""Of points of M and centres, from which masses are estimated."""


@pytree
@dataclass(frozen=True, eq=False)
class KernelEnergy:
    """-log of a mixture of normal kernels at points of an m-dimensional M, each with its own widths: (n,) to ().

    centres (a, n); bandwidths (s, a), in the units of x; weights (s,), which sum to 1. exp(-E) integrates to nearly
    one over M where the bandwidths are small beside M's radii of curvature (Silverman 1986, §5.3, adaptive kernels).
    """

    centres: Float[Array | np.ndarray, "*models a n"]
    bandwidths: Float[Array | np.ndarray, "*models s a"]
    weights: Float[Array | np.ndarray, "*models s"]
    dimension: int = field(metadata={"static": True})

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        return -jnp.log(jnp.vdot(self.weights, self.densities(x)) + jnp.finfo(x.dtype).tiny)

    def densities(self, x: Vector) -> Float[Array, " s"]:
        """For each row of bandwidths the mean over centres of the m-dimensional normal density at x (n,), (s,)."""
        squared = jnp.sum((x[None] - self.centres) ** 2, axis=1)
        height = (2 * jnp.pi) ** (-self.dimension / 2) / self.bandwidths**self.dimension
        return jnp.mean(height * jnp.exp(-squared[None] / (2 * self.bandwidths**2)), axis=1)


def bandwidths(points: Float[np.ndarray, "a n"]) -> Float[np.ndarray, "s a"]:
    """Multiples of each point's distance to its third nearest other, within bounds: small where points are dense."""
    return np.clip(MULTIPLES[:, None] * neighbour_distance(points, NEIGHBOUR), NARROWEST, WIDEST)


def held_out_densities(
    points: Float[np.ndarray, "a n"], fold: Int[np.ndarray, " a"], dimension: int
) -> Float[np.ndarray, "a s"]:
    """At each point the kernel density, for each multiple, of the points of the other folds."""
    densities = np.empty((len(points), len(MULTIPLES)))
    for number in range(fold.max() + 1):
        out = fold == number
        # As many centres in every fold, so that one program serves all: a centre of infinite width adds nothing.
        centres = np.where(out[:, None], 0, points)
        widths = np.full((len(MULTIPLES), len(points)), np.inf, points.dtype)
        widths[:, ~out] = bandwidths(points[~out])
        kernels = KernelEnergy(centres, widths, np.ones(len(widths)), dimension)
        densities[out] = over_points(KernelEnergy.densities, kernels, points[out], BLOCK) * (len(points) / (~out).sum())
    return densities


def masses(points: Float[np.ndarray, "a n"], dimension: int, pool: Pool) -> Float[np.ndarray, " s"]:
    """What the kernel density of points (a, n), for each multiple, integrates to over M, by a pool of it; at least one.

    Wide kernels reach other sheets of M near by, so that their densities add up to more than one.
    """
    widths = bandwidths(points)
    kernels = KernelEnergy(points, widths.astype(points.dtype), np.ones(len(widths)), dimension)
    some = slice(None, None, max(len(pool.points) * len(points) // MOST_PAIRS, 1))
    densities = over_points(KernelEnergy.densities, kernels, pool.points[some], BLOCK).astype(np.float64)
    weights = pool.weights[some] * (pool.weights.sum() / pool.weights[some].sum())
    return np.maximum(weights @ densities, 1.0)


class FoldDensities(NamedTuple):
    """Points of an m-dimensional M in folds, judged by kernels before any energy is there.

    densities (c, s): at the first c points, kernel densities of the other folds for each multiple of `bandwidths`.
    dimension: m.
    """

    folded: FoldedPoints
    densities: Float[np.ndarray, "c s"]
    dimension: int


def fold_densities(
    random: np.random.Generator,
    points: Float[np.ndarray, "a n"],
    dimension: int,
    members: int,
    fold: Int[np.ndarray, " a"] | None = None,
) -> FoldDensities:
    """Points (a, n) of an m-dimensional M in folds, random unless given, and what kernels say of the first ones.

    Those are `MAX_CENTRES` at most.
    """
    fold = folds(random, points, members) if fold is None else fold
    densities = held_out_densities(points[:MAX_CENTRES], fold[:MAX_CENTRES], dimension)
    return FoldDensities(FoldedPoints(points, fold), densities, dimension)


def mixture_weights(densities: Float[np.ndarray, "a s"], iterations: int = 300) -> Float[np.ndarray, " s"]:
    """Weights of the mixture of densities, given at points that none of them has seen, of greatest likelihood.

    By expectation maximisation (Dempster, Laird & Rubin 1977); this is stacking (Smyth & Wolpert 1999).
    """
    densities = densities + np.finfo(np.float32).tiny
    weights = np.full(densities.shape[1], 1 / densities.shape[1])
    for _ in range(iterations):
        shares = densities * weights
        weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    return weights


def kernel_energy(points: Float[np.ndarray, "a n"], weights: Float[np.ndarray, " s"], dimension: int):
    """The kernel energy of all points with the multiples that weigh at least 1 %."""
    kept = weights >= LEAST_WEIGHT * weights.sum()
    widths = bandwidths(points)[kept]
    shares = weights[kept] / weights[kept].sum()
    dtype = points.dtype
    return KernelEnergy(jnp.asarray(points), jnp.asarray(widths, dtype), jnp.asarray(shares, dtype), dimension)


def kernel_source(box: Box, kernel: KernelEnergy) -> PoolSource:
    """Pools of a box of R^m, half of each drawn evenly and half from kernels, for integrals that peak where they do.

    A point stands for the volume that its chance of being drawn either way says (Owen & Zhou 2000, mixtures of
    proposals).
    """
    even, low, high = box_source(box), np.asarray(box[0]), np.asarray(box[1])
    centres, widths = np.asarray(kernel.centres), np.asarray(kernel.bandwidths)
    shares = np.asarray(kernel.weights, np.float64)

    def draw(key: RandomKey, count: int) -> Pool:
        first = even.draw(key, count // 2)
        near = len(first.points)
        random = host_generator(jax.random.fold_in(key, 1))
        row, centre = random.choice(len(shares), near, p=shares / shares.sum()), random.integers(0, len(centres), near)
        points = centres[centre] + widths[row, centre, None] * random.normal(size=(near, len(low)))
        inside = box.on_host().contains(points)
        points = np.concatenate([first.points, points[inside].astype(first.points.dtype)])
        groups = np.concatenate([first.groups, first.groups[inside]])
        density = np.exp(-over_points(value, kernel, points, BLOCK).astype(np.float64))
        weights = 1 / (near * (density + 1 / np.prod((high - low).astype(np.float64))))
        return Pool(points, weights, groups, first.num_groups, 0, 0.0)

    return PoolSource(draw)
