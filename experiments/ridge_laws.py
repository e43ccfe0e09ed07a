"""Laws on learned ridges, against what is known: `python -m experiments.ridge_laws`.

Densities of laws in closed form, and chains against quadrature on the ridge they run on. Cells are kept under
results/ridge_laws, with the fitted models under runs/ridge_laws; `--only NAME ...`, `--seeds N` and `--fresh N` choose
what is run. Fresh points are judged in chunks, each written at once: a run that was stopped goes on, and more of them
are added to a cell. The tables of docs/ridge_laws.md are then written anew from all cells there are.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.common.cells import cell_path, write_cell
from experiments.common.command import main
from experiments.common.markdown import replace_between_marks, table_header, table_row
from experiments.common.places import DOCS, RESULTS
from experiments.common.problem import Law
from experiments.laws.by_volume import LAWS
from experiments.laws.more_shapes import shape
from experiments.studies.ridge_chains import WithoutTurning, learned, valley
from implicit_manifolds import EBIM, FitConfig, draw_pool, fit, load, log_density, save, volume
from implicit_manifolds.ebim.fit import Fit
from implicit_manifolds.ebim.verbs import log_volume_scale
from implicit_manifolds.errors import InputError
from implicit_manifolds.manifold import Ridge

CELLS = RESULTS / "ridge_laws"
MODELS = Path("runs/ridge_laws")
PAGE = DOCS / "ridge_laws.md"
CHUNK, POOL = 2000, 100_000
WRITTEN_DOWN = {"valley": Ridge, "valley_without_turning": WithoutTurning}
CHAINS = ("trefoil_chains", "klein_bottle_chains", *WRITTEN_DOWN)
NAMES = (*LAWS, *CHAINS)
LEARNED = 1000
LARGEST_LOSS, LARGEST_DISTANCE = 0.03, 0.02
VOLUME_BARS = {"trefoil": 0.02, "klein_bottle": 0.03, "rotations": 0.03}


@dataclass(frozen=True)
class Options:
    """only: names of cells; all unless given. seeds: how many. fresh: points that each density is judged at."""

    only: tuple[str, ...] = ()
    seeds: int = 1
    fresh: int = 100_000


def run(options: Options) -> None:
    """Fill the cells asked for that are missing, then write the tables. Raises InputError for a name of none."""
    if unknown := set(options.only) - set(NAMES):
        raise InputError(f"there is no {sorted(unknown)[0]!r}; there are {', '.join(NAMES)}")
    for seed in range(options.seeds):
        for name in options.only or NAMES:
            if name in LAWS:
                fill_density(name, seed, options.fresh)
            elif not cell_path(CELLS, name, seed=seed).exists():
                fill_chains(name, seed)
    for mark, rows in tables().items():
        replace_between_marks(PAGE, mark, rows)


def fill_density(name: str, seed: int, fresh: int) -> None:
    """Fit the law of a name unless that is done, then judge its density at `fresh` points in all."""
    path, kept = cell_path(CELLS, name, seed=seed), MODELS / f"{name}-seed{seed}"
    cell = json.loads(path.read_text()) if path.exists() else None
    if cell is not None and cell["fresh"] >= fresh:
        return
    make, count = LAWS[name]
    law = make()
    if cell is None or not kept.exists():
        # What was judged belongs to its model: without that all is done anew.
        shutil.rmtree(kept, ignore_errors=True)
        points = law.draw(np.random.default_rng([seed, 0]), count)
        identity = {"name": name, "points": count, "seed": seed}
        cell = write_cell(path, identity, lambda: _fitted(seed, points, kept), lambda found: judged(name, found))
    model = load(kept)
    while cell["fresh"] < fresh:
        random = np.random.default_rng([seed, 1, len(cell["chunks"])])
        cell["chunks"].append(chunk(model, law, law.draw(random, min(CHUNK, fresh - cell["fresh"]))))
        cell |= joined(cell["chunks"])
        path.write_text(json.dumps(cell, indent=1) + "\n")


def _fitted(seed: int, points: np.ndarray, kept: Path) -> Fit:
    found = fit(jax.random.key(seed), points)
    kept.parent.mkdir(parents=True, exist_ok=True)
    save(kept, found.model)
    return found


def judged(name: str, found: Fit) -> dict[str, Any]:
    """Form, codimension and volume of what was fitted to a law, before its density is looked at."""
    model, manifold = found.model, found.model.manifold
    told: dict[str, Any] = {
        "ridge": isinstance(manifold.mdf, Ridge),
        "codimension": manifold.codimension,
        "reason": found.reason,
        "fresh": 0,
        "chunks": [],
    }
    if manifold.atlas is not None:
        pool = draw_pool(jax.random.key(2), manifold, POOL)
        in_data_units = pool._replace(weights=pool.weights * np.exp(log_volume_scale(model, pool.points)))
        size, error = volume(in_data_units)
        told |= {"volume_ratio": size / shape(name).volume, "volume_error": error / shape(name).volume}
    return told


def chunk(model: EBIM, law: Law, points: np.ndarray) -> dict[str, float]:
    """Sums over fresh points whose nearest one was found: of log p_true - log p_model, its square, and the distance."""
    found = log_density(model, points)
    loss = (law.log_density(points) - found.log_density)[found.converged]
    away = found.distance[found.converged] / model.scaling.length
    sums = {"loss": loss.sum(), "squares": (loss**2).sum(), "distance": away.sum()}
    return {"points": len(points), "found": len(loss)} | {key: float(value) for key, value in sums.items()}


def joined(chunks: list[dict[str, float]]) -> dict[str, Any]:
    """What all chunks come to: points in all, mean loss in nats and its standard error, share not found, distance."""
    total = {key: sum(each[key] for each in chunks) for key in chunks[0]}
    mean = total["loss"] / total["found"]
    return {
        "fresh": total["points"],
        "loss": mean,
        "loss_error": ((total["squares"] / total["found"] - mean**2) / total["found"]) ** 0.5,
        "not_found": 1 - total["found"] / total["points"],
        "distance": total["distance"] / total["found"],
    }


def fill_chains(name: str, seed: int) -> None:
    """Run the chains of a name, on a ridge fitted to even points of its shape or on one written down."""
    path, of = cell_path(CELLS, name, seed=seed), name.removesuffix("_chains")
    if of in WRITTEN_DOWN:
        write_cell(path, {"name": name, "seed": seed}, lambda: WRITTEN_DOWN[of], lambda kind: valley(kind, seed))
        return
    points = shape(of).draw(np.random.default_rng([seed, 0]), LEARNED)
    write_cell(
        path,
        {"name": name, "seed": seed},
        lambda: fit(jax.random.key(seed), points, config=FitConfig(manifold="ridge")).model,
        lambda model: learned(model, of, seed),
    )


def tables() -> dict[str, str]:
    """Markdown by its marks: a line a cell."""
    cells = [json.loads(path.read_text()) for path in sorted(CELLS.glob("*.json"))]
    of = lambda names: [cell for name in names for cell in cells if cell["name"] == name]
    densities = table_header(*DENSITY_COLUMNS)
    densities += [table_row(*_density_row(cell)) for cell in of(LAWS) if cell["chunks"]]
    chains = table_header(*CHAIN_COLUMNS)
    chains += [table_row(*_chain_row(cell)) for cell in of(CHAINS)]
    return {"densities": "\n".join(densities), "chains": "\n".join(chains)}


DENSITY_COLUMNS = (
    "shape", "seed", "points", "M", "fresh points", "log p_true - log p_model", "nearest not found", "distance to M",
    "volume / truth", "within bars", "CPU s",
)  # fmt: skip
CHAIN_COLUMNS = (
    "ridge", "seed", "trajectories", "distance from the law: start", "half-way", "end", "by what", "within bar",
    "accepted", "not converged", "not reversible", "largest residual", "farthest from the pieces",
)  # fmt: skip


def _density_row(cell: dict[str, Any]) -> list[str]:
    ratio = cell.get("volume_ratio", np.nan)
    kept = cell["loss"] <= LARGEST_LOSS and abs(ratio - 1) <= VOLUME_BARS[cell["name"]]
    return [
        cell["name"].replace("_", " "),
        str(cell["seed"]),
        f"{cell['points']:,}",
        f"{'ridge' if cell['ridge'] else 'zero set'}, codimension {cell['codimension']}",
        f"{cell['fresh']:,}",
        f"{cell['loss']:.4f} ± {cell['loss_error']:.4f}",
        f"{cell['not_found']:.2g}",
        f"{cell['distance']:.1e}",
        f"{ratio:.4f} ± {cell.get('volume_error', np.nan):.4f}",
        "yes" if kept else "no",
        f"{cell['fit_cpu_seconds']:.0f}",
    ]


def _chain_row(cell: dict[str, Any]) -> list[str]:
    looks, reasons = cell["largest_distances"], cell["reasons"]
    return [
        cell["name"].removesuffix("_chains").replace("_", " "),
        str(cell["seed"]),
        str(cell["trajectories"]),
        *(f"{looks[at]:.4f}" for at in (0, len(looks) // 2, -1)),
        max(cell["distances"], key=cell["distances"].get),
        "yes" if looks[-1] <= LARGEST_DISTANCE else "no",
        *(f"{reasons[reason]:.1%}" for reason in ("ACCEPTED", "NOT_CONVERGED", "NOT_REVERSIBLE")),
        f"{cell['largest_residual']:.0e}",
        f"{cell['farthest']:.1e}",
    ]


if __name__ == "__main__":
    main(run, Options)
