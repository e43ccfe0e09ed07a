"""One cell of MiniBooNE, on a subset: `python -m experiments.comparison.miniboone --model fif --seed 0`.

43 features, 21 coordinates of a code (Sorrenson et al. 2024); judged by the Fréchet distance of 10,000 samples from the
training data in standardised features, their "FID-like" figure. No EBIM: 22 constraints in 43 dimensions are beyond its
normalised densities.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from experiments.common.cells import CELLS, cell_path, write_cell
from experiments.common.command import main
from implicit_manifolds import baselines
from implicit_manifolds.baselines import FlowConfig, FreeFormConfig
from implicit_manifolds.datasets.miniboone import load_miniboone
from implicit_manifolds.datasets.splits import split
from implicit_manifolds.metrics.frechet import frechet_distance

LATENT, SAMPLES = 21, 10_000
FRACTIONS = (0.81, 0.09, 0.1)
Model = Literal["fif", "m_flow"]


@dataclass(frozen=True)
class TabularOptions:
    """model, seed: which cell. out: directory of the cells. steps: of training."""

    model: Model = "fif"
    seed: int = 0
    out: Path = CELLS
    steps: int = 10_000


def path_of(options: TabularOptions) -> Path:
    """The file of a cell."""
    return cell_path(options.out, "miniboone", options.model, seed=options.seed)


def run_cell(options: TabularOptions) -> dict[str, Any]:
    """Fit, judge, and write the cell."""
    train, _, test = split(load_miniboone(), options.seed, FRACTIONS)
    key = jax.random.key(options.seed)
    return write_cell(
        path_of(options),
        {"data": "miniboone", "model": options.model, "seed": options.seed},
        lambda: _fit(options, key, train),
        lambda found: metrics(found, jax.random.fold_in(key, 1), train, test),
    )


def _fit(options: TabularOptions, key, train) -> baselines.PushforwardFit:
    if options.model == "m_flow":
        return baselines.fit_manifold_flow(key, train, LATENT, FlowConfig(num_steps=options.steps, layers=10))
    config = FreeFormConfig(width=256, reconstruction_weight=10.0, num_steps=options.steps)
    return baselines.fit_free_form_flow(key, train, LATENT, config)


def metrics(found: baselines.PushforwardFit, key, train, test) -> dict[str, float]:
    """Fréchet distances of samples, of as many as test points, and of these from training data; errors of the last.

    Few points have a mean and covariance of their own, so only equal numbers compare.
    """
    drawn = baselines.sample(key, found.model, SAMPLES)
    return {
        "frechet": frechet_distance(drawn, train),
        "frechet_as_many": frechet_distance(drawn[: len(test)], train),
        "frechet_test": frechet_distance(test, train),
        "reconstruction_error": float(baselines.reconstruct(found.model, test).distance.mean()),
        "nll_test": -float(np.nanmean(baselines.log_density(found.model, test).log_density)),
    }


if __name__ == "__main__":
    main(run_cell, TabularOptions)
