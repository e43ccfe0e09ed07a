"""One cell of the comparison with rivals: `python -m experiments.comparison.fits --data floods --model ebim --seed 0`.

Every model fits the same points and is judged by the same code: true W1 of its own samples, distances both ways
between its manifold and the truth, held-out likelihood where it has one, MMD. The cell is a JSON file of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from experiments.common.cells import CELLS, cell_path, write_cell
from experiments.common.command import main
from experiments.common.judging import Candidate, candidate_of, metrics
from experiments.common.original_cost import SPREAD
from experiments.common.problem import Problem
from experiments.laws import flow_data, projected_normals, shapes
from experiments.paper import fig1_circle as von_mises
from experiments.paper import fig4_two_circles as von_mises_mixture
from experiments.paper import fig5_earth as earth
from experiments.paper import fig6_amino_acids as amino_acids
from implicit_manifolds import FitConfig, baselines, fit
from implicit_manifolds.baselines import AutoencoderConfig, FlowConfig, LatentEnergyConfig, PushforwardFit
from implicit_manifolds.baselines.latents import EnergyLatent
from implicit_manifolds.baselines.model import code_size
from implicit_manifolds.box import box_around
from implicit_manifolds.volumes.pools import box_source

PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "von_mises": von_mises.problem,
    "von_mises_mixture": von_mises_mixture.problem,
    "projected_normals": projected_normals.problem,
    "floods": earth.problem,
    "amino_acids": amino_acids.problem,
    "gaussian_circle": flow_data.gaussian_circle_problem,
    "lorenz": flow_data.lorenz_problem,
    **{name: partial(shapes.problem, name) for name in shapes.SHAPES},
}
Data = Literal[
    "von_mises",
    "von_mises_mixture",
    "projected_normals",
    "floods",
    "amino_acids",
    "gaussian_circle",
    "lorenz",
    "circle",
    "two_circles",
    "sphere",
    "torus",
    "genus_two",
    "trefoil",
    "hopf_link",
    "clifford_torus",
]
Model = Literal[
    "ebim",
    "ae_ebm",
    "ae_ebm_contrastive",
    "vae_ebm",
    "ambient_ebm",
    "ambient_flow",
    "m_flow",
    "m_flow_sequential",
    "m_flow_transport",
    "m_e_flow",
    "nae",
    "fif",
]
CONTRASTIVE = LatentEnergyConfig(loss="contrastive")
"""The paper's training of energies, for a rival as in the paper; the others have our likelihood."""


@dataclass(frozen=True)
class CellOptions:
    """data, model, seed: which cell. out: directory of the cells."""

    data: Data = "von_mises_mixture"
    model: Model = "ebim"
    seed: int = 0
    out: Path = CELLS


def path_of(options: CellOptions) -> Path:
    """The file of a cell."""
    return cell_path(options.out, options.data, options.model, seed=options.seed)


def run_cell(options: CellOptions) -> dict[str, Any]:
    """Fit, judge, and write the cell."""
    problem, key = PROBLEMS[options.data](options.seed), jax.random.key(options.seed)
    return write_cell(
        path_of(options),
        {"data": options.data, "model": options.model, "seed": options.seed},
        lambda: FITS[options.model](key, problem),
        lambda judged: metrics(judged, problem, jax.random.fold_in(key, 1), options.seed),
    )


def fitted_ebim(key, problem: Problem, config: FitConfig = FitConfig(manifold="zero-set")) -> Candidate:
    """An EBIM fitted to a problem's training points, ready to be judged."""
    return candidate_of(fit(key, problem.train, problem.codimension, config).model)


def fitted_baseline(found: PushforwardFit, key) -> Candidate:
    """A fitted baseline, ready to be judged."""
    model = found.model

    def density(points):
        return baselines.log_density(model, points).log_density

    def draw(key, count):
        return baselines.sample(key, model, count)

    if code_size(model) == len(model.scaling.shift):
        return Candidate(draw, density, None)
    return Candidate(draw, density, partial(baselines.nearest_points, key, model), partial(_spread, model))


def _spread(model, key):
    """Images of even codes in the box that an energy of codes lives in, else in that of the codes it draws."""
    law = model.latent
    box = law.box if isinstance(law, EnergyLatent) else box_around(jnp.asarray(law.draw(key, SPREAD)), 0.0)
    return baselines.image(model, box_source(box).draw(key, SPREAD).points)


def _rival(fit_model: Callable, *config: Any, latent: bool = True) -> Callable[[Any, Problem], Candidate]:
    """How a rival is fitted to a problem; `latent` where it is told the manifold's dimension."""

    def fitted(key, problem: Problem) -> Candidate:
        size = (problem.train.shape[1] - problem.codimension,) if latent else ()
        return fitted_baseline(fit_model(key, problem.train, *size, *config), key)

    return fitted


FITS: dict[str, Callable[[Any, Problem], Candidate]] = {
    "ebim": fitted_ebim,
    "ae_ebm": _rival(baselines.fit_autoencoder_ebm),
    "ae_ebm_contrastive": _rival(baselines.fit_autoencoder_ebm, AutoencoderConfig(), CONTRASTIVE),
    "vae_ebm": _rival(baselines.fit_autoencoder_ebm, AutoencoderConfig(kl_weight=1e-3)),
    "ambient_ebm": _rival(baselines.fit_ambient_ebm, latent=False),
    "ambient_flow": _rival(baselines.fit_ambient_flow, latent=False),
    "m_flow": _rival(baselines.fit_manifold_flow),
    "m_flow_sequential": _rival(baselines.fit_manifold_flow, FlowConfig(schedule="sequential")),
    "m_flow_transport": _rival(
        baselines.fit_manifold_flow, FlowConfig(schedule="transport", batch_size=500, num_steps=2000)
    ),
    "m_e_flow": _rival(baselines.fit_manifold_flow, FlowConfig(schedule="sequential", encoder=True)),
    "nae": _rival(baselines.fit_normalized_autoencoder),
    "fif": _rival(baselines.fit_free_form_flow),
}
assert set(FITS) == set(get_args(Model))
assert set(PROBLEMS) == set(get_args(Data))


if __name__ == "__main__":
    main(run_cell, CellOptions)
