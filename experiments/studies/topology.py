"""How often step 1 finds the right topology: `python -m experiments.pages --only topology`.

Twenty seeds of 1,000 points on a circle, two circles, a sphere and a torus, ten of glycine; certified, not looked at.
"""

import json
from typing import Any

import jax
import numpy as np

from experiments.common.markdown import table_header, table_row
from experiments.common.places import RESULTS
from implicit_manifolds import Manifold
from implicit_manifolds.certificate.parts import describe
from implicit_manifolds.certificate.topology import topology
from implicit_manifolds.datasets.proteins import load_dihedral, torus_embedding
from implicit_manifolds.datasets.splits import split
from implicit_manifolds.datasets.synthetic import (
    projected_normal_sphere,
    von_mises_circle,
    von_mises_mixture,
    von_mises_torus,
)
from implicit_manifolds.ebim.fit import FitConfig
from implicit_manifolds.ebim.manifold import fit_manifold
from implicit_manifolds.scaling import standardization

CASES = {
    "circle": (lambda seed: von_mises_circle(np.random.default_rng([seed, 0]), 1000), (1, 1), 20),
    "two circles": (lambda seed: von_mises_mixture(np.random.default_rng([seed, 0]), 1000), (2, 2), 20),
    "sphere": (lambda seed: projected_normal_sphere(np.random.default_rng([seed, 0]), 1000), (1, 0, 1), 20),
    "torus": (lambda seed: von_mises_torus(np.random.default_rng([seed, 0]), 1000), (1, 2, 1), 20),
    "glycine": (lambda seed: split(torus_embedding(load_dihedral("G")), seed)[0], (1, 2, 1), 10),
}


FINISHED = RESULTS / "topology.json"


def run_missing() -> None:
    """Run what is missing; the file is written after each run."""
    runs = read()
    done = {(run["data"], run["seed"]) for run in runs}
    for name, (points_of, _, seeds) in CASES.items():
        for seed in range(seeds):
            if (name, seed) not in done:
                runs.append({"data": name, "seed": seed, **certified(points_of(seed), seed)})
                FINISHED.write_text(json.dumps(runs, indent=1) + "\n")
                print(runs[-1])


def read() -> list[dict[str, Any]]:
    """Finished runs."""
    return json.loads(FINISHED.read_text()) if FINISHED.exists() else []


def certified(points: np.ndarray, seed: int) -> dict:
    """The certificate of one manifold, learned with the defaults and the key that `fit` would use."""
    config = FitConfig()
    _, standard, box = standardization(points)
    mdf, _ = fit_manifold(jax.random.fold_in(jax.random.key(seed), 0), standard, 1, box, config.zero_set)
    found = topology(Manifold(mdf, box, standard))
    return {"betti": list(found.betti), "settled": found.settled, "topology": describe(found)}


def table() -> str:
    """Markdown: how many seeds are right, and what the others are."""
    runs, lines = read(), table_header("data", "right topology", "otherwise")
    for name, (_, betti, _) in CASES.items():
        group = [run for run in runs if run["data"] == name]
        wrong = [run["topology"].split(";")[0] for run in group if run["betti"] != list(betti) or not run["settled"]]
        lines.append(table_row(name, f"{len(group) - len(wrong)} of {len(group)}", ", ".join(sorted(set(wrong)))))
    return "\n".join(lines)
