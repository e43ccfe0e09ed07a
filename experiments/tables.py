"""Every table of the comparison with rivals: run the missing cells, then write docs/rivals.md from all of them.

`python -m experiments.tables` goes on where it was stopped, since each cell is a file of its own. `--seeds 0` only
rewrites the page.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scipy.stats import t as student

from experiments.common import main
from experiments.report import DOCS, TITLES, replace_between_marks
from experiments.rivals import CELLS, CellOptions, Data, Model, path_of, run_cell

NAMES: dict[str, str] = {
    "ebim": "EBIM",
    "ae_ebm": "pushforward EBM (autoencoder)",
    "ae_ebm_contrastive": "the same, energy by contrastive divergence",
    "vae_ebm": "pushforward EBM (VAE)",
    "ambient_ebm": "ambient EBM",
    "ambient_flow": "ambient flow",
    "m_flow": "M-flow, alternating",
    "m_flow_sequential": "M-flow, sequential",
    "m_e_flow": "M_e-flow, sequential",
    "fif": "free-form injective flow",
}
NO_MANIFOLD = ("ambient_ebm", "ambient_flow")
Cells = dict[tuple[str, str], list[dict[str, Any]]]


@dataclass(frozen=True)
class TableOptions:
    """seeds: how many of each cell to have. data, models: which. cells: their directory. page: the file to write."""

    seeds: int = 5
    data: tuple[Data, ...] = get_args(Data)
    models: tuple[Model, ...] = get_args(Model)
    cells: Path = CELLS
    page: Path = DOCS / "rivals.md"


def tables(options: TableOptions) -> None:
    """Run what is missing, seed by seed, and rewrite the page."""
    for seed, data, model in product(range(options.seeds), options.data, options.models):
        cell = CellOptions(data, model, seed, options.cells)
        if not path_of(cell).exists():
            run_cell(cell)
    cells = read(options.cells)
    replace_between_marks(options.page, "laws", laws(cells))
    replace_between_marks(options.page, "distances", distances(cells))


def read(directory: Path) -> Cells:
    """All cells by data and model, in the order of their seeds."""
    cells: Cells = defaultdict(list)
    for path in directory.glob("*-seed*.json"):
        cell = json.loads(path.read_text())
        cells[cell["data"], cell["model"]].append(cell)
    return {key: sorted(group, key=lambda cell: cell["seed"]) for key, group in cells.items()}


def laws(cells: Cells) -> str:
    """Markdown: how well samples have the data's law, and each rival's W1 less that of the EBIM on the same seeds."""
    head = (
        "data",
        "model",
        "seeds",
        "W1",
        "W1 / floor",
        "W1 less EBIM's",
        "MMD²",
        "held-out NLL",
        "original cost",
        "CPU s",
    )
    lines = _header(head)
    for data, model in product(get_args(Data), get_args(Model)):
        group = cells.get((data, model), [])
        if group:
            row = (
                _middle(group, "w1", ".3f"),
                format(np.median([cell["w1"] / cell["w1_floor"] for cell in group]), ".2f"),
                "" if model == "ebim" else difference(group, cells.get((data, "ebim"), [])),
                _middle(group, "mmd", ".1e"),
                _middle(group, "nll_test", ".2f") + (" (ambient)" if model in NO_MANIFOLD else ""),
                format(np.median([cell["fit_cpu_seconds"] for cell in group]), ".0f"),
            )
            lines.append(_line(TITLES[data], NAMES[model], str(len(group)), *row))
    return "\n".join(lines)


def distances(cells: Cells) -> str:
    """Markdown: medians over seeds of the distances between points and the learned manifold, and back to the truth."""
    head = (
        "data",
        "model",
        "seeds",
        "train: min",
        "median",
        "mean",
        "max",
        "test: mean",
        "max",
        "samples: mean",
        "max",
    )
    names = [f"train_to_model_{name}" for name in ("min", "median", "mean", "max")]
    names += [f"{set_}_{name}" for set_ in ("test_to_model", "samples_to_truth") for name in ("mean", "max")]
    lines = _header(head)
    for data, model in product(get_args(Data), get_args(Model)):
        group = cells.get((data, model), [])
        if group:
            values = [[cell[name] for cell in group if name in cell] for name in names]
            row = ["-" if not column else format(np.median(column), ".2g") for column in values]
            lines.append(_line(TITLES[data], NAMES[model], str(len(group)), *row))
    return "\n".join(lines)


def difference(group: list[dict], ours: list[dict]) -> str:
    """Mean difference in W1 over the seeds that both have, with its 95 % interval by Student's t."""
    of_ours = {cell["seed"]: cell["w1"] for cell in ours}
    pairs = [cell["w1"] - of_ours[cell["seed"]] for cell in group if cell["seed"] in of_ours]
    if len(pairs) < 2:
        return ""
    half = student.ppf(0.975, len(pairs) - 1) * np.std(pairs, ddof=1) / len(pairs) ** 0.5
    return f"{np.mean(pairs):+.3f} ± {half:.3f}"


def _middle(group: list[dict], name: str, form: str) -> str:
    """Median over seeds, and least and greatest where there are several."""
    values = [cell[name] for cell in group]
    middle = format(np.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def _header(cells: tuple[str, ...]) -> list[str]:
    return [_line(*cells), "|" + "---|" * len(cells)]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main(tables, TableOptions)
