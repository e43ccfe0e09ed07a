"""How often step 1 finds the right topology: `python -m experiments.topology_seeds` writes the table.

Twenty seeds of 1,000 points on a circle, two circles, a sphere and a torus, ten of glycine; certified, not looked at.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from experiments.common import main
from experiments.markdown import replace_between_marks, table_header, table_row
from experiments.report import DOCS, RESULTS
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
from implicit_manifolds.topology.certificate import describe, topology

CASES = {
    "circle": (lambda seed: von_mises_circle(np.random.default_rng([seed, 0]), 1000), (1, 1), 20),
    "two circles": (lambda seed: von_mises_mixture(np.random.default_rng([seed, 0]), 1000), (2, 2), 20),
    "sphere": (lambda seed: projected_normal_sphere(np.random.default_rng([seed, 0]), 1000), (1, 0, 1), 20),
    "torus": (lambda seed: von_mises_torus(np.random.default_rng([seed, 0]), 1000), (1, 2, 1), 20),
    "glycine": (lambda seed: split(torus_embedding(load_dihedral("G")), seed)[0], (1, 2, 1), 10),
}


@dataclass(frozen=True)
class TopologyOptions:
    """out: the file of finished runs, which are not repeated."""

    out: Path = RESULTS / "topology.json"


def count(options: TopologyOptions) -> None:
    """Run what is missing, a file written after each run, and rewrite the table in docs."""
    runs = json.loads(options.out.read_text()) if options.out.exists() else []
    done = {(run["data"], run["seed"]) for run in runs}
    for name, (points_of, _, seeds) in CASES.items():
        for seed in range(seeds):
            if (name, seed) not in done:
                runs.append({"data": name, "seed": seed, **certified(points_of(seed), seed)})
                options.out.write_text(json.dumps(runs, indent=1) + "\n")
                print(runs[-1])
    replace_between_marks(DOCS / "guide.md", "topology", table(runs))


def certified(points: np.ndarray, seed: int) -> dict:
    """The certificate of one manifold, learned with the defaults and the key that `fit` would use."""
    config = FitConfig()
    _, standard, box = standardization(points, config)
    mdf, _ = fit_manifold(jax.random.fold_in(jax.random.key(seed), 0), standard, 1, box, config.manifold)
    found = topology(mdf, box, standard)
    return {"betti": list(found.betti), "settled": found.settled, "topology": describe(found)}


def table(runs: list[dict]) -> str:
    """Markdown: how many seeds are right, and what the others are."""
    lines = table_header("data", "right topology", "otherwise")
    for name, (_, betti, _) in CASES.items():
        group = [run for run in runs if run["data"] == name]
        wrong = [run["topology"].split(";")[0] for run in group if run["betti"] != list(betti) or not run["settled"]]
        lines.append(table_row(name, f"{len(group) - len(wrong)} of {len(group)}", ", ".join(sorted(set(wrong)))))
    return "\n".join(lines)


if __name__ == "__main__":
    main(count, TopologyOptions)
