"""The tables of the README, of Fig. 3 and of the twenty amino acids: what runs they need, and what they say.

`python -m experiments.pages --only results arithmetic "amino acids"` writes them, with `--run` after what is missing.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.common.markdown import table_header, table_row
from experiments.common.places import RESULTS, TITLES
from experiments.common.run import Options, run_problem
from experiments.paper import fig3_arithmetic
from experiments.paper.problems import OTHER_AMINO_ACIDS, PROBLEMS

SEEDS = {"von_mises": 3}
"""Of the default preset; all others have five."""
PAPER = ("von_mises", "von_mises_mixture", "floods", "amino_acids")
"""What has a preset `paper`, run once."""
COLUMNS = {
    "W1": ("w1", ".2g"),
    "W1 of perfect samples": ("w1_floor", ".2g"),
    "mean distance": ("samples_to_truth_mean", ".2g"),
    "held-out NLL": ("nll_test", ".2f"),
    "NLL of kernels on the true manifold": ("nll_kernel", ".2f"),
    "NLL - entropy": ("nll_excess", ".2g"),
    "volume": ("volume_ratio", ".3f"),
    "CPU seconds": ("cpu_seconds_total", ".0f"),
}
ARITHMETIC = ("w1", "w1_floor", "samples_to_truth_mean", "samples_to_truth_max", "nll_excess")
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


def results() -> str:
    """Markdown: for each experiment and preset the median over seeds of each column."""
    groups, lines = read(), table_header("experiment", "preset", "seeds", *COLUMNS)
    for name, preset in ((name, preset) for name in TITLES for preset in ("default", "paper")):
        if group := groups.get((name, preset)):
            cells = [_median(group, *column) for column in COLUMNS.values()]
            lines.append(table_row(TITLES[name], preset, str(len(group)), *cells))
    return "\n".join(lines)


def arithmetic() -> str:
    """Markdown: union and intersection of Fig. 3 by each preset."""
    head = ("W1", "W1 of perfect samples", "mean distance", "largest", "NLL - entropy", "samples")
    lines, groups = table_header("preset", "set", *head), read()
    for preset in ("default", "paper"):
        for run in groups.get(("manifold_arithmetic", preset), []):
            for name in ("union", "intersection"):
                cells = [_median([run], f"{name}_{metric}", ".2g") for metric in ARITHMETIC]
                method = run.get("intersection_method", "") if name == "intersection" else run.get("union_method", "")
                lines.append(table_row(preset, name, *cells, method))
    return "\n".join(lines)


def amino_acids() -> str:
    """Markdown: held-out NLL of each amino acid's model, of kernels on the true torus, and the certified topology."""
    groups = read()
    lines = table_header("amino acid", "seeds", "held-out NLL", "kernels on the true torus", "topology")
    for name in sorted(["amino_acid_G", *OTHER_AMINO_ACIDS]):
        group = groups.get(("amino_acids" if name == "amino_acid_G" else name, "default"))
        if group:
            kinds = Counter(run["topology"].split(";")[0] for run in group)
            said = ", ".join(f"{kind} ({count})" if len(kinds) > 1 else kind for kind, count in kinds.most_common())
            numbers = (_median(group, metric, ".2f") for metric in ("nll_test", "nll_kernel"))
            lines.append(table_row(name[-1], str(len(group)), *numbers, said))
    return "\n".join(lines)


def _median(group: list[dict[str, Any]], metric: str, form: str) -> str:
    """Over the runs that have the metric; nothing where none has."""
    values = [run[metric] for run in group if metric in run]
    return format(np.median(values), form) if values else ""
