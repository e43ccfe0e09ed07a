"""Data with what is known of their law: what an experiment fits and is judged by."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from implicit_manifolds import EBIM, FitConfig
from implicit_manifolds.ebim.verbs import Samples


@dataclass(frozen=True)
class OriginalGrid:
    """How the authors' metric is set up: box limits (n, 2), cells an axis, and the truth with its density."""

    limits: np.ndarray
    granularity: int
    truth: np.ndarray
    truth_density: np.ndarray | None = None


@dataclass(frozen=True)
class Law:
    """A law in closed form: draw(random, count) (count, n), and log_density of points (N, n), by volume, (N,)."""

    draw: Callable[[np.random.Generator, int], np.ndarray]
    log_density: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Problem:
    """Data with what is known of their law.

    train (N, n) to fit; test (M, n) to hold samples against; true_pair(i), two disjoint true samples of M points;
    distance, (N, n) to distances from the true manifold (N,). volume and betti numbers of the true manifold.
    original, draw: None where the data are no experiment of their own. baselines: further metrics, of other methods on
    the same split.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    true_pair: Callable[[int], tuple[np.ndarray, np.ndarray]]
    distance: Callable[[np.ndarray], np.ndarray]
    original: OriginalGrid | None
    presets: dict[str, FitConfig]
    draw: Callable[[EBIM, Samples], Figure] | None = field(repr=False)
    codimension: int = 1
    law: Law | None = None
    volume: float | None = None
    betti: tuple[int, ...] | None = None
    baselines: Callable[[], dict[str, float]] = dict


def fresh_data(law: Law, seed: int, count: int) -> dict[str, Any]:
    """Parts of a `Problem` of a known law: `count` points to train, 1,000 to test, pairs of 1,000, each a stream."""

    def true_pair(index):
        random = np.random.default_rng([seed, 2, index])
        return law.draw(random, 1000), law.draw(random, 1000)

    train, test = (law.draw(np.random.default_rng([seed, stream]), size) for stream, size in ((0, count), (1, 1000)))
    return {"train": train, "test": test, "true_pair": true_pair, "law": law}


def disjoint_pair(points: np.ndarray, sizes: tuple[int, int], seed) -> tuple[np.ndarray, np.ndarray]:
    """Two random disjoint subsets of `points` (N, n): true samples for `wasserstein1_floor` on real data."""
    order = np.random.default_rng(seed).permutation(len(points))
    return points[order[: sizes[0]]], points[order[sizes[0] : sum(sizes)]]
