"""The thresholds of `diagnose` on shapes that none was set by: alarms where all is right, silence where it is not."""

import json
from typing import Any

import jax
import numpy as np

import implicit_manifolds as im
from experiments.common.cells import cell_path, write_cell
from experiments.common.places import RESULTS
from experiments.laws.more_shapes import NAMES, shape

CELLS = RESULTS / "diagnosed"
SEED = 11
COUNT, FRESH, STRANGERS = 1000, 2000, 40
BESIDE = 0.2, 0.4
"""How far from the truth a group of strangers lies, in units of the data's scale."""
WIDTH = 0.01
PART = 0.45
"""The share of points that are on one side in the first coordinate; at the middle there may be a gap of the shape."""


def rows() -> list[dict[str, Any]]:
    """One for each shape; cells that there are stay."""
    return [_cell(name)["row"] for name in NAMES]


def _cell(name: str) -> dict[str, Any]:
    path = cell_path(CELLS, name, seed=SEED)
    if path.exists():
        return json.loads(path.read_text())
    known, random = shape(name), np.random.default_rng([SEED, 7])
    points, fresh = known.draw(random, COUNT), known.draw(random, FRESH)
    fitted = lambda: im.fit(jax.random.key(SEED), points).model
    return write_cell(
        path, {"shape": name, "seed": SEED}, fitted, lambda model: {"row": _row(name, known, random, model, fresh)}
    )


def _row(name: str, known: Any, random: np.random.Generator, model: im.EBIM, fresh: np.ndarray) -> dict[str, Any]:
    part = fresh[fresh[:, 0] < np.quantile(fresh[:, 0], PART)]
    alarms, of_group, of_part = (
        im.diagnose(jax.random.key(0), model, given).wrong
        for given in (fresh, np.concatenate([fresh, _strangers(random, known, model, fresh)]), part)
    )
    return {
        "shape": name.replace("_", " "),
        "alarms at fresh points": _told(alarms),
        "2 % of strangers beside it": _told(of_group, but=alarms),
        "points of one side alone": _told(of_part, but=alarms),
        "right": not alarms and bool(of_group) and bool(of_part),
    }


def _strangers(random: np.random.Generator, known: Any, model: im.EBIM, fresh: np.ndarray) -> np.ndarray:
    """A small group of points inside of the box, beside the manifold."""
    low, high, scale = fresh.min(axis=0), fresh.max(axis=0), model.scaling.length
    while True:
        places = random.uniform(low, high, (1000, fresh.shape[1]))
        away = known.distance(places) / scale
        beside = places[(away > BESIDE[0]) & (away < BESIDE[1])]
        if len(beside):
            return beside[0] + WIDTH * scale * random.normal(size=(STRANGERS, fresh.shape[1]))


def _told(findings: tuple, but: tuple = ()) -> str:
    """Names and numbers of findings, those left out that are there anyhow."""
    known = {one.name for one in but}
    return "; ".join(f"{one.name} {one.value:.2g}" for one in findings if one.name not in known) or "none"
