"""One cell of the comparison with rivals: `python -m experiments.rivals --data floods --model ebim --seed 0`.

Every model fits the same points and is judged by the same code: true W1 of its own samples, distances both ways
between its manifold and the truth, held-out likelihood where it has one, MMD. The cell is a JSON file of its own.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np

from experiments import amino_acids, earth, projected_normals, von_mises, von_mises_mixture
from experiments.common import Problem, main
from experiments.report import RESULTS
from implicit_manifolds import fit, log_density, project_points, pushforward, sample
from implicit_manifolds.ebim import Projections
from implicit_manifolds.metrics.mmd import squared_mmd
from implicit_manifolds.metrics.transport import wasserstein1, wasserstein1_floor
from implicit_manifolds.pushforward import AutoencoderConfig, FlowConfig, PushforwardFit
from implicit_manifolds.pushforward.model import code_size

CELLS = RESULTS / "cells"
NUM_SAMPLES = 10_000
SUBSETS = 5
"""Disjoint sets of samples that W1 and MMD are averaged over."""

PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "von_mises": von_mises.problem,
    "von_mises_mixture": von_mises_mixture.problem,
    "projected_normals": projected_normals.problem,
    "floods": earth.problem,
    "amino_acids": amino_acids.problem,
}
Data = Literal["von_mises", "von_mises_mixture", "projected_normals", "floods", "amino_acids"]
Model = Literal[
    "ebim", "ae_ebm", "vae_ebm", "ambient_ebm", "ambient_flow", "m_flow", "m_flow_sequential", "m_e_flow", "fif"
]


class Judged(NamedTuple):
    """What a model offers to be judged by; nll and nearest are None where it has no density by volume or no manifold.

    sample(key, count) (count, n); nll(points) the mean of -log p; nearest(points) nearest points of its manifold.
    """

    sample: Callable[[Any, int], np.ndarray]
    nll: Callable[[np.ndarray], float]
    nearest: Callable[[np.ndarray], Projections] | None


@dataclass(frozen=True)
class CellOptions:
    """data, model, seed: which cell. out: directory of the cells."""

    data: Data = "von_mises_mixture"
    model: Model = "ebim"
    seed: int = 0
    out: Path = CELLS


def cell_path(options: CellOptions) -> Path:
    """The file of a cell."""
    return options.out / f"{options.data}-{options.model}-seed{options.seed}.json"


def run_cell(options: CellOptions) -> dict[str, Any]:
    """Fit, judge, and write the cell."""
    problem = PROBLEMS[options.data](options.seed)
    started, cpu_started = time.perf_counter(), time.process_time()
    judged = FITS[options.model](jax.random.key(options.seed), problem)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    cell = {
        **{"data": options.data, "model": options.model, "seed": options.seed},
        "version": version("implicit-manifolds"),
        **metrics(judged, problem, options.seed),
        "fit_seconds": seconds,
        "fit_cpu_seconds": cpu_seconds,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    cell_path(options).write_text(json.dumps(cell, indent=1) + "\n")
    print(json.dumps(cell, indent=1))
    return cell


def metrics(judged: Judged, problem: Problem, seed: int) -> dict[str, Any]:
    """What every model is judged by."""
    drawn = judged.sample(jax.random.key(seed + 1), NUM_SAMPLES)
    count = len(problem.test)
    order = np.random.default_rng(seed).permutation(NUM_SAMPLES)[: SUBSETS * count].reshape(SUBSETS, count)
    found = {
        "w1": float(np.mean([wasserstein1(drawn[rows], problem.test) for rows in order])),
        "w1_floor": wasserstein1_floor(problem.true_pair),
        "mmd": float(np.mean([squared_mmd(drawn[rows], problem.test) for rows in order])),
        "nll_test": judged.nll(problem.test),
        **summary("samples_to_truth", problem.distance(drawn)),
    }
    if judged.nearest is not None:
        for name, points in (("train", problem.train), ("test", problem.test)):
            nearest = judged.nearest(points)
            found |= summary(f"{name}_to_model", nearest.distance[nearest.converged])
            found[f"{name}_converged"] = float(nearest.converged.mean())
    return found


def summary(name: str, distance: np.ndarray) -> dict[str, float]:
    """Least, median, mean and greatest of distances."""
    values = {"min": distance.min(), "median": np.median(distance), "mean": distance.mean(), "max": distance.max()}
    return {f"{name}_{key}": float(value) for key, value in values.items()}


def _ebim(key, problem: Problem) -> Judged:
    model = fit(key, problem.train, problem.codimension).model

    def nll(points):
        found = log_density(model, points)
        return -float(found.log_density[found.converged].mean())

    return Judged(lambda key, count: sample(key, model, count).points, nll, partial(project_points, model))


def _judged(found: PushforwardFit, key) -> Judged:
    model = found.model
    manifold = code_size(model) < len(model.scaling.shift)

    def nll(points):
        return -float(pushforward.log_density(model, points).log_density.mean())

    nearest = partial(pushforward.nearest_points, key, model) if manifold else None
    return Judged(lambda key, count: pushforward.sample(key, model, count), nll, nearest)


def _rival(fit_model: Callable, *config: Any, latent: bool = True) -> Callable[[Any, Problem], Judged]:
    """How a rival is fitted to a problem; `latent` where it is told the manifold's dimension."""

    def fitted(key, problem: Problem) -> Judged:
        size = (problem.train.shape[1] - problem.codimension,) if latent else ()
        return _judged(fit_model(key, problem.train, *size, *config), key)

    return fitted


FITS: dict[str, Callable[[Any, Problem], Judged]] = {
    "ebim": _ebim,
    "ae_ebm": _rival(pushforward.fit_autoencoder_ebm),
    "vae_ebm": _rival(pushforward.fit_autoencoder_ebm, AutoencoderConfig(kl_weight=1e-3)),
    "ambient_ebm": _rival(pushforward.fit_ambient_ebm, latent=False),
    "ambient_flow": _rival(pushforward.fit_ambient_flow, latent=False),
    "m_flow": _rival(pushforward.fit_manifold_flow),
    "m_flow_sequential": _rival(pushforward.fit_manifold_flow, FlowConfig(schedule="sequential")),
    "m_e_flow": _rival(pushforward.fit_manifold_flow, FlowConfig(schedule="sequential", encoder=True)),
    "fif": _rival(pushforward.fit_free_form_flow),
}
assert set(FITS) == set(get_args(Model))


if __name__ == "__main__":
    main(run_cell, CellOptions)
