"""A sine-bivariate von Mises law on a torus of radii 3 and 1, 2,000 points, its density known."""

import numpy as np

from experiments.amino_acids import distance_to_torus
from experiments.common import Law, OriginalGrid, Problem, command
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.synthetic import sine_torus, sine_torus_density
from implicit_manifolds.plot import plot_surface


def problem(seed: int) -> Problem:
    """Fresh data of a seed; truth from other streams of it."""
    test = sine_torus(np.random.default_rng([seed, 1]), 1000)

    def true_pair(index):
        random = np.random.default_rng([seed, 2, index])
        return sine_torus(random, 1000), sine_torus(random, 1000)

    return Problem(
        "torus",
        sine_torus(np.random.default_rng([seed, 0]), 2000),
        test,
        true_pair,
        distance_to_torus,
        OriginalGrid(np.array([[-4.1, 4.1], [-4.1, 4.1], [-1.3, 1.3]]), 30, test),
        {"default": FitConfig()},
        lambda model, drawn: plot_surface(model, title="A sine law on a learned torus"),
        law=Law(sine_torus, lambda points: np.log(sine_torus_density(points))),
        volume=12 * np.pi**2,
    )


if __name__ == "__main__":
    command(lambda options: problem(options.seed))
