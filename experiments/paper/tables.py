"""The tables of the README, of Fig. 3, of the twenty amino acids, and of what each run cost."""

from collections import Counter
from typing import Any

import numpy as np

from experiments.common.markdown import table_header, table_row
from experiments.common.places import TITLES
from experiments.paper.problems import OTHER_AMINO_ACIDS
from experiments.paper.runs import read

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


def times() -> str:
    """Markdown: median CPU seconds of fit and samples of each experiment, and the greatest, which compiles."""
    lines = table_header("experiment", "preset", "runs", "CPU seconds, median", "greatest")
    for (name, preset), group in read().items():
        if name not in OTHER_AMINO_ACIDS:
            seconds = [run["cpu_seconds_total"] for run in group]
            title = TITLES.get(name, name.replace("_", " "))
            lines.append(table_row(title, preset, str(len(group)), f"{np.median(seconds):.0f}", f"{max(seconds):.0f}"))
    return "\n".join(lines)


def _median(group: list[dict[str, Any]], metric: str, form: str) -> str:
    """Over the runs that have the metric; nothing where none has."""
    values = [run[metric] for run in group if metric in run]
    return format(np.median(values), form) if values else ""
