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
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from experiments import amino_acids, earth, projected_normals, von_mises, von_mises_mixture
from experiments.common import Problem, main
from experiments.judging import Judged, metrics
from experiments.report import RESULTS
from implicit_manifolds import fit, log_density, project_points, pushforward, sample
from implicit_manifolds.anchors import points_on_manifold
from implicit_manifolds.ebim import energies_at
from implicit_manifolds.fit import box_around
from implicit_manifolds.manifold.topology import topology
from implicit_manifolds.manifold.volume import box_source
from implicit_manifolds.pushforward import AutoencoderConfig, FlowConfig, PushforwardFit
from implicit_manifolds.pushforward.latents import EnergyLatent
from implicit_manifolds.pushforward.model import code_size

CELLS = RESULTS / "cells"
SPREAD = 2**13
"""Points all over a learned manifold."""

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
        **metrics(judged, problem, jax.random.key(options.seed + 1), options.seed),
        "fit_seconds": seconds,
        "fit_cpu_seconds": cpu_seconds,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    cell_path(options).write_text(json.dumps(cell, indent=1) + "\n")
    print(json.dumps(cell, indent=1))
    return cell


def _ebim(key, problem: Problem) -> Judged:
    model = fit(key, problem.train, problem.codimension).model
    box = (model.low, model.high)

    def density(points):
        found = log_density(model, points)
        return np.where(found.converged, found.log_density, np.nan)

    def spread(key):
        _, points = points_on_manifold(key, model.mdf, model.anchors, box, SPREAD)
        return model.scaling.restore(points), -energies_at(model.energy, points)

    def betti():
        return topology(model.mdf, box, model.anchors, model.atlas).betti

    return Judged(
        lambda key, count: sample(key, model, count).points, density, partial(project_points, model), spread, betti
    )


def _judged(found: PushforwardFit, key) -> Judged:
    model = found.model

    def density(points):
        return pushforward.log_density(model, points).log_density

    def draw(key, count):
        return pushforward.sample(key, model, count)

    if code_size(model) == len(model.scaling.shift):
        return Judged(draw, density, None)
    return Judged(draw, density, partial(pushforward.nearest_points, key, model), partial(_spread, model))


def _spread(model, key):
    """Images of even codes in the box that an energy of codes lives in, else in that of the codes it draws."""
    law = model.latent
    box = (law.low, law.high) if isinstance(law, EnergyLatent) else box_around(jnp.asarray(law.draw(key, SPREAD)), 0.0)
    return pushforward.image(model, box_source(box).draw(key, SPREAD).points)


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
