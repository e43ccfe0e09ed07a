"""Fig. 1 of Ross et al. (2023): von Mises on the unit circle, 1,000 points."""

import numpy as np

from experiments.common import Law, OriginalGrid, Problem, command
from experiments.paper import preset
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
    step_size=1.0,
    gradient_clip=0.1,
    energy_buffer=10_000,
)


def problem(seed: int) -> Problem:
    """Fresh data of a seed; truth from other streams of it."""
    angle = np.linspace(-np.pi, np.pi, 500)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    density = von_mises_circle_density(circle)
    train = von_mises_circle(np.random.default_rng([seed, 0]), 1000)

    def true_pair(index):
        random = np.random.default_rng([seed, 2, index])
        return von_mises_circle(random, 1000), von_mises_circle(random, 1000)

    return Problem(
        "von_mises",
        train,
        von_mises_circle(np.random.default_rng([seed, 1]), 1000),
        true_pair,
        lambda points: np.abs(np.linalg.norm(points, axis=1) - 1),
        OriginalGrid(np.array([[-1.3, 1.3]] * 2), 100, circle, density),
        {"default": FitConfig(), "paper": PAPER},
        lambda model, drawn: plot_curve(model, train, ([circle], [density]), "Von Mises on a circle"),
        volume=2 * np.pi,
        law=Law(von_mises_circle, lambda points: np.log(von_mises_circle_density(points))),
    )


if __name__ == "__main__":
    command(lambda options: problem(options.seed))
