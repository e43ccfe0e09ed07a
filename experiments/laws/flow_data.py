"""Two of M-flow's data sets as problems: a circle with normal noise across it, and the Lorenz attractor."""

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

from experiments.common.problem import Problem
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.lorenz import lorenz_attractor
from implicit_manifolds.datasets.synthetic import gaussian_circle

TRAIN, TEST, REFERENCE = 10_000, 1000, 200_000


def gaussian_circle_problem(seed: int) -> Problem:
    """Distances are from the circle in the middle of the noise."""
    return _problem("gaussian_circle", seed, gaussian_circle, lambda x: np.abs(np.linalg.norm(x, axis=1) - 1), (1, 1))


def lorenz_problem(seed: int) -> Problem:
    """Distances are from the nearest of 200,000 points of the attractor, an upper bound of what they are from it."""
    reference = KDTree(lorenz_attractor(np.random.default_rng([seed, 9]), REFERENCE))
    return _problem("lorenz", seed, lorenz_attractor, lambda x: reference.query(x)[0], None)


def _problem(name: str, seed: int, draw: Callable, distance: Callable, betti: tuple[int, ...] | None) -> Problem:
    """Points drawn from streams of the seed; the law has no density by length or area, so none is given."""

    def stream(number, count):
        return draw(np.random.default_rng([seed, number]), count)

    def true_pair(index):
        return stream(10 + 2 * index, TEST), stream(11 + 2 * index, TEST)

    presets = {"default": FitConfig(manifold="zero-set")}
    train, test = stream(0, TRAIN), stream(1, TEST)
    return Problem(name, train, test, true_pair, distance, None, presets, None, betti=betti)
