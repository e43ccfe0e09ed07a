"""Tables of dihedral angles as a stranger has them: `python -m experiments.ramachandran --data general`.

A CSV with names and a column of text, angles in degrees; `implicit-manifolds fit --angles deg`, no codimension given;
samples and scores come back in degrees and per radian. NLL of held-out rows beside kernels that are given the torus.
"""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from experiments.common.cells import CELLS, cell_path, made_by
from experiments.common.command import main
from experiments.common.markdown import replace_between_marks, table_header, table_row
from experiments.real_data import kernels
from experiments.real_data.sets import on_circles
from implicit_manifolds.cli.commands import sample_command, score_command
from implicit_manifolds.cli.fitting import fit_command
from implicit_manifolds.cli.tables import Columns
from implicit_manifolds.datasets.nucleotides import load_rna
from implicit_manifolds.datasets.proteins import load_ramachandran

PAGE = Path(__file__).parents[1] / "docs" / "amino_acids.md"
FOLDER = CELLS / "ramachandran"
ROUNDED = 0.01
"""Radians to which the angles of proteins are rounded; noise of that width is added."""
HELD = 1000
"""Rows that choose the kernels' widths, at most."""
RNA = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "chi")
Data = Literal["general", "glycine", "proline", "pre_pro", "rna"]


@dataclass(frozen=True)
class Options:
    """data: which rows. seed: of the split, of the fit and of the draw. tables: only write the page's table."""

    data: Data = "general"
    seed: int = 0
    tables: bool = False


def degrees_of(data: Data) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the angles, and rows of them in degrees."""
    if data == "rna":
        return RNA, np.degrees(load_rna()[0])
    rows = load_ramachandran(data)
    # Else a density could have atoms: rows that repeat others on the lattice of their rounding.
    return ("phi", "psi"), np.degrees(rows + np.random.default_rng(0).uniform(-ROUNDED / 2, ROUNDED / 2, rows.shape))


def write_table(path: Path, names: tuple[str, ...], rows: np.ndarray) -> None:
    """Rows under their names, after a column of text."""
    named = {"residue": [f"r{row}" for row in range(len(rows))]}
    pl.DataFrame(named | dict(zip(names, rows.T, strict=True))).write_csv(path)


def run(options: Options) -> None:
    """Fit eight tenths of the rows, choose the kernels' widths by the ninth, score the last."""
    if not options.tables:
        names, rows = degrees_of(options.data)
        order = np.random.default_rng(options.seed).permutation(len(rows))
        tenth = len(rows) // 10
        test, held, train = rows[order[:tenth]], rows[order[tenth : 2 * tenth]], rows[order[2 * tenth :]]
        with tempfile.TemporaryDirectory() as folder:
            found = by_command(Path(folder), names, train, test, options.seed)
        embedded = [on_circles(np.radians(part)) for part in (train, held, test)]
        given = kernels.flat_torus(len(names))
        beside = kernels.judged(given, embedded[0], (embedded[0], embedded[1][:HELD]), embedded[2])
        told = {"data": options.data, "seed": options.seed, "rows": len(rows), **made_by(), **found}
        path = cell_path(FOLDER, options.data, seed=options.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told | {"kernels": beside["nll"], "uniform": given.log_volume}, indent=1) + "\n")
        print(path.read_text())
    replace_between_marks(PAGE, "ramachandran", table())


def by_command(folder: Path, names: tuple[str, ...], train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, Any]:
    """Fit, sample and score as the command does, and what its files say."""
    write_table(folder / "train.csv", names, train)
    write_table(folder / "test.csv", names, test)
    started, cpu = time.perf_counter(), time.process_time()
    fit_command(folder / "train.csv", folder / "model", seed=seed, table=Columns(angles="deg"))
    seconds = time.perf_counter() - started, time.process_time() - cpu
    sample_command(folder / "model", 1000, folder / "samples.csv", seed)
    score_command(folder / "model", folder / "test.csv", folder / "scores.csv")
    scores, drawn = pl.read_csv(folder / "scores.csv"), pl.read_csv(folder / "samples.csv")
    reached = scores["converged"].to_numpy() > 0
    told = {
        "fit_seconds": seconds[0],
        "fit_cpu_seconds": seconds[1],
        "codimension": json.loads((folder / "model" / "fit.json").read_text())["dimension"]["codimension"],
        "sample_columns": drawn.columns,
        "sample_range": [float(drawn.to_numpy().min()), float(drawn.to_numpy().max())],
        "reached": float(reached.mean()),
        "distance": float(scores["distance"].to_numpy()[reached].mean()),
    }
    own = next((name for name in scores.columns if name.startswith("log_density_per_")), None)
    if own is None:
        return told | {"nll": None}
    values = scores[own].to_numpy()[reached]
    return told | {"nll": -float(values.mean()), "nll_error": float(values.std() / np.sqrt(len(values)))}


def table() -> str:
    """Markdown, from the cells."""
    names = (
        "rows",
        "codimension found",
        "NLL per radian of each angle",
        "test rows without a nearest point",
        "mean distance",
    )
    lines = table_header("data", "seed", *names, "kernels on the true torus", "uniform", "CPU s of the fit")
    for path in sorted(FOLDER.glob("*.json")):
        cell = json.loads(path.read_text())
        nll = "unnormalised" if cell["nll"] is None else f"{cell['nll']:.3f} ± {cell['nll_error']:.3f}"
        numbers = (f"{cell['rows']:,}", str(cell["codimension"]), nll, f"{1 - cell['reached']:.2%}")
        beside = (f"{cell['kernels']:.3f}", f"{cell['uniform']:.2f}", f"{cell['fit_cpu_seconds']:.0f}")
        lines.append(table_row(cell["data"], str(cell["seed"]), *numbers, f"{cell['distance']:.1e}", *beside))
    return "\n".join(lines)


if __name__ == "__main__":
    main(run, Options)
