"""Fig. 6 of Ross et al. (2023): the dihedral angles of glycine or another amino acid, on a torus that is not given.

`python -m experiments.paper.fig6_amino_acids --amino-acid A`; 80 % to train, 10 % to test. Beside the model stands a
kernel density on the true torus, its two bandwidths and their weight chosen by the 10 % that validate.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import i0e

from experiments.common.kernels import two_bandwidths
from experiments.common.problem import OriginalGrid, Problem, disjoint_pair
from experiments.common.run import Options, command
from experiments.laws.torus import RADIUS, TUBE, distance_to_torus
from experiments.paper.hyperparameters import preset
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.proteins import load_dihedral, torus_embedding
from implicit_manifolds.datasets.splits import split
from implicit_manifolds.plot import plot_surface

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
    drift_scale=None,
    gradient_clip=0.03,
    energy_buffer=1000,
)


CONCENTRATIONS = np.geomspace(1.0, 3000.0, 12)


@dataclass(frozen=True)
class AminoAcidOptions(Options):
    """Options of every experiment, and amino_acid: its one-letter code."""

    amino_acid: str = "G"


def problem(seed: int, amino_acid: str = "G") -> Problem:
    """An 80/10/10 split of the 1,000 angle pairs by the seed."""
    angles = load_dihedral(amino_acid)
    points = torus_embedding(angles, RADIUS, TUBE)
    train, _, test = split(points, seed)
    sizes = (len(test), len(test))
    return Problem(
        "amino_acids" if amino_acid == "G" else f"amino_acid_{amino_acid}",
        train,
        test,
        lambda index: disjoint_pair(points, sizes, [seed, index]),
        distance_to_torus,
        OriginalGrid(np.array([[-4.1, 4.1], [-4.1, 4.1], [-2.7, 2.7]]), 30, test),
        {"default": FitConfig(manifold="zero-set"), "paper": PAPER},
        lambda model, drawn: plot_surface(
            model, title=f"Dihedral angles of amino acid {amino_acid} on a learned torus"
        ),
        volume=4 * np.pi**2 * RADIUS * TUBE,
        betti=(1, 2, 1),
        baselines=partial(baselines, *split(angles, seed)),
    )


def baselines(train, validation, test) -> dict[str, float]:
    """Mean negative log-density of test angles (M, 2), by area of the true torus, under kernels on it."""
    judged, tested = (von_mises_densities(train, angles, CONCENTRATIONS) for angles in (validation, test))
    area = TUBE * (RADIUS + TUBE * np.cos(test[:, 1]))
    return {"nll_kernel": float(-(two_bandwidths(judged, tested) - np.log(area)).mean())}


def von_mises_densities(centres, angles, concentrations) -> np.ndarray:
    """Mean over centres (a, 2) of the product of von Mises densities at angles (N, 2), (N, concentrations)."""
    cosines = np.cos(angles[:, None] - centres).sum(axis=2) - 2
    return np.stack([np.exp(k * cosines).mean(axis=1) / (2 * np.pi * i0e(k)) ** 2 for k in concentrations], axis=1)


if __name__ == "__main__":
    command(lambda options: problem(options.seed, options.amino_acid), AminoAcidOptions)
