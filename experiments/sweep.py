"""The three losses of step 2 on five data sets, five seeds each: `python -m experiments.sweep` writes the table.

Runs found in experiments/results/sweep.json are not repeated. Likelihood and score matching are judged by independent
samples, contrastive divergence by its chains; the manifold of a seed is the same for all three.
"""

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import jax
import numpy as np

from experiments import amino_acids, earth, projected_normals, von_mises, von_mises_mixture
from experiments.common import Problem, density_metrics, main, sample_metrics
from experiments.markdown import median_and_range, replace_between_marks, table_header, table_row
from experiments.report import DOCS, RESULTS
from implicit_manifolds import FitConfig, sample
from implicit_manifolds.ebim import fit
from implicit_manifolds.ebim.fit import EnergyLoss
from implicit_manifolds.ebim.model import Method

PROBLEMS = {
    "Circle, von Mises": von_mises.problem,
    "Two circles, von Mises": von_mises_mixture.problem,
    "Sphere, projected normals": projected_normals.problem,
    "Floods": earth.problem,
    "Glycine": amino_acids.problem,
}
LOSSES = get_args(EnergyLoss)
NUM_SAMPLES = 10_000


@dataclass(frozen=True)
class SweepOptions:
    """seeds: how many; out: the file of finished runs."""

    seeds: int = 5
    out: Path = RESULTS / "sweep.json"


def sweep(options: SweepOptions) -> None:
    """Run what is missing, a file written after each run, and rewrite the table in docs."""
    runs = json.loads(options.out.read_text()) if options.out.exists() else []
    done = {(run["data"], run["seed"], run["loss"]) for run in runs}
    for (name, problem), seed, loss in product(PROBLEMS.items(), range(options.seeds), LOSSES):
        if (name, seed, loss) not in done:
            runs.append({"data": name, "seed": seed, "loss": loss, **judged(problem(seed), seed, loss)})
            options.out.write_text(json.dumps(runs, indent=1) + "\n")
            print({key: round(value, 3) if isinstance(value, float) else value for key, value in runs[-1].items()})
    replace_between_marks(DOCS / "energy_losses.md", "sweep", table(runs))


def judged(problem: Problem, seed: int, loss: EnergyLoss) -> dict:
    """What a run of the sweep is judged by; seconds are step 2's, its normaliser and any compilation included."""
    result = fit(jax.random.key(seed), problem.train, problem.codimension, FitConfig(energy_loss=loss))
    method: Method | None = "chains" if loss == "contrastive" else None
    drawn = sample(jax.random.key(seed + 1), result.model, NUM_SAMPLES, method=method)
    found = {**density_metrics(problem, result.model, seed), **sample_metrics(problem, drawn, seed)}
    kept = ("nll_test", "log_normalizer_standard_error", "log_ratio_mean", "w1", "w1_floor")
    return {key: found[key] for key in kept if key in found} | {"seconds": result.seconds_energy}


def table(runs: list[dict]) -> str:
    """Markdown: for each data set and loss the median over seeds, the range of the NLL in brackets."""
    lines = table_header("data", "loss", "held-out NLL", "W1", "W1 of perfect samples", "seconds")
    for name, loss in product(PROBLEMS, LOSSES):
        group = [run for run in runs if (run["data"], run["loss"]) == (name, loss)]
        if not group:
            continue
        nll = [run["nll_test"] for run in group]
        median = {key: np.median([run[key] for run in group]) for key in ("w1", "w1_floor", "seconds")}
        cells = median_and_range(nll, ".3f"), f"{median['w1']:.3f}"
        lines.append(table_row(name, loss, *cells, f"{median['w1_floor']:.3f}", f"{median['seconds']:.1f}"))
    return "\n".join(lines)


if __name__ == "__main__":
    main(sweep, SweepOptions)
