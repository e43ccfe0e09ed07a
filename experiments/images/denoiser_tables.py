"""The tables of docs/image_denoisers.md."""

import json
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.markdown import median_and_range, table_header, table_row
from experiments.common.places import RESULTS
from experiments.images.lenet import IMAGES
from experiments.images.tables import some_run

BENCHMARKS = RESULTS.parents[1] / "benchmarks" / "results"
Cells = dict[str, tuple[str, str]]
SPECTRUM: Cells = {
    "λ₁": ("λ largest", ".2f"),
    "λ₁₆": ("λ last", ".2f"),
    "λ₁₇": ("λ next", ".2f"),
    "λ > ½": ("local_dimension", ".0f"),
    "asymmetry": ("asymmetry", ".0%"),
}
RIDGE: Cells = {
    "m": ("dimension", ".0f"),
    "distance of test images": ("distance", ".2f"),
    "not reached": ("lost", ".0%"),
    "from normal laws": ("normal laws", ".1f"),
    "annealed": ("annealed", ".1f"),
    "after chains": ("frechet", ".1f"),
    "steps": ("steps", ".0f"),
    "precision": ("precision", ".2f"),
    "recall": ("recall", ".2f"),
    "iterations": ("iterations", ".1f"),
    "CPU ms a step": ("ms_a_step", ".1f"),
}
KNOWN: Cells = {
    "size": ("size_of_images", ".1f"),
    "distance": ("distance", ".3f"),
    "95%": ("distance_95", ".3f"),
    "tangents, degrees": ("tangent_degrees", ".1f"),
    "λ of tangents, least": ("least_tangent_eigenvalue", ".2f"),
    "next λ, largest": ("largest_normal_eigenvalue", ".2f"),
    "right dimension": ("right_dimension", ".1%"),
    "chains' distance": ("chain_distance", ".3f"),
    "worst KS": ("worst_ks", ".3f"),
    "beyond an edge": ("beyond_edge", ".1%"),
    "CPU ms a step": ("cpu_milliseconds_a_step", ".2f"),
}


def tables_of(runs: Path) -> dict[str, Callable[[], str]]:
    """The tables from a directory of results, by name."""
    texts = {
        "known": known_table,
        "denoisers": denoisers_table,
        "denoisers' scores": denoiser_detection_table,
        "dimensions": dimensions_table,
    }
    return {name: some_run(partial(text, runs)) for name, text in texts.items()}


def known_table(directory: Path) -> str:
    """Markdown: manifolds of known images, a line for each family, medians over seeds."""
    groups = defaultdict(list)
    for path in sorted(directory.glob("known-*-seed*.json")):
        found = json.loads(path.read_text())
        groups[found["family"]].append(found | {"worst_ks": max(found["ks"].values())})
    lines = table_header("images", "seeds", *KNOWN, "orientable")
    for family, runs in groups.items():
        sides = ", ".join("yes" if run["orientable"] else "no" for run in runs)
        lines.append(table_row(family, str(len(runs)), *_cells(runs, KNOWN), sides))
    return "\n".join(lines)


def denoisers_table(directory: Path) -> str:
    """Markdown: ridges of a denoiser at each scale of noise, its own samples, and the EBIM; medians over seeds."""
    lines = table_header("data", "updates", "seeds", "σ", *SPECTRUM, *RIDGE)
    for (data, updates), runs in _groups(directory).items():
        head = (data, f"{updates:,}", str(len(runs)))
        ridges: dict[tuple[float, bool], list[dict[str, Any]]] = {}
        for row in [row for run in runs for row in run["rows"]]:
            own = row["dimension"] == int(row["local_dimension"])
            ridges.setdefault((row["sigma"], own), []).append(row | row.get("starts", {}))
        for (sigma, _), rows in ridges.items():
            lines.append(table_row(*head, f"{sigma:g}", *_cells(rows, SPECTRUM), *_cells(rows, RIDGE)))
        for name, key in (("own samples", "own"), ("EBIM", "ebim")):
            rows = [run[key] for run in runs if key in run]
            if rows:
                lines.append(table_row(*head[:2], str(len(rows)), name, *[""] * len(SPECTRUM), *_cells(rows, RIDGE)))
    return "\n".join(lines)


def denoiser_detection_table(directory: Path) -> str:
    """Markdown: AUC of a denoiser's scores against kinds of images that do not belong; medians over seeds."""
    lines: list[str] = []
    for (data, updates), runs in _groups(directory).items():
        kinds = [runs[0]["auc"][kind] for kind in runs[0]["auc"]]
        if not lines:
            names = ("another set", *list(runs[0]["auc"])[1:])
            lines = table_header("data", "updates", "seeds", "score", *names)
        for score in kinds[0]:
            found = [np.median([run["auc"][kind][score] for run in runs]) for kind in runs[0]["auc"]]
            lines.append(table_row(data, f"{updates:,}", str(len(runs)), score, *(f"{value:.3f}" for value in found)))
    return "\n".join(lines)


def dimensions_table(directory: Path) -> str:
    """Markdown: estimates of dimension by neighbours, and numbers of a denoiser's large eigenvalues at each scale."""
    lines: list[str] = []
    path = directory / "dimensions.json"
    counts = {data: runs[0] for (data, _), runs in _groups(directory).items()}
    scales = sorted({row["sigma"] for run in counts.values() for row in run["rows"]})
    for line in json.loads(path.read_text()) if path.exists() else []:
        estimates = {name: value for name, value in line.items() if isinstance(value, float)}
        if not lines:
            lines = table_header("data", *estimates, *(f"λ > ½ at σ = {sigma:g}" for sigma in scales))
        rows = counts.get(line["data"], {"rows": []})["rows"]
        found = [[row for row in rows if row["sigma"] == sigma][:1] for sigma in scales]
        cells = [f"{row[0]['local_dimension']:.0f}" if row else "-" for row in found]
        lines.append(table_row(line["data"], *(f"{value:.1f}" for value in estimates.values()), *cells))
    return "\n".join(lines)


def cost_table(path: Path) -> str:
    """Markdown: time and memory of a chain step by n and by m, as `benchmarks.denoisers` measured."""
    lines = table_header("n", "m", "CPU ms a step", "MiB", "iterations")
    for line in json.loads(path.read_text()):
        numbers = (f"{line['ms']:.2f}", f"{line['mib']:.2f}", f"{line['iterations']:.1f}")
        lines.append(table_row(str(line["n"]), str(line["m"]), *numbers))
    return "\n".join(lines)


def _groups(directory: Path) -> dict[tuple[str, int], list[dict[str, Any]]]:
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for path in sorted(directory.glob("denoiser-*-seed*.json")):
        run = json.loads(path.read_text())
        groups.setdefault((run["data"], run["updates"]), []).append(run)
    return groups


def _cells(rows: list[dict[str, Any]], columns: Cells) -> list[str]:
    return [median_and_range([row[name] for row in rows if name in row], form) for name, form in columns.values()]


TABLES = tables_of(IMAGES) | {"denoisers' steps": partial(cost_table, BENCHMARKS / "denoisers.json")}
