"""Fig. 6 of Ross et al. (2023): the dihedral angles of glycine, on a torus that is not given."""

import numpy as np

from experiments.common import OriginalGrid, Problem, command
from experiments.paper import preset
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.proteins import load_dihedral, torus_embedding
from implicit_manifolds.datasets.splits import split
from implicit_manifolds.metrics.transport import disjoint_pair
from implicit_manifolds.plot import plot_surface

RADIUS, TUBE = 3.0, 1.0
PAPER = preset(
    hidden=(8, 8),
    box=(4.1, 4.1, 2.7),
    batch_size=50,
    negative_weight=0.0,
    manifold_steps=2000,
    energy_steps=200,
    rank_weight=1.0,
    minimum_singular_value=0.3,
    energy_hidden=(32, 32, 32),
    energy_square_weight=0.3,
    noise_scale=0.1,
    step_size=None,
    gradient_clip=0.03,
    energy_buffer=1000,
)


def distance_to_torus(points: np.ndarray) -> np.ndarray:
    """Distance of points (N, 3) from the torus of `torus_embedding`, (N,)."""
    ring = np.hypot(points[:, 0], points[:, 1]) - RADIUS
    return np.abs(np.hypot(ring, points[:, 2]) - TUBE)


def problem(seed: int) -> Problem:
    """An 80/10/10 split of glycine's 1,000 angle pairs by the seed."""
    points = torus_embedding(load_dihedral("G"), RADIUS, TUBE)
    train, _, test = split(points, seed)
    sizes = (len(test), len(test))
    return Problem(
        "amino_acids",
        train,
        test,
        lambda index: disjoint_pair(points, sizes, [seed, index]),
        distance_to_torus,
        OriginalGrid(np.array([[-4.1, 4.1], [-4.1, 4.1], [-2.7, 2.7]]), 30, test),
        {"default": FitConfig(), "paper": PAPER},
        lambda model, drawn: plot_surface(model, title="Glycine's dihedral angles on a learned torus"),
    )


if __name__ == "__main__":
    command(problem)
