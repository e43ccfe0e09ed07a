"""Manifolds of any topology from 1,000 points each, no codimension given: `python -m experiments.any_manifold`.

A cell a shape and seed, kept under results/any_manifold; `--only NAME ...` and `--seeds N` choose what is run, and the
table of docs/any_manifold.md is then written anew from all cells there are.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from experiments.common.cells import cell_path, write_cell
from experiments.common.command import main
from experiments.common.markdown import median_and_range, replace_between_marks, table_header, table_row
from experiments.common.places import DOCS, RESULTS
from experiments.laws.more_shapes import BOUNDARIES, NAMES, ONE_SIDED, shape
from implicit_manifolds import FitConfig, describe, draw_pool, fit, log_density, nearest_points, sample, topology
from implicit_manifolds.box import uniform_in_box
from implicit_manifolds.ebim.anchors import projected
from implicit_manifolds.ebim.fit import Fit
from implicit_manifolds.errors import InputError

CELLS = RESULTS / "any_manifold"
PAGE = DOCS / "any_manifold.md"
POINTS, TESTED, POOL = 1000, 5000, 40_000
FAR = 0.1
"""A point that the box projects to is stray where it is farther from the truth, in units of the data's scale."""


@dataclass(frozen=True)
class Options:
    """only: names of shapes; all unless given. seeds: how many of each."""

    only: tuple[str, ...] = ()
    seeds: int = 5


def run(options: Options) -> None:
    """Fill the cells asked for that are missing, then write the table. Raises InputError for a name of no shape."""
    if unknown := set(options.only) - set(NAMES):
        raise InputError(f"there is no shape {sorted(unknown)[0]!r}; there are {', '.join(NAMES)}")
    for seed in range(options.seeds):
        for name in options.only or NAMES:
            if not cell_path(CELLS, name, seed=seed).exists():
                fill(name, seed)
    replace_between_marks(PAGE, "any manifold", table())


def fill(name: str, seed: int) -> None:
    """Fit and judge one shape, and write its cell."""
    random = np.random.default_rng([seed, 7])
    points, test = (shape(name).draw(random, count) for count in (POINTS, TESTED))
    write_cell(
        cell_path(CELLS, name, seed=seed),
        {"shape": name, "seed": seed},
        lambda: fit(jax.random.key(seed), points, None, FitConfig(manifold="ridge")),
        lambda found: judged(name, found, test),
    )


def judged(name: str, found: Fit, test: np.ndarray) -> dict[str, Any]:
    """Distances both ways, certificate, strays and volume of a fitted shape; lengths in units of the data's scale."""
    known, model = shape(name), found.model
    scale, manifold = float(model.scaling.scale), model.manifold
    assert found.dimension is not None
    told: dict[str, Any] = {
        "codimension": manifold.codimension,
        "votes": found.dimension.votes,
        "gap": found.dimension.gap,
        "noise": found.dimension.noise,
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
        told["volume_ratio"] = float(pool.weights.sum() * scale**manifold.dimension / known.volume)
        certificate = topology(manifold)
        told |= {
            "certificate": describe(certificate),
            "settled": certificate.settled,
            "components": len(certificate.components),
            "closed": [part.closed for part in certificate.components],
            "orientable": [part.orientable for part in certificate.components],
            "boundaries": [part.boundaries for part in certificate.components],
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


def read() -> dict[str, list[dict[str, Any]]]:
    """Cells by shape."""
    groups = defaultdict(list)
    for path in sorted(CELLS.glob("*.json")):
        cell = json.loads(path.read_text())
        groups[cell["shape"]].append(cell)
    return groups


def table() -> str:
    """Markdown: a line a shape."""
    lines = table_header(
        "shape",
        "seeds",
        "right codimension",
        "right certificate",
        "wrong ones",
        "test points to M",
        "largest",
        "samples to the truth",
        "strays from the box",
        "volume / truth",
        "NLL - entropy",
        "CPU s",
    )
    groups = read()
    for name in NAMES:
        if cells := groups.get(name):
            known = shape(name)
            right = sum(cell["codimension"] == known.codimension for cell in cells)
            judged_ = [cell for cell in cells if "certificate" in cell]
            wrong = sorted({cell["certificate"].split(";")[0] for cell in judged_ if not cell["right"]})
            columns = (
                ("test_mean", ".1e"),
                ("test_max", ".1e"),
                ("samples_mean", ".1e"),
                ("box_stray", ".2g"),
                ("volume_ratio", ".3f"),
                ("nll_excess", ".3f"),
                ("fit_cpu_seconds", ".0f"),
            )
            row = [median_and_range([cell[key] for cell in cells if key in cell], form) for key, form in columns]
            counts = [f"{count} of {len(cells)}" for count in (right, sum(cell["right"] for cell in judged_))]
            lines.append(table_row(name.replace("_", " "), str(len(cells)), *counts, "; ".join(wrong), *row))
    return "\n".join(lines)


if __name__ == "__main__":
    main(run, Options)
