"""Tables of docs/image_manifolds.md from runs in experiments/results/images: `python -m experiments.image_tables`."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common import main
from experiments.lenet import IMAGES
from experiments.report import DOCS, replace_between_marks

TITLES = {
    "ebim": "EBIM",
    "ebim_score_matching": "EBIM, score matching",
    "im": "manifold alone",
    "ae_ebm": "autoencoder + EBM",
    "vae_ebm": "variational autoencoder + EBM",
    "nae": "normalised autoencoder",
}
COLUMNS = {
    "Fréchet (LeNet)": ("frechet_lenet", ".1f"),
    "precision": ("precision", ".2f"),
    "recall": ("recall", ".2f"),
    "nearest training image": ("nearest_training_image", ".2f"),
    "of test images": ("nearest_training_image_of_test", ".2f"),
    "fit, s": ("fit_seconds", ".0f"),
    "sampling, s": ("sample_seconds", ".0f"),
}
GEOMETRY = {
    "distance of train": ("train_distance", ".2f"),
    "of test": ("test_distance", ".2f"),
    "starts lost": ("starts_lost", ".1%"),
    "steps not converged": ("not_converged", ".1%"),
    "largest residual": ("residual_max", ".1e"),
}


@dataclass(frozen=True)
class ImageTableOptions:
    """runs: directory of the runs' JSON files. page: the file with the tables."""

    runs: Path = IMAGES
    page: Path = DOCS / "image_manifolds.md"


def write_tables(options: ImageTableOptions) -> None:
    """Rewrite the page."""
    groups = read(options.runs)
    replace_between_marks(options.page, "samples", table(groups, COLUMNS))
    manifolds = {name: runs for name, runs in groups.items() if "singular_values" in runs[0]}
    replace_between_marks(options.page, "geometry", geometry(manifolds))


def read(directory: Path) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Runs by data, scale and model, models in the order of the titles."""
    groups = defaultdict(list)
    for path in sorted(directory.glob("*-seed*.json")):
        run = json.loads(path.read_text())
        if run.get("model") in TITLES:
            groups[run["data"], run["scale"], run["model"]].append(run)
    order = list(TITLES)
    return dict(sorted(groups.items(), key=lambda item: (*item[0][:2], order.index(item[0][2]))))


def table(groups, columns) -> str:
    """Markdown: medians over seeds, a line for each data set, scale and model."""
    head = ["data", "scale", "model", "seeds", *columns]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for (data, scale, model), runs in groups.items():
        cells = [_median(runs, *column) for column in columns.values()]
        lines.append(f"| {data} | {scale} | {TITLES[model]} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def geometry(groups) -> str:
    """Markdown: the spectrum of J on test images, in units of η, and how far images lie from the zero set."""
    shown = {
        name: [run | {f"σ, {share}": value for share, value in run["singular_values"].items()} for run in runs]
        for name, runs in groups.items()
    }
    spectrum = {f"σ, {share}": (f"σ, {share}", ".2f") for share in ("least", "5%", "median", "largest")}
    return table(shown, spectrum | GEOMETRY)


def _median(runs, name: str, form: str) -> str:
    values = [run[name] for run in runs if name in run]
    return format(np.median(values), form) if values else "-"


if __name__ == "__main__":
    main(write_tables, ImageTableOptions)
