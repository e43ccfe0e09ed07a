"""Cells of real data as tables of Markdown: medians over seeds."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

from experiments.common.markdown import median_and_range, table_header, table_row
from experiments.common.places import DOCS, RESULTS
from experiments.real_data import kernels, sets

CELLS = RESULTS / "real_data"
PAGE = DOCS / "real_data.md"
Key = tuple[str, str, str]
LONG = 60
Cells = dict[Key, list[dict[str, Any]]]
FORMS = {"zero-set": "zero set", "auto": "auto", "ridge": "ridge"}
SPLITS = {
    "random": "random rows",
    "distinct": "random distinct rows",
    "tiles": "whole tiles",
    "entries": "whole PDB entries",
}
COLUMNS = {
    "NLL": ("nll", ".2f"),
    "nearest point found": ("converged", ".3f"),
    "nearer than 1 %": ("near", ".3f"),
    "mean distance": ("test_mean", ".1e"),
    "largest": ("test_max", ".1e"),
    "samples to the truth": ("samples_mean", ".1e"),
    "volume / truth": ("volume_ratio", ".3f"),
}


def read() -> Cells:
    """Cells by data set, split and form."""
    groups: Cells = defaultdict(list)
    for path in sorted(CELLS.glob("*.json")):
        cell = json.loads(path.read_text())
        groups[cell["data"], cell["split"], cell["form"]].append(cell)
    return groups


def _fits(names: Iterable[str], given: str) -> str:
    """A line a data set, split and form, and under those of a split the kernels that are given the manifold."""
    cells, lines = read(), table_header("data", "held out", "form", "M", *COLUMNS, "topology", "CPU s")
    for name in names:
        for split, told in SPLITS.items():
            for form in FORMS:
                if group := cells.get((name, split, form)):
                    lines.append(table_row(_title(name), told, FORMS[form], *_row(group)))
            if group := cells.get((name, split, "kernels")):
                likelihoods = {f"kernels on the true {given}": "nll", f"uniform on the true {given}": "nll_uniform"}
                for words, key in likelihoods.items():
                    blank = [""] * (len(COLUMNS) + 1)
                    lines.append(table_row(_title(name), told, words, "", _middle(group, key, ".2f"), *blank))
    return "\n".join(lines)


def unnormalised() -> str:
    """A line a split and form of what has no charts, and so no normaliser: distances, and kernels given the torus."""
    columns = {
        "`project` reaches M": ("projected", ".3f"),
        "at a mean distance of": ("projected_mean", ".2g"),
        "nearest point found": ("converged", ".3f"),
        "mean distance": ("test_mean", ".2g"),
        "samples to the torus": ("samples_mean", ".2g"),
        "least / largest singular value": ("singular_ratio", ".1e"),
    }
    cells, lines = read(), table_header("data", "held out", "form", "M", "NLL", *columns, "CPU s")
    for name, (split, told) in product(("rna", "digits"), SPLITS.items()):
        for form in FORMS:
            if group := cells.get((name, split, form)):
                kind, likelihood, *_, seconds = _row(group)
                values = [_middle(group, key, shape) for key, shape in columns.values()]
                lines.append(table_row(_title(name), told, FORMS[form], kind, likelihood, *values, seconds))
        if group := cells.get((name, split, "kernels")):
            for words, key in (("kernels on the true torus", "nll"), ("uniform on the true torus", "nll_uniform")):
                blank = [""] * (len(columns) + 1)
                lines.append(table_row(_title(name), told, words, "", _middle(group, key, ".2f"), *blank))
    return "\n".join(lines)


def _row(group: list[dict[str, Any]]) -> list[str]:
    """What M is, the columns, topologies and seconds."""
    good = [cell for cell in group if "failed" not in cell]
    seconds = _middle(group, "fit_cpu_seconds", ".0f")
    if not good:
        return ["failed: " + "; ".join(sorted({cell["failed"] for cell in group})), *[""] * (len(COLUMNS) + 1), seconds]
    kinds = sorted({f"{'ridge' if cell['ridge'] else 'zero set'}, k = {cell['codimension']}" for cell in good})
    values = [_middle(good, key, form) for key, form in COLUMNS.values()]
    if all("nll" not in cell for cell in good):
        values[0] = "unnormalised"
    shapes = sorted({_shape(cell["topology"]) for cell in good if "topology" in cell})
    return ["; ".join(kinds), *values, "; ".join(shapes), seconds]


def _shape(certificate: str) -> str:
    """The certificate's first words; of many parts, how many."""
    parts = certificate.split(";")[0]
    return parts if len(parts) < LONG else parts.split(",")[0]


def narrow() -> str:
    """Twins of test points in training, and what half a share of ever narrower kernels makes of them."""
    widths = [f"{width:g}" for width in kernels.NARROW]
    cells, lines = read(), table_header("data", "held out", "test", "with a twin", "chosen widths", *widths)
    for name in sets.EARTH:
        for split, told in SPLITS.items():
            if group := cells.get((name, split, "kernels")):
                row = [_middle(group, "test", "d"), _middle(group, "twins", ".1%"), _middle(group, "nll", ".2f")]
                for column in range(len(widths)):
                    row.append(median_and_range([cell["nll_narrow"][column] for cell in group], ".2f"))
                lines.append(table_row(_title(name), told, *row))
    return "\n".join(lines)


def meshes() -> str:
    """A line a mesh and form."""
    more = {
        "NLL of the truth": ("nll_true", ".3f"),
        "M to mesh": ("surface_mean", ".1e"),
        "M to mesh, largest": ("surface_max", ".1e"),
    }
    kept = {key: value for key, value in COLUMNS.items() if key != "samples to the truth"} | more
    cells, lines = read(), table_header("mesh", "form", "M", *kept, "topology", "CPU s")
    for name in sets.MESHES:
        for form in FORMS:
            if group := cells.get((name, "random", form)):
                first, *_, shapes, seconds = _row(group)
                values = [_middle(group, key, shape.replace(".2f", ".3f")) for key, shape in kept.values()]
                lines.append(table_row(name, FORMS[form], first, *values, shapes, seconds))
    return "\n".join(lines)


def warned() -> str:
    """What fits warned of."""
    lines = table_header("data", "held out", "form", "seed", "warning")
    for (name, split, form), group in read().items():
        for cell in group:
            for words in cell["warnings"]:
                lines.append(table_row(_title(name), SPLITS[split], FORMS.get(form, form), str(cell["seed"]), words))
    return "\n".join(lines)


def _title(name: str) -> str:
    return name.replace("amino_", "amino acid ").replace("rna", "RNA")


def _middle(group: list[dict[str, Any]], key: str, form: str) -> str:
    kind = int if form == "d" else float
    values = [cell[key] for cell in group if cell.get(key) is not None]
    if form == "d":
        return ", ".join(str(one) for one in sorted({kind(value) for value in values}))
    return median_and_range(values, form)


TABLES: dict[str, Callable[[], str]] = {
    "earth": lambda: _fits(sets.EARTH, "sphere"),
    "narrow kernels": narrow,
    "dihedral angles": lambda: _fits(sets.AMINO_ACIDS, "torus"),
    "RNA": unnormalised,
    "meshes": meshes,
    "warnings": warned,
}
