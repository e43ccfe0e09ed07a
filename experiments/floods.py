"""Fig. 5 of Ross et al. (2023): where floods happened, as points in space, the sphere not given."""

import numpy as np

from experiments.common import OriginalGrid, Problem, command
from experiments.paper import preset
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.earth import load_earth
from implicit_manifolds.datasets.splits import split
from implicit_manifolds.metrics.transport import disjoint_pair
from implicit_manifolds.plot import plot_surface

PAPER = preset(
    box=(1.3, 1.3, 1.3),
    batch_size=50,
    manifold_steps=300 * 78,
    energy_steps=100 * 78,
    rank_weight=10.0,
    minimum_singular_value=0.1,
    energy_hidden=(32, 32, 32, 32),
    energy_square_weight=0.1,
    noise_scale=0.1,
    step_size=None,
    gradient_clip=0.03,
    energy_buffer=1000,
    langevin_steps=5,
)


def problem(seed: int) -> Problem:
    """An 80/10/10 split of the floods by the seed."""
    points = load_earth("flood")
    train, _, test = split(points, seed)
    sizes = (len(test), len(test))
    return Problem(
        "floods",
        train,
        test,
        lambda index: disjoint_pair(points, sizes, [seed, index]),
        lambda points: np.abs(np.linalg.norm(points, axis=1) - 1),
        OriginalGrid(np.array([[-1.3, 1.3]] * 3), 30, test),
        {"default": FitConfig(), "paper": PAPER},
        lambda model, drawn: plot_surface(model, title="Floods on a learned sphere"),
    )


if __name__ == "__main__":
    command(problem)
