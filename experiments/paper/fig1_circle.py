"""Fig. 1 of Ross et al. (2023): von Mises on the unit circle, 1,000 points."""

import numpy as np

from experiments.common.problem import Law, OriginalGrid, Problem, fresh_data
from experiments.common.run import command
from experiments.paper.hyperparameters import preset
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.synthetic import von_mises_circle, von_mises_circle_density
from implicit_manifolds.plot import plot_curve

PAPER = preset(
    box=(1.5, 1.5),
    batch_size=50,
    manifold_steps=6000,
    energy_steps=400,
    rank_weight=10.0,
    minimum_singular_value=1.0,
    energy_hidden=(32, 32),
    energy_square_weight=0.1,
    noise_scale=0.3,
    drift_scale=1.0,
    gradient_clip=0.1,
    energy_buffer=10_000,
)


def problem(seed: int) -> Problem:
    """Fresh data of a seed; truth from other streams of it."""
    angle = np.linspace(-np.pi, np.pi, 500)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    density = von_mises_circle_density(circle)
    data = fresh_data(Law(von_mises_circle, lambda points: np.log(von_mises_circle_density(points))), seed, 1000)
    return Problem(
        "von_mises",
        distance=lambda points: np.abs(np.linalg.norm(points, axis=1) - 1),
        original=OriginalGrid(np.array([[-1.3, 1.3]] * 2), 100, circle, density),
        presets={"default": FitConfig(manifold="zero-set"), "paper": PAPER},
        draw=lambda model, drawn: plot_curve(model, data["train"], ([circle], [density]), "Von Mises on a circle"),
        volume=2 * np.pi,
        betti=(1, 1),
        **data,
    )


if __name__ == "__main__":
    command(lambda options: problem(options.seed))
