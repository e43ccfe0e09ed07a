"""The tables of docs/image_manifolds.md that are made of runs on images."""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.markdown import median_and_range, table_header, table_row
from experiments.images.lenet import IMAGES
from experiments.images.scales import LENGTHS, Scale
from implicit_manifolds.datasets.images import ImageData

TITLES = {
    "ebim": "EBIM",
    "ebim_score_matching": "EBIM, score matching",
    "im": "manifold alone",
    "ae_ebm": "autoencoder + EBM",
    "vae_ebm": "variational autoencoder + EBM",
    "nae": "normalised autoencoder",
    "fif": "free-form injective flow",
}
COLUMNS = {
    "Fréchet (LeNet)": ("frechet_lenet", ".1f"),
    "of training images": ("frechet_lenet_of_train", ".1f"),
    "of projected ones": ("frechet_lenet_of_projected", ".1f"),
    "precision": ("precision", ".2f"),
    "recall": ("recall", ".2f"),
    "nearest training image": ("nearest_training_image", ".2f"),
    "of test images": ("nearest_training_image_of_test", ".2f"),
    "steps": ("steps", ".0f"),
    "fit, s": ("fit_seconds", ".0f"),
    "sampling, s": ("sample_seconds", ".0f"),
}
PUBLIC = {
    "Fréchet (EfficientNet)": ("frechet_public", ".0f"),
    "of training images": ("frechet_public_of_train", ".0f"),
    "of projected ones": ("frechet_public_of_projected", ".0f"),
    "precision": ("precision_public", ".2f"),
    "recall": ("recall_public", ".2f"),
    "Fréchet (LeNet)": ("frechet_lenet", ".1f"),
}
SUMMARY = {name: COLUMNS[name] for name in ("Fréchet (LeNet)", "precision", "recall")}
GREY: dict[ImageData, str] = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
GEOMETRY = {
    "distance of train": ("train_distance", ".2f"),
    "of test": ("test_distance", ".2f"),
    "starts lost": ("starts_lost", ".1%"),
    "steps not converged": ("not_converged", ".1%"),
    "largest residual": ("residual_max", ".1e"),
}
OOD_KINDS = ("mnist", "fashion_mnist", "turned", "noisy", "blurred")


SCALE: Scale = "reduced"
"""Of the table in the README."""


def tables_of(runs: Path) -> dict[str, Callable[[], str]]:
    """The tables of docs/image_manifolds.md from a directory of results, by name."""

    def having(key):
        found = {name: [run for run in group if key in run] for name, group in read(runs).items()}
        return {name: group for name, group in found.items() if group}

    texts = {
        "geometry": lambda: geometry(having("singular_values")),
        "samples": lambda: table(read(runs), COLUMNS),
        "public": lambda: table(having("frechet_public"), PUBLIC),
        "lengths": lambda: lengths(read(runs)),
        "isometry": lambda: isometry_table(runs),
        "chains": lambda: chains_table(runs),
        "arithmetic of digits": lambda: arithmetic_table(runs),
        "ood": lambda: detection_table(runs),
    }
    return {name: some_run(text) for name, text in texts.items()}


def some_run(text: Callable[[], str]) -> Callable[[], str]:
    """The table, or a word where it has no line yet."""
    return lambda: found if (found := text()).count("\n") > 1 else "No run yet."


def read(directory: Path) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Runs by data, scale and model, models in the order of the titles."""
    groups = defaultdict(list)
    for path in sorted(directory.glob("*-seed*.json")):
        if path.stem.count("-") == 3 and path.stem.rsplit("-", 1)[1].startswith("seed"):
            run = json.loads(path.read_text())
            if "model" in run:
                groups[run["data"], run["scale"], run["model"]].append(run)
    order = list(TITLES)
    return dict(sorted(groups.items(), key=lambda item: (*item[0][:2], order.index(item[0][2]))))


def table(groups, columns) -> str:
    """Markdown: medians over seeds, a line for each data set, scale and model."""
    lines = table_header("data", "scale", "model", "seeds", *columns)
    for (data, scale, model), runs in groups.items():
        cells = [_median(runs, *column) for column in columns.values()]
        lines.append(table_row(data, scale, TITLES[model], str(len(runs)), *cells))
    return "\n".join(lines)


def summary(groups, scale: Scale) -> str:
    """Markdown: each model in a line, both data sets side by side."""
    lines = table_header("model", *(f"{name}: {column}" for name in GREY.values() for column in SUMMARY), "seeds")
    for model, title in TITLES.items():
        found = [groups.get((data, scale, model), []) for data in GREY]
        if any(found):
            cells = [_median(runs, *column) for runs in found for column in SUMMARY.values()]
            lines.append(table_row(title, *cells, ", ".join(str(len(runs)) for runs in found)))
    return "\n".join(lines)


def lengths(groups) -> str:
    """Markdown: Fréchet distances from training images by the length of chains, medians over seeds."""
    lines = table_header(
        "data", "scale", "model", "seeds", "starts", *(f"{times:g} × mean age" for times in LENGTHS[1:])
    )
    for (data, scale, model), runs in groups.items():
        tried = [{int(steps): distance for steps, distance in run["tried"].items()} for run in runs if run.get("tried")]
        if tried:
            age = max(tried[0]) / max(LENGTHS)
            cells = [_median(tried, round(times * age), ".1f") for times in LENGTHS]
            lines.append(table_row(data, scale, TITLES[model], str(len(tried)), *cells))
    return "\n".join(lines)


def geometry(groups) -> str:
    """Markdown: spectra of J on {F = 0} near test images and at samples, and how far images lie from there."""
    kinds = {"σ": "singular_values", "of samples": "singular_values_of_samples"}
    shares = ("least", "5%", "median", "largest")

    def flat(run):
        return run | {f"{kind}, {share}": run[name][share] for kind, name in kinds.items() for share in shares}

    shown = {name: [flat(run) for run in runs] for name, runs in groups.items()}
    spectra = {f"{kind}, {share}": (f"{kind}, {share}", ".2f") for kind in kinds for share in shares}
    return table(shown, spectra | GEOMETRY)


def isometry_table(directory: Path) -> str:
    """Markdown: what keeps constraints apart, a line each."""
    shares = ("least", "5%", "median", "largest")
    head = (
        "data",
        "constraints",
        *(f"σ, {share}" for share in shares),
        "CG iterations",
        "‖F‖ at test images",
        "their distance",
    )
    lines = table_header(*head, "lost", "CPU s")
    for path in sorted(directory.glob("*-isometry-seed*.json")):
        for line in json.loads(path.read_text()):
            values = [format(line[f"σ {share}"], ".3f") for share in shares]
            sizes = [format(line[name], ".2f") for name in ("residual", "distance")]
            rest = (f"{line['iterations']:.0f}", *sizes, f"{line['lost']:.1%}", f"{line['cpu_seconds']:.0f}")
            lines.append(table_row(path.stem.split("-")[0], line["variant"], *values, *rest))
    return "\n".join(lines)


def chains_table(directory: Path) -> str:
    """Markdown: what became of chains by each solver and step length, a line each."""
    head = (
        "data",
        "scale",
        "solver",
        "ε",
        "accepted",
        "not converged",
        "iterations",
        "largest residual",
        "moved",
        "ms a step",
    )
    lines = table_header(*head)
    for path in sorted(directory.glob("*-chains.json")):
        for line in json.loads(path.read_text()):
            numbers = (
                f"{line['accepted']:.1%}",
                f"{line['not_converged']:.1%}",
                f"{line['iterations']:.1f}",
                f"{line['residual_max']:.1e}",
                f"{line['moved']:.1f}",
                f"{line['milliseconds_a_step']:.0f}",
            )
            lines.append(table_row(line["data"], line["scale"], line["solver"], f"{line['noise_scale']:g}", *numbers))
    return "\n".join(lines)


def arithmetic_table(directory: Path) -> str:
    """Markdown: digits that came out, and both residuals, a line for each set and for the data of each digit."""
    lines: list[str] = []
    for path in sorted(directory.glob("arithmetic-*-seed*.json")):
        run = json.loads(path.read_text())
        sets = {name: found for name, found in run.items() if isinstance(found, dict)}
        if not lines:
            names = next(iter(sets.values()))["residual"]
            digits = [str(digit) for digit in (1, 4, 7)]
            lines = table_header("scale", "set", *digits, "other digits", *(f"‖F‖ of {name}" for name in names))
        for name, found in sets.items():
            shares = found.get("digits")
            listed = [""] * 4
            if shares is not None:
                known = [shares[digit] for digit in (1, 4, 7)]
                listed = [f"{share:.0%}" for share in (*known, 1 - sum(known))]
            lines.append(
                table_row(run["scale"], name, *listed, *(f"{size:.2f}" for size in found["residual"].values()))
            )
    return "\n".join(lines)


def detection_table(directory: Path) -> str:
    """Markdown: AUC of every score, medians over seeds, a column for each kind of image that does not belong."""
    groups = defaultdict(list)
    for path in sorted(directory.glob("*-ood.json")):
        data, _, scale, _, _ = path.stem.split("-")
        groups[data, scale].append(json.loads(path.read_text()))
    lines = table_header("data", "scale", "seeds", "score", *OOD_KINDS)
    for (data, scale), runs in groups.items():
        kinds = [kind for kind in OOD_KINDS if kind in runs[0]]
        for score in runs[0][kinds[0]]:
            found = {kind: f"{np.median([run[kind][score] for run in runs]):.3f}" for kind in kinds}
            lines.append(table_row(data, scale, str(len(runs)), score, *(found.get(kind, "") for kind in OOD_KINDS)))
    return "\n".join(lines)


def _median(runs, name: str | int, form: str) -> str:
    return median_and_range([run[name] for run in runs if name in run], form)


TABLES = tables_of(IMAGES)


def readme() -> str:
    """The summary for the README."""
    return summary(read(IMAGES), SCALE)
