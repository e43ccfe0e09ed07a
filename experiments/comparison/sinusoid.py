"""One cell of FIF's noisy sinusoid: `python -m experiments.comparison.sinusoid --model fif --weight 100 --seed 0`.

A free-form injective flow by weight of the reconstruction, with the loss off the manifold or the naive one on it, and
an M-flow, fitted to a curve with noise; judged by the excess of noisy points' NLL over the entropy of the curve's law.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from scipy.spatial import KDTree

from experiments.common.cells import CELLS, cell_path, write_cell
from experiments.common.command import main
from implicit_manifolds import TrainingDiverged, baselines
from implicit_manifolds.baselines import FlowConfig, FreeFormConfig
from implicit_manifolds.datasets.synthetic import sinusoid, sinusoid_log_density, sinusoid_point

TRAIN, TEST = 100_000, 5000
NOISE = 0.1
Model = Literal["fif", "fif_on_manifold", "m_flow"]


@dataclass(frozen=True)
class SinusoidOptions:
    """model, weight β (of the free-form flows), seed: which cell. out: directory of the cells. steps: of training."""

    model: Model = "fif"
    weight: float = 100.0
    seed: int = 0
    out: Path = CELLS
    steps: int = 10_000


def path_of(options: SinusoidOptions) -> Path:
    """The file of a cell."""
    names = (options.model,) if options.model == "m_flow" else (options.model, f"{options.weight:g}")
    return cell_path(options.out, "sinusoid", *names, seed=options.seed)


def run_cell(options: SinusoidOptions) -> dict[str, Any]:
    """Fit, judge, and write the cell."""
    identity = {"data": "sinusoid", "model": options.model, "weight": options.weight, "seed": options.seed}
    return write_cell(path_of(options), identity, lambda: _fit(options), lambda found: metrics(found, options.seed))


def _fit(options: SinusoidOptions) -> baselines.PushforwardFit | None:
    """The fit, or None where training diverged."""
    random, key = np.random.default_rng([options.seed, 0]), jax.random.key(options.seed)
    points = sinusoid(random, TRAIN)
    if options.model == "m_flow":
        noisy = points + NOISE * random.normal(size=points.shape)
        return baselines.fit_manifold_flow(key, noisy, 1, FlowConfig(num_steps=options.steps))
    config = FreeFormConfig(
        noise=NOISE,
        reconstruction_weight=options.weight,
        on_manifold=options.model == "fif_on_manifold",
        num_steps=options.steps,
    )
    try:
        return baselines.fit_free_form_flow(key, points, 1, config)
    except TrainingDiverged as error:
        print(error)
        return None


def metrics(found: baselines.PushforwardFit | None, seed: int) -> dict[str, Any]:
    """Nats above the entropy; mean distance of samples, and of reconstructed noisy points, from the curve."""
    if found is None:
        return {"diverged": True}
    random = np.random.default_rng([seed, 1])
    clean = sinusoid(random, TEST)
    noisy = clean + NOISE * random.normal(size=clean.shape)
    curve = KDTree(sinusoid_point(np.linspace(-6, 6, 100_001)))
    drawn = baselines.sample(jax.random.key(seed), found.model, TEST)
    reconstructed = baselines.reconstruct(found.model, noisy)
    nll = -float(baselines.log_density(found.model, noisy).log_density.mean())
    last = {f"last_{name}": float(values[-1]) for name, values in next(iter(found.histories.values())).terms.items()}
    return {
        "diverged": False,
        "nll_test": nll,
        "nll_excess": nll + float(sinusoid_log_density(clean).mean()),
        "samples_to_truth_mean": float(curve.query(drawn)[0].mean()),
        "reconstructed_to_truth_mean": float(curve.query(reconstructed.points)[0].mean()),
        "reconstruction_error": float(reconstructed.distance.mean()),
        **last,
    }


if __name__ == "__main__":
    main(run_cell, SinusoidOptions)
