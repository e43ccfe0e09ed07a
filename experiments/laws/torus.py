"""A sine-bivariate von Mises law on a torus of radii 3 and 1, 2,000 points, its density known."""

import numpy as np

from experiments.common.problem import Law, OriginalGrid, Problem, fresh_data
from experiments.common.run import command
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.synthetic import sine_torus, sine_torus_density
from implicit_manifolds.plot import plot_surface

RADIUS, TUBE = 3.0, 1.0


def distance_to_torus(points: np.ndarray) -> np.ndarray:
    """Distance of points (N, 3) from the torus of `torus_embedding`, (N,)."""
    ring = np.hypot(points[:, 0], points[:, 1]) - RADIUS
    return np.abs(np.hypot(ring, points[:, 2]) - TUBE)


def problem(seed: int) -> Problem:
    """Fresh data of a seed; truth from other streams of it."""
    data = fresh_data(Law(sine_torus, lambda points: np.log(sine_torus_density(points))), seed, 2000)
    return Problem(
        "torus",
        distance=distance_to_torus,
        original=OriginalGrid(np.array([[-4.1, 4.1], [-4.1, 4.1], [-1.3, 1.3]]), 30, data["test"]),
        presets={"default": FitConfig(manifold="zero-set")},
        draw=lambda model, drawn: plot_surface(model, title="A sine law on a learned torus"),
        **data,
        volume=12 * np.pi**2,
    )


if __name__ == "__main__":
    command(lambda options: problem(options.seed))
