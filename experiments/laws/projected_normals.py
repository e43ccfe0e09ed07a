"""Projected normals at (±1, 0, 0) on the unit sphere, 1,000 points, their density known."""

import numpy as np

from experiments.common.problem import Law, OriginalGrid, Problem, fresh_data
from experiments.common.run import command
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.synthetic import projected_normal_sphere, projected_normal_sphere_density
from implicit_manifolds.plot import plot_surface


def problem(seed: int) -> Problem:
    """Fresh data of a seed; truth from other streams of it."""
    data = fresh_data(
        Law(projected_normal_sphere, lambda points: np.log(projected_normal_sphere_density(points))), seed, 1000
    )
    return Problem(
        "projected_normals",
        distance=lambda points: np.abs(np.linalg.norm(points, axis=1) - 1),
        original=OriginalGrid(np.array([[-1.3, 1.3]] * 3), 30, data["test"]),
        presets={"default": FitConfig(manifold="zero-set")},
        draw=lambda model, drawn: plot_surface(model, title="Projected normals on a learned sphere"),
        **data,
        volume=4 * np.pi,
        betti=(1, 0, 1),
    )


if __name__ == "__main__":
    command(lambda options: problem(options.seed))
