"""Manifolds of any topology from points alone, no codimension given: `python -m experiments.any_manifold`.

A cell a shape, number of points, noise and seed, kept under results/any_manifold; `--only NAME ...`, `--sets SET ...`
and `--seeds N` choose what is run, and the tables of docs/any_manifold.md are then written anew from all cells there
are.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.common.cells import cell_path, write_cell
from experiments.common.command import main
from experiments.common.markdown import median_and_range, replace_between_marks, table_header, table_row
from experiments.common.places import DOCS, README, RESULTS
from experiments.laws.more_shapes import BOUNDARIES, NAMES, ONE_SIDED, shape
from implicit_manifolds import describe, draw_pool, fit, log_density, nearest_points, sample, topology
from implicit_manifolds.box import uniform_in_box
from implicit_manifolds.ebim.fit import Fit
from implicit_manifolds.ebim.verbs import log_volume_scale
from implicit_manifolds.errors import InputError
from implicit_manifolds.volumes.projected import projected

CELLS = RESULTS / "any_manifold"
PAGE = DOCS / "any_manifold.md"
TESTED, POOL = 5000, 40_000
HARD = ("circle", "trefoil", "torus")
SETS: dict[str, tuple[tuple[str, ...], int, float]] = {
    "all": (NAMES, 1000, 0.0),
    "200 points": (HARD, 200, 0.0),
    "100 points": (HARD, 100, 0.0),
    "noise .05": (HARD, 1000, 0.05),
    "noise .1": (HARD, 1000, 0.1),
}
"""Shapes, number of points, and standard deviation of normal noise in units of the scale of the data."""
FAR = 0.1
"""A point that the box projects to is stray where it is farther from the truth, in units of the data's scale."""


@dataclass(frozen=True)
class Options:
    """only, sets: names of shapes and of sets; all unless given. seeds: how many of each."""

    only: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    seeds: int = 5


def run(options: Options) -> None:
    """Fill the cells asked for that are missing, then write the tables. Raises InputError for a name of no shape."""
    for known, given in ((NAMES, options.only), (tuple(SETS), options.sets)):
        if unknown := set(given) - set(known):
            raise InputError(f"there is no {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    for seed in range(options.seeds):
        for name in options.sets or SETS:
            for shape_name in SETS[name][0]:
                if shape_name in (options.only or NAMES) and not _path(shape_name, name, seed).exists():
                    fill(shape_name, name, seed)
    for name, rows in tables().items():
        replace_between_marks(PAGE, name, rows)
    replace_between_marks(README, "shapes", summary())


def _path(name: str, of: str, seed: int) -> Path:
    return cell_path(CELLS, name, *([] if of == "all" else [of.replace(" ", "-")]), seed=seed)


def fill(name: str, of: str, seed: int) -> None:
    """Fit and judge one shape, and write its cell."""
    random = np.random.default_rng([seed, 7])
    _, count, noise = SETS[of]
    points, test = (shape(name).draw(random, size) for size in (count, TESTED))
    points = points + noise * points.std(axis=0).mean() * random.normal(size=points.shape)
    write_cell(
        _path(name, of, seed),
        {"shape": name, "set": of, "points": count, "noise": noise, "seed": seed},
        lambda: _fitted(seed, points),
        lambda found: {"codimension": 0, "reason": found} if isinstance(found, str) else judged(name, found, test),
    )


def _fitted(seed: int, points: np.ndarray) -> Fit | str:
    """What is found, or the sentence with which the points are refused."""
    try:
        return fit(jax.random.key(seed), points)
    except (InputError, ArithmeticError) as error:
        return str(error)


def judged(name: str, found: Fit, test: np.ndarray) -> dict[str, Any]:
    """Distances both ways, certificate, strays and volume of a fitted shape; lengths in units of the data's scale."""
    known, model = shape(name), found.model
    scale, manifold = model.scaling.length, model.manifold
    assert found.dimension is not None
    told: dict[str, Any] = {
        "codimension": manifold.codimension,
        "votes": found.dimension.votes,
        "gap": found.dimension.gap,
        "noise_found": found.dimension.noise,
        "reason": found.reason,
        "seconds_manifold": found.seconds_manifold,
        "seconds_energy": found.seconds_energy,
    }
    if manifold.codimension != known.codimension:
        return told
    near = nearest_points(model, test)
    drawn = sample(jax.random.key(1), model, TESTED)
    ends, usable = projected(manifold.mdf, uniform_in_box(np.random.default_rng(0), manifold.box, 2000), manifold.box)
    away = known.distance(model.scaling.restore(ends[usable])) / scale if usable.any() else np.zeros(1)
    told |= {
        "test_converged": float(near.converged.mean()),
        "test_mean": float(near.distance[near.converged].mean() / scale),
        "test_max": float(near.distance[near.converged].max() / scale),
        "samples_mean": float((known.distance(drawn.points) / scale).mean()),
        "method": drawn.method,
        "box_usable": float(usable.mean()),
        "box_stray": float((away > FAR).mean()),
        "nll_excess": float(-np.nanmean(log_density(model, test).log_density) - np.log(known.volume)),
    }
    if manifold.atlas is not None:
        pool = draw_pool(jax.random.key(2), manifold, POOL)
        told["volume_ratio"] = float(np.sum(pool.weights * np.exp(log_volume_scale(model, pool.points))) / known.volume)
        certificate = topology(manifold)
        told |= {
            "certificate": describe(certificate),
            "settled": certificate.settled,
            "components": len(certificate.components),
            "closed": [part.closed for part in certificate.components],
            "orientable": [part.orientable for part in certificate.components],
            "boundaries": [part.boundaries or 0 for part in certificate.components],
            "betti": list(certificate.betti),
        }
        told["right"] = is_right(name, told)
    return told


def is_right(name: str, cell: dict[str, Any]) -> bool:
    """Whether parts, their boundaries and orientability, and the Betti numbers are the shape's."""
    betti = list(shape(name).betti)
    expected = {
        "closed": [name not in BOUNDARIES] * betti[0],
        "orientable": [name not in ONE_SIDED] * betti[0],
        "boundaries": [BOUNDARIES.get(name, 0)] * betti[0],
    }
    return all(cell[key] == value for key, value in expected.items()) and cell["betti"] == betti[: len(cell["betti"])]


def read() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Cells by set and shape."""
    groups = defaultdict(list)
    for path in sorted(CELLS.glob("*.json")):
        cell = json.loads(path.read_text())
        groups[cell["set"], cell["shape"]].append(cell)
    return groups


COLUMNS = {
    "test points to M": ("test_mean", ".1e"),
    "largest": ("test_max", ".1e"),
    "samples to the truth": ("samples_mean", ".1e"),
    "strays from the box": ("box_stray", ".2g"),
    "volume / truth": ("volume_ratio", ".3f"),
    "NLL - entropy": ("nll_excess", ".3f"),
    "CPU s": ("fit_cpu_seconds", ".0f"),
}
COUNTS = ("seeds", "right codimension", "zero sets", "right certificate", "wrong, and settled", "told to be unsettled")


def tables() -> dict[str, str]:
    """Markdown by its marks: a line a shape, and a line a shape of each harder set."""
    groups = read()
    easy, hard = (table_header(*first, *COUNTS, *COLUMNS) for first in (("shape",), ("points", "shape")))
    for name in SETS:
        for shape_name in SETS[name][0]:
            if cells := groups.get((name, shape_name)):
                words = [shape_name.replace("_", " "), *_counts(shape_name, cells)]
                words += [
                    median_and_range([cell[key] for cell in cells if cell.get(key) is not None], form)
                    for key, form in COLUMNS.values()
                ]
                (easy if name == "all" else hard).append(table_row(*([] if name == "all" else [name]), *words))
    return {"any manifold": "\n".join(easy), "sparse and noisy": "\n".join(hard)}


SUMMED = {key: COLUMNS[key] for key in ("test points to M", "samples to the truth", "volume / truth", "NLL - entropy")}


def summary() -> str:
    """Markdown for the README: a line a shape of 1,000 points, noise-free but for one."""
    groups, rows = read(), table_header("shape", "seeds", "right codimension", "right certificate", *SUMMED)
    for name in SETS["all"][0]:
        if cells := groups.get(("all", name)):
            medians = [
                median_and_range([c[key] for c in cells if c.get(key) is not None], form)
                for key, form in SUMMED.values()
            ]
            seeds, codimension, _, certificate, *_ = _counts(name, cells)
            rows.append(table_row(name.replace("_", " "), seeds, codimension, certificate, *medians))
    return "\n".join(rows)


def _counts(name: str, cells: list[dict[str, Any]]) -> list[str]:
    known = shape(name)
    right = sum(cell["codimension"] == known.codimension for cell in cells)
    flat = sum(cell["reason"].startswith("a zero set") for cell in cells)
    judged_ = [cell for cell in cells if "certificate" in cell]
    wrong = [cell for cell in judged_ if not cell["right"]]
    said = sorted({cell["certificate"].split(";")[0] for cell in wrong if cell["settled"]})
    return [
        str(len(cells)),
        f"{right} of {len(cells)}",
        str(flat),
        f"{sum(cell['right'] for cell in judged_)} of {len(cells)}",
        "; ".join(said),
        str(sum(not cell["settled"] for cell in wrong)),
    ]


if __name__ == "__main__":
    main(run, Options)
