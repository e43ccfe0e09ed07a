"""Collect metrics of finished runs under experiments/results, and write the README's table from them.

`python -m experiments.report RUN_DIRECTORY ...` copies each run's metrics.json; without arguments it only rewrites
the table. No number of the table is typed by hand.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from experiments.markdown import replace_between_marks, table_header, table_row

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
DOCS = README.parent / "docs"
TITLES = {
    "von_mises": "Circle, von Mises",
    "von_mises_mixture": "Two circles, von Mises",
    "projected_normals": "Sphere, projected normals",
    "torus": "Torus, sine law",
    "gaussian_circle": "Circle, normal angle and radius",
    "lorenz": "Lorenz attractor",
    "floods": "Floods, sphere",
    "fires": "Fires, sphere",
    "earthquakes": "Earthquakes, sphere",
    "volcanoes": "Eruptions, sphere",
    "amino_acids": "Glycine, torus",
}
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
COLUMNS = {
    "W1": "w1",
    "W1 of perfect samples": "w1_floor",
    "mean distance": "distance_mean",
    "held-out NLL": "nll_test",
    "NLL of kernels on the true manifold": "nll_kernel",
    "log ratio": "log_ratio_mean",
    "volume": "volume_ratio",
    "CPU seconds": "cpu_seconds_total",
}


def collect(directories: list[Path]) -> None:
    """Copy the metrics of each run to results/NAME-PRESET-seedS.json."""
    RESULTS.mkdir(exist_ok=True)
    for directory in directories:
        text = (directory / "metrics.json").read_text()
        run = json.loads(text)
        (RESULTS / f"{run['experiment']}-{run['preset']}-seed{run['seed']}.json").write_text(text)


def table() -> str:
    """Markdown: for each experiment and preset the median over seeds of each column."""
    runs = defaultdict(list)
    for path in sorted(RESULTS.glob("*-seed*.json")):
        run = json.loads(path.read_text())
        runs[run["experiment"], run["preset"]].append(run)
    lines = [
        "| experiment | preset | seeds | " + " | ".join(COLUMNS) + " |",
        "|---|---|---|" + "---|" * len(COLUMNS),
    ]
    for experiment, title in TITLES.items():
        for preset in ("default", "paper"):
            group = runs.get((experiment, preset))
            if group:
                cells = [_cell(column, [run[name] for run in group if name in run]) for column, name in COLUMNS.items()]
                lines.append(table_row(title, preset, str(len(group)), *cells))
    return "\n".join(lines)


def amino_acids() -> str:
    """Markdown: held-out NLL of each amino acid's model, of kernels on the true torus, and the certified topology."""
    lines = table_header("amino acid", "seeds", "held-out NLL", "kernels on the true torus", "topology")
    for code in AMINO_ACIDS:
        name = "amino_acids" if code == "G" else f"amino_acid_{code}"
        group = [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{name}-default-seed*.json"))]
        if group:
            model, kernels = (np.median([run[key] for run in group]) for key in ("nll_test", "nll_kernel"))
            kinds = Counter(run["topology"].split(";")[0] for run in group)
            said = ", ".join(f"{kind} ({count})" if len(kinds) > 1 else kind for kind, count in kinds.most_common())
            lines.append(table_row(code, str(len(group)), f"{model:.2f}", f"{kernels:.2f}", said))
    return "\n".join(lines)


def _cell(column: str, values: list[float]) -> str:
    if not values:
        return ""
    value = np.median(values)
    return format(value, {"CPU seconds": ".0f", "volume": ".3f"}.get(column, ".2f" if "NLL" in column else ".2g"))


def main() -> None:
    """Collect, then rewrite the part of the README between the two marks."""
    collect([Path(argument) for argument in sys.argv[1:]])
    replace_between_marks(README, "results", table())
    replace_between_marks(DOCS / "amino_acids.md", "amino acids", amino_acids())


if __name__ == "__main__":
    main()
