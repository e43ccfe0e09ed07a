"""Cells of the comparison with rivals as tables of Markdown: medians over seeds, least and greatest beside them."""

import json
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scipy.stats import t as student

from experiments.common.cells import CELLS
from experiments.common.markdown import median_and_range, table_header, table_row
from experiments.common.places import TITLES
from experiments.comparison import ablations, polynomial
from experiments.comparison import miniboone as tabular
from experiments.comparison.fits import Data, Model
from experiments.laws import shapes

NAMES: dict[str, str] = {
    "ebim": "EBIM",
    "ae_ebm": "pushforward EBM (autoencoder)",
    "ae_ebm_contrastive": "the same, energy by contrastive divergence",
    "vae_ebm": "pushforward EBM (VAE)",
    "ambient_ebm": "ambient EBM",
    "nae": "normalised autoencoder",
    "ambient_flow": "ambient flow",
    "m_flow": "M-flow, alternating",
    "m_flow_sequential": "M-flow, sequential",
    "m_flow_transport": "M-flow, optimal transport",
    "m_e_flow": "M_e-flow, sequential",
    "fif": "free-form injective flow",
    "pie": "PIE",
}
SINUSOID = {"fif": "free-form", "fif_on_manifold": "naive loss on the manifold"}
PAPER: tuple[Data, ...] = ("von_mises_mixture", "floods", "amino_acids")
DISTANCE = "train_to_model_mean"
NO_MANIFOLD = ("ambient_ebm", "ambient_flow", "nae")
NO_SURFACE_DENSITY = ("ambient_flow", "pie")
Cells = dict[tuple[str, str], list[dict[str, Any]]]


SHAPES: tuple[Data, ...] = tuple(name for name in get_args(Data) if name in shapes.SHAPES)
EXPERIMENTS: tuple[Data, ...] = tuple(name for name in get_args(Data) if name not in shapes.SHAPES)


def read(directory: Path) -> Cells:
    """All cells by data and model (and by β, or by what an ablation varies), in the order of their seeds."""
    cells: Cells = defaultdict(list)
    for path in directory.glob("*-seed*.json"):
        cell = json.loads(path.read_text())
        model = cell["model"]
        if model.startswith("fif") and "weight" in cell:
            model = f"{SINUSOID[model]}, β = {cell['weight']:g}"
        if cell["data"] == "ablation":
            model = f"{model} = {cell['value']:g}"
        cells[cell["data"], model].append(cell)
    return {key: sorted(group, key=lambda cell: cell["seed"]) for key, group in cells.items()}


def summary(cells: Cells) -> str:
    """Markdown: each model in a line, on the three data sets of the paper and on all shapes together."""
    titles = [TITLES[data] for data in PAPER]
    head = [f"W1 / floor: {titles[0]}", *titles[1:], f"distance of training points: {titles[0]}", *titles[1:]]
    lines = table_header("model", "seeds", *head, "shapes with the right Betti numbers")
    for model in get_args(Model):
        groups = [cells.get((data, model), []) for data in PAPER]
        of_shapes = [cell for data in SHAPES for cell in cells.get((data, model), [])]
        if not any(groups):
            continue
        ratios = [[cell["w1"] / cell["w1_floor"] for cell in group] for group in groups]
        away = [[cell[DISTANCE] for cell in group if DISTANCE in cell] for group in groups]
        row = [_median(values, ".2f") for values in ratios] + [_median(values, ".2g") for values in away]
        seeds = ", ".join(str(len(group)) for group in groups if group)
        lines.append(table_row(NAMES[model], seeds, *row, _right(of_shapes)))
    return "\n".join(lines)


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
    lines = table_header(*head)
    for data, model in product(EXPERIMENTS, get_args(Model)):
        group = cells.get((data, model), [])
        if group:
            row = (
                _middle(group, "w1", ".3f"),
                format(np.median([cell["w1"] / cell["w1_floor"] for cell in group]), ".2f"),
                "" if model == "ebim" else difference(group, cells.get((data, "ebim"), [])),
                _middle(group, "mmd", ".1e"),
                _middle(group, "nll_test", ".2f") + (" (ambient)" if model in NO_MANIFOLD else ""),
                _middle(group, "original_cost", ".1e") if "original_cost" in group[0] else "-",
                _seconds(group),
            )
            lines.append(table_row(TITLES[data], NAMES[model], str(len(group)), *row))
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
        "manifold: mean",
        "max",
        "right Betti numbers",
    )
    sets = ("test_to_model", "samples_to_truth", "model_to_truth")
    names = [f"train_to_model_{name}" for name in ("min", "median", "mean", "max")]
    names += [f"{set_}_{name}" for set_ in sets for name in ("mean", "max")]
    lines = table_header(*head)
    for data, model in product(EXPERIMENTS, get_args(Model)):
        group = cells.get((data, model), [])
        if group:
            values = [[cell[name] for cell in group if name in cell] for name in names]
            row = [_median(column, ".2g") or "-" for column in values]
            # Samples of a law with thin places, all that rivals have, do not tell the topology of their manifold.
            right = _right(group) if model == "ebim" else "-"
            lines.append(table_row(TITLES[data], NAMES[model], str(len(group)), *row, right))
    return "\n".join(lines)


def topologies(cells: Cells) -> str:
    """Markdown: how often each model has the shape's Betti numbers, and how well it fits it."""
    head = ("shape", "model", "right Betti numbers", "otherwise", "test to model", "samples to shape", "NLL - entropy")
    lines = table_header(*head, "W1 / floor", "CPU s")
    for data, model in product(SHAPES, get_args(Model)):
        group = cells.get((data, model), [])
        if group:
            wrong = sorted({str(tuple(cell["betti"])) for cell in group if not cell["topology_right"]})
            row = (
                _right(group),
                ", ".join(wrong),
                *(_middle(group, name, ".1e") for name in ("test_to_model_mean", "samples_to_truth_mean")),
                _middle(group, "nll_excess", ".3f"),
                format(np.median([cell["w1"] / cell["w1_floor"] for cell in group]), ".2f"),
                _seconds(group),
            )
            lines.append(table_row(data.replace("_", " "), NAMES[model], *row))
    return "\n".join(lines)


def polynomials(cells: Cells) -> str:
    """Markdown: the columns of Brehmer & Cranmer's table, and the excess over the entropy."""
    names = ("distance", "reconstruction_error", "posterior_mmd", "auc", "nll_excess")
    head = ("distance", "reconstruction", "MMD² of posteriors", "OOD AUC", "NLL - entropy", "CPU s")
    lines = table_header("model", "seeds", *head)
    for model in get_args(polynomial.Model):
        if group := cells.get(("polynomial", model), []):
            forms = (".4f", ".4f", ".4f", ".3f", ".4f")
            columns = zip(names, forms, strict=True)
            # A density of all of space is not to be held against the entropy of a law on the surface.
            shown = [name for name in group[0] if name != "nll_excess" or model not in NO_SURFACE_DENSITY]
            row = [_middle(group, name, form) if name in shown else "-" for name, form in columns]
            lines.append(table_row(NAMES[model], str(len(group)), *row, _seconds(group)))
    return "\n".join(lines)


def sinusoids(cells: Cells) -> str:
    """Markdown: nats above the entropy, and distances from the curve."""
    names = ("nll_excess", "samples_to_truth_mean", "reconstructed_to_truth_mean")
    lines = table_header("model", "seeds", "diverged", "NLL - entropy", "samples to curve", "reconstructions to curve")
    models = [model for data, model in cells if data == "sinusoid"]
    for model in sorted(models, key=lambda name: (name.split(",")[0], len(name), name)):
        group = cells["sinusoid", model]
        finite = [cell for cell in group if not cell["diverged"]]
        row = [_middle(finite, name, ".2g") if finite else "-" for name in names]
        lines.append(table_row(NAMES.get(model, model), str(len(group)), str(len(group) - len(finite)), *row))
    return "\n".join(lines)


def ablated(cells: Cells) -> str:
    """Markdown: one line for each value of what is varied; of the left inverse, sizes of F and of its gradient."""
    names = ("w1", "nll_test", "test_to_model_mean", "samples_to_truth_mean", "residual_data", "gradient_data")
    head = ("W1", "held-out NLL", "test to model", "samples to truth", "size of F at data", "of its gradient")
    lines = table_header("varied", "seeds", *head)
    for name, values in ablations.VALUES.items():
        for value in values:
            if group := cells.get(("ablation", f"{name} = {value:g}"), []):
                row = [_middle(group, column, ".2g") if column in group[0] else "" for column in names]
                lines.append(table_row(f"{name.replace('_', ' ')} = {value:g}", str(len(group)), *row))
    return "\n".join(lines)


def miniboone(cells: Cells) -> str:
    """Markdown: Fréchet distances from the training data, reconstruction error and NLL of test points."""
    names = ("frechet", "frechet_as_many", "frechet_test", "reconstruction_error", "nll_test")
    head = (
        "10,000 samples to train",
        "as many as test",
        "test to train",
        "reconstruction error",
        "held-out NLL",
        "CPU s",
    )
    lines = table_header("model", "seeds", *head)
    for model in get_args(tabular.Model):
        if group := cells.get(("miniboone", model), []):
            forms = (".3f", ".3f", ".3f", ".3f", ".1f")
            row = [_middle(group, name, form) for name, form in zip(names, forms, strict=True)]
            lines.append(table_row(NAMES[model], str(len(group)), *row, _seconds(group)))
    return "\n".join(lines)


def cost(cells: Cells) -> str:
    """Markdown: CPU hours of all cells; the judging of those that do not tell it is taken to cost the others' mean."""
    every = [cell for group in cells.values() for cell in group]
    fits = np.array([cell["fit_cpu_seconds"] for cell in every])
    judging = [cell["judge_cpu_seconds"] for cell in every if "judge_cpu_seconds" in cell] or [0.0]
    hours = (fits.sum() + len(every) * np.mean(judging)) / 3600
    return (
        f"{len(every)} cells took {hours:.1f} CPU hours, compilation included: fits {fits.max() / 60:.1f} minutes at "
        f"most, judging {np.mean(judging):.0f} CPU seconds on average and {max(judging) / 60:.1f} minutes at most."
    )


def difference(group: list[dict], ours: list[dict]) -> str:
    """Mean difference in W1 over the seeds that both have, with its 95 % interval by Student's t."""
    of_ours = {cell["seed"]: cell["w1"] for cell in ours}
    pairs = [cell["w1"] - of_ours[cell["seed"]] for cell in group if cell["seed"] in of_ours]
    if len(pairs) < 2:
        return ""
    half = student.ppf(0.975, len(pairs) - 1) * np.std(pairs, ddof=1) / len(pairs) ** 0.5
    return f"{np.mean(pairs):+.3f} ± {half:.3f}"


def _right(group: list[dict]) -> str:
    """How many of the cells whose data have known Betti numbers are right."""
    found = [cell["topology_right"] for cell in group if "topology_right" in cell]
    return f"{sum(found)} of {len(found)}" if found else "-"


def _seconds(group: list[dict]) -> str:
    """CPU seconds of the fit of seed 0: those of a table were all made in one run on one machine."""
    return format(next(cell["fit_cpu_seconds"] for cell in group if cell["seed"] == 0), ".0f")


def _middle(group: list[dict], name: str, form: str) -> str:
    """Over the seeds of a group."""
    return median_and_range([cell[name] for cell in group], form)


def _median(values: list[float], form: str) -> str:
    """Median over seeds, nothing where there are none."""
    return format(np.median(values), form) if values else ""


def _of_all_cells(table: Callable[[Cells], str]) -> Callable[[], str]:
    return lambda: table(read(CELLS))


TABLES: dict[str, Callable[[], str]] = {
    "laws": _of_all_cells(laws),
    "distances": _of_all_cells(distances),
    "topology of shapes": _of_all_cells(topologies),
    "polynomial": _of_all_cells(polynomials),
    "sinusoid": _of_all_cells(sinusoids),
    "ablations": _of_all_cells(ablated),
    "miniboone": _of_all_cells(miniboone),
    "cost": _of_all_cells(cost),
}
"""Those of docs/rivals.md."""
SUMMARY = _of_all_cells(summary)
"""That of the README."""
