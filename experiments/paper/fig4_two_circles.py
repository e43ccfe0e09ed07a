"""Fig. 4 of Ross et al. (2023): two von Mises on two disjoint circles, 1,000 points."""

import numpy as np

from experiments.common.problem import Law, OriginalGrid, Problem, fresh_data
from experiments.common.run import command
from experiments.paper.hyperparameters import preset
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.synthetic import von_mises_mixture, von_mises_mixture_density
from implicit_manifolds.plot import plot_curve

OFFSET = 1.8
PAPER = preset(
    box=(3.3, 3.3),
    batch_size=100,
    manifold_steps=5000,
    energy_steps=100,
    rank_weight=1.0,
    minimum_singular_value=1.0,
    energy_hidden=(32, 32),
    energy_square_weight=0.3,
    noise_scale=0.5,
    drift_scale=1.0,
    gradient_clip=0.1,
    energy_buffer=10_000,
)


def distance_to_circles(points: np.ndarray) -> np.ndarray:
    """Distance of points (N, 2) from the nearer of the two unit circles, (N,)."""
    centres = np.array([[-OFFSET, 0.0], [OFFSET, 0.0]])
    return np.abs(np.linalg.norm(points[:, None] - centres, axis=-1) - 1).min(axis=1)


def problem(seed: int) -> Problem:
    """Fresh data of a seed; truth from other streams of it."""
    angle = np.linspace(-np.pi, np.pi, 250)
    circles = [np.column_stack([np.cos(angle) + shift, np.sin(angle)]) for shift in (-OFFSET, OFFSET)]
    densities = [von_mises_mixture_density(circle, offset=OFFSET) for circle in circles]
    data = fresh_data(
        Law(
            lambda random, count: von_mises_mixture(random, count, offset=OFFSET),
            lambda points: np.log(von_mises_mixture_density(points, offset=OFFSET)),
        ),
        seed,
        1000,
    )
    return Problem(
        "von_mises_mixture",
        distance=distance_to_circles,
        original=OriginalGrid(np.array([[-3.3, 3.3]] * 2), 100, np.concatenate(circles), np.concatenate(densities)),
        presets={"default": FitConfig(manifold="zero-set"), "paper": PAPER},
        draw=lambda model, drawn: plot_curve(model, data["train"], (circles, densities), "Von Mises on two circles"),
        volume=4 * np.pi,
        betti=(2, 2),
        **data,
    )


if __name__ == "__main__":
    command(lambda options: problem(options.seed))
