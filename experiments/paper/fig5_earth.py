"""Where floods (Fig. 5 of Ross et al. 2023), fires, earthquakes and eruptions happened, the sphere not given.

`python -m experiments.paper.fig5_earth --data fires`; points in space, 80 % to train, 10 % to test. Beside the model
stands a kernel density on the true sphere, its two bandwidths and their weight chosen by the 10 % that validate.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from experiments.common.kernels import two_bandwidths
from experiments.common.problem import OriginalGrid, Problem, disjoint_pair
from experiments.common.run import Options, command
from experiments.paper.hyperparameters import preset
from implicit_manifolds import FitConfig
from implicit_manifolds.datasets.earth import EarthData, load_earth
from implicit_manifolds.datasets.splits import split
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
    drift_scale=None,
    gradient_clip=0.03,
    energy_buffer=1000,
    langevin_steps=5,
)


FILES: dict[str, EarthData] = {"floods": "flood", "fires": "fire", "earthquakes": "quakes_all", "volcanoes": "volerup"}
CONCENTRATIONS = np.geomspace(3.0, 30_000.0, 13)


@dataclass(frozen=True)
class EarthOptions(Options):
    """Options of every experiment, and data: what happened."""

    data: Literal["floods", "fires", "earthquakes", "volcanoes"] = "floods"


def problem(seed: int, data: str = "floods") -> Problem:
    """An 80/10/10 split of the events by the seed."""
    points = load_earth(FILES[data])
    train, validation, test = split(points, seed)
    sizes = (len(test), len(test))
    return Problem(
        data,
        train,
        test,
        lambda index: disjoint_pair(points, sizes, [seed, index]),
        lambda points: np.abs(np.linalg.norm(points, axis=1) - 1),
        OriginalGrid(np.array([[-1.3, 1.3]] * 3), 30, test),
        {"default": FitConfig(manifold="zero-set"), "paper": PAPER},
        lambda model, drawn: plot_surface(model, title=f"{data.capitalize()} on a learned sphere"),
        volume=4 * np.pi,
        betti=(1, 0, 1),
        baselines=partial(baselines, train, validation, test),
    )


def baselines(train, validation, test) -> dict[str, float]:
    """Mean negative log-density of test points under kernels on the true sphere, given as such."""
    judged, tested = (von_mises_fisher_densities(train, points, CONCENTRATIONS) for points in (validation, test))
    return {"nll_kernel": -float(two_bandwidths(judged, tested).mean())}


def von_mises_fisher_densities(centres, points, concentrations) -> np.ndarray:
    """Mean over centres (a, 3) of the von Mises-Fisher density at points (N, 3), (N, concentrations)."""
    rows = []
    for block in np.array_split(points, max(1, len(points) // 200)):
        cosine = block @ centres.T - 1
        columns = [np.exp(k * cosine).mean(axis=1) * k / (2 * np.pi * -np.expm1(-2 * k)) for k in concentrations]
        rows.append(np.stack(columns, axis=1))
    return np.concatenate(rows)


if __name__ == "__main__":
    command(lambda options: problem(options.seed, options.data), EarthOptions)
