"""The low-dimensional runs that the tables need, and the running of those that are missing."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

from experiments.common.places import RESULTS
from experiments.common.run import Options, run_problem
from experiments.paper import fig3_arithmetic
from experiments.paper.problems import OTHER_AMINO_ACIDS, PROBLEMS

SEEDS = {"von_mises": 3}
"""Of the default preset; all others have five."""
PAPER = ("von_mises", "von_mises_mixture", "floods", "amino_acids")
"""What has a preset `paper`, run once."""
Preset = Literal["default", "paper"]


class Run(NamedTuple):
    """One run: name of the experiment, preset, seed."""

    name: str
    preset: Preset
    seed: int


def wanted() -> list[Run]:
    """All runs of these tables, the seeds of one experiment together, so that the first of them compiles for all."""
    runs = [Run(name, "default", seed) for name in PROBLEMS for seed in range(SEEDS.get(name, 5))]
    runs += [Run("manifold_arithmetic", preset, 0) for preset in ("default", "paper")]
    runs += [Run(name, "paper", 0) for name in PAPER]
    return runs + [Run(name, "default", 0) for name in OTHER_AMINO_ACIDS]


def path_of(run: Run) -> Path:
    """The file of a run's metrics."""
    return RESULTS / f"{run.name}-{run.preset}-seed{run.seed}.json"


def run_missing() -> None:
    """Run what has no file yet, and keep its metrics."""
    for run in wanted():
        if not path_of(run).exists():
            options = Options(seed=run.seed, preset=run.preset, replace=True)
            if run.name == "manifold_arithmetic":
                found = fig3_arithmetic.run(options)
            else:
                found = run_problem((PROBLEMS | OTHER_AMINO_ACIDS)[run.name](run.seed), options)
            path_of(run).write_text(json.dumps(found, indent=1) + "\n")


def read() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Metrics of finished runs by experiment and preset."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in wanted():
        if path_of(run).exists():
            groups[run.name, run.preset].append(json.loads(path_of(run).read_text()))
    return groups
