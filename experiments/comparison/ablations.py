"""One cell of the paper's ablations: `python -m experiments.comparison.ablations --name kl_weight --value 0.01`.

On the mixture of Fig. 4 (Ross et al. 2023): steps of the chains in training without a replay buffer (Fig. 9), weight
of the KL term of a variational autoencoder (Fig. 10), least singular value η of the MDF's Jacobian (Fig. 11), and
weight of that term where the MDF is the left inverse of an injective flow, which collapses without it (Fig. 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx

from experiments.common.cells import CELLS, cell_path, write_cell
from experiments.common.command import main
from experiments.common.judging import Candidate, metrics
from experiments.common.problem import Problem
from experiments.comparison import fits
from experiments.paper import fig4_two_circles as von_mises_mixture
from implicit_manifolds import EnergyConfig, FitConfig, ManifoldConfig
from implicit_manifolds.baselines import AutoencoderConfig, fit_autoencoder_ebm
from implicit_manifolds.box import uniform_in_box
from implicit_manifolds.ebim.manifold import ManifoldObjective
from implicit_manifolds.manifold.tangent import linearize
from implicit_manifolds.networks.flows import Flow
from implicit_manifolds.scaling import standardization
from implicit_manifolds.training.loop import train_afresh

Name = Literal["langevin_steps", "kl_weight", "singular_value", "left_inverse"]
VALUES: dict[Name, tuple[float, ...]] = {
    "langevin_steps": (1, 10, 100),
    "kl_weight": (1e-5, 1e-3, 1e-1),
    "singular_value": (0.01, 0.1, 1.0, 3.0),
    "left_inverse": (0.0, 1.0),
}
NOISE = 2000
"""Points of the box that a collapsed MDF is looked for at."""


@dataclass(frozen=True)
class AblationOptions:
    """name, value of what is varied, seed: which cell. out: directory of the cells."""

    name: Name = "kl_weight"
    value: float = 0.001
    seed: int = 0
    out: Path = CELLS


class LeftInverse(nnx.Module):
    """F(x): what an injective flow drops of f⁻¹(x), all but the first m coordinates, (n,) to (n - m,)."""

    def __init__(self, flow: Flow, latent: int):
        self.flow, self.latent = flow, latent

    def __call__(self, x):
        """One point, (n,) to (n - m,)."""
        return self.flow.inverse(x)[0][self.latent :]


def path_of(options: AblationOptions) -> Path:
    """The file of a cell."""
    return cell_path(options.out, "ablation", options.name, f"{options.value:g}", seed=options.seed)


def run_cell(options: AblationOptions) -> dict[str, Any]:
    """Fit, judge, and write the cell."""
    problem, key = von_mises_mixture.problem(options.seed), jax.random.key(options.seed)
    identity = {"data": "ablation", "model": options.name, "value": options.value, "seed": options.seed}

    def judge(fitted) -> dict[str, Any]:
        return (
            metrics(fitted, problem, jax.random.fold_in(key, 1), options.seed)
            if isinstance(fitted, Candidate)
            else fitted
        )

    return write_cell(path_of(options), identity, lambda: FITS[options.name](key, problem, options.value), judge)


def _langevin_steps(key, problem: Problem, value) -> Candidate:
    energy = EnergyConfig(langevin_steps=int(value), replay_fraction=0.0)
    return fits.fitted_ebim(key, problem, FitConfig(energy=energy, energy_loss="contrastive", manifold="zero-set"))


def _kl_weight(key, problem: Problem, value) -> Candidate:
    found = fit_autoencoder_ebm(key, problem.train, 1, AutoencoderConfig(kl_weight=value))
    return fits.fitted_baseline(found, key)


def _singular_value(key, problem: Problem, value) -> Candidate:
    return fits.fitted_ebim(key, problem, FitConfig(ManifoldConfig(minimum_singular_value=value), manifold="zero-set"))


def _left_inverse(key, problem: Problem, value) -> dict[str, float]:
    """Mean size of F and of its gradient at the data, and mean size of F at noise in the box."""
    _, points, box = standardization(problem.train)
    config = ManifoldConfig(num_steps=3000, negative_weight=0.0, square_weight=0.0, rank_weight=value)
    model = LeftInverse(Flow(2, layers=5, bins=10, bound=4.0, linear=True, rngs=nnx.Rngs(key)), 1)
    objective = ManifoldObjective(box, config)
    state, _ = train_afresh("left inverse", key, model, objective, points, config)
    noise = uniform_in_box(np.random.default_rng(0), box, NOISE)
    on_data, gradients = _sizes(state.model, points)
    return {
        "residual_data": float(on_data.mean()),
        "residual_noise": float(_sizes(state.model, noise)[0].mean()),
        "gradient_data": float(gradients.mean()),
    }


@jax.jit
def _sizes(mdf, points):
    def one(x):
        at = linearize(mdf, x, dense=True)
        return abs(at.residual[0]), jax.numpy.linalg.norm(at.jacobian)

    return jax.vmap(one)(points)


FITS: dict[Name, Callable[[Any, Problem, float], Any]] = {
    "langevin_steps": _langevin_steps,
    "kl_weight": _kl_weight,
    "singular_value": _singular_value,
    "left_inverse": _left_inverse,
}


if __name__ == "__main__":
    main(run_cell, AblationOptions)
