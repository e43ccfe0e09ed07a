"""The three losses of step 2 on five data sets, five seeds each.

Likelihood and score matching are judged by independent samples, contrastive divergence by its chains; the manifold of a
seed is the same for all three. `python -m experiments.pages --only "energy losses" --run` runs what is missing.
"""

import json
from itertools import product
from typing import Any, get_args

import jax
import numpy as np

from experiments.common.judging import candidate_of, density_metrics, sample_metrics
from experiments.common.markdown import median_and_range, table_header, table_row
from experiments.common.places import RESULTS, TITLES
from experiments.common.problem import Problem
from experiments.common.run import NUM_SAMPLES, method_of
from experiments.paper.problems import PROBLEMS
from implicit_manifolds import FitConfig, fit
from implicit_manifolds.ebim.config import EnergyLoss

DATA = ("von_mises", "von_mises_mixture", "projected_normals", "floods", "amino_acids")
LOSSES: tuple[EnergyLoss, ...] = get_args(EnergyLoss)
SEEDS = 5
FINISHED = RESULTS / "energy_losses.json"


def run_missing() -> None:
    """Run what is missing; the file is written after each run."""
    runs = read()
    done = {(run["data"], run["seed"], run["loss"]) for run in runs}
    for name, loss, seed in product(DATA, LOSSES, range(SEEDS)):
        if (name, seed, loss) not in done:
            runs.append({"data": name, "seed": seed, "loss": loss, **judged(PROBLEMS[name](seed), seed, loss)})
            FINISHED.write_text(json.dumps(runs, indent=1) + "\n")
            print({key: round(value, 3) if isinstance(value, float) else value for key, value in runs[-1].items()})


def read() -> list[dict[str, Any]]:
    """Finished runs."""
    return json.loads(FINISHED.read_text()) if FINISHED.exists() else []


def judged(problem: Problem, seed: int, loss: EnergyLoss) -> dict[str, Any]:
    """What a run of the sweep is judged by; seconds are step 2's, its normaliser and any compilation included."""
    config = FitConfig(energy_loss=loss, manifold="zero-set")
    result = fit(jax.random.key(seed), problem.train, problem.codimension, config)
    candidate = candidate_of(result.model, method_of(config))
    samples = candidate.sample(jax.random.key(seed + 1), NUM_SAMPLES)
    assert candidate.log_density is not None
    found = density_metrics(candidate.log_density, problem, seed) | sample_metrics(samples, problem, seed)
    return found | {"seconds": result.seconds_energy}


def table() -> str:
    """Markdown: for each data set and loss the median over seeds, the range of the NLL in brackets."""
    runs, lines = read(), table_header("data", "loss", "held-out NLL", "W1", "W1 of perfect samples", "seconds")
    for name, loss in product(DATA, LOSSES):
        group = [run for run in runs if (run["data"], run["loss"]) == (name, loss)]
        if not group:
            continue
        nll = [run["nll_test"] for run in group]
        median = {key: np.median([run[key] for run in group]) for key in ("w1", "w1_floor", "seconds")}
        cells = median_and_range(nll, ".3f"), f"{median['w1']:.3f}"
        lines.append(table_row(TITLES[name], loss, *cells, f"{median['w1_floor']:.3f}", f"{median['seconds']:.1f}"))
    return "\n".join(lines)
