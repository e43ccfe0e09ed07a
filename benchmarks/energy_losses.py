"""How long each loss of step 2 takes to an honest NLL of 2.00 on the two-circle mixture (true entropy 1.959).

The manifold is learned once. For each loss and number of updates step 2 is trained afresh, schedule included, and its
mean negative log-density taken over fresh points of the law, with log Z from points that trained nothing. Seconds
include all that the loss needs (charts, pools, chains), not compilation, which a first run takes.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import tyro

from implicit_manifolds import Manifold
from implicit_manifolds.datasets.synthetic import von_mises_mixture
from implicit_manifolds.ebim.anchors import points_on_manifold
from implicit_manifolds.ebim.contrastive import EnergyConfig, fit_contrastive
from implicit_manifolds.ebim.likelihood import LikelihoodConfig, fit_likelihood
from implicit_manifolds.ebim.manifold import fit_manifold
from implicit_manifolds.ebim.score_matching import ScoreMatchingConfig, fit_score_matching
from implicit_manifolds.ebim.survey import survey
from implicit_manifolds.scaling import standardization
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.importance import energies_at, log_normalizer

TARGET = 2.00


@dataclass(frozen=True)
class Options:
    """Options of the benchmark.

    out: JSON file to write. updates: numbers of updates tried with every loss. contrastive_updates: more for
    contrastive divergence. seed: of data and training.
    """

    out: Path = Path("runs/energy_losses.json")
    updates: tuple[int, ...] = (20, 40, 80, 160, 320, 640, 1280)
    contrastive_updates: tuple[int, ...] = (2560, 5120, 10_240)
    seed: int = 0


def main(options: Options) -> None:
    """Train, judge, print the table and write the JSON."""
    rows = measure(options)
    print(f"{'loss':>15} {'updates':>8} {'wall s':>7} {'CPU s':>7} {'NLL':>7} {'log Z ±':>8}")
    for row in rows:
        print(f"{row['loss']:>15} {row['updates']:8d} {row['wall_seconds']:7.2f} {row['cpu_seconds']:7.2f} "
              f"{row['nll']:7.3f} {row['log_normalizer_error']:8.4f}")  # fmt: skip
    for loss in dict.fromkeys(row["loss"] for row in rows):
        reached = [row for row in rows if row["loss"] == loss and row["nll"] <= TARGET]
        first = min(reached, key=lambda row: row["wall_seconds"]) if reached else None
        print(f"{loss}: NLL {TARGET:.2f} " + (f"after {first['wall_seconds']:.2f} s" if first else "never reached"))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


def measure(options: Options) -> list[dict]:
    """One row for each loss and number of updates."""
    points = von_mises_mixture(np.random.default_rng([options.seed, 0]), 1000)
    fresh = von_mises_mixture(np.random.default_rng([options.seed, 3]), 20_000)
    scaling, standard, box = standardization(points)
    key = jax.random.key(options.seed)
    mdf, _ = fit_manifold(key, standard, 1, box)
    anchors, starts, _ = points_on_manifold(key, mdf, standard, box, 2000)
    judged_at, _, _ = points_on_manifold(key, mdf, scaling.standardize(fresh), box, 1)
    bare = Manifold(mdf, box, anchors)
    charted = survey(key, bare, anchors, starts, 4).manifold

    def likelihood(count):
        manifold, data = survey(key, bare, anchors, starts, 4)
        return fit_likelihood(key, pool_source(manifold), data, replace(LikelihoodConfig(), num_steps=count))[0]

    def score_matching(count):
        manifold, _ = survey(key, bare, anchors, starts, 4)
        return fit_score_matching(key, manifold, anchors, replace(ScoreMatchingConfig(), num_steps=count))[0]

    def contrastive(count):
        return fit_contrastive(key, bare, standard, starts, replace(EnergyConfig(), num_steps=count))[0]

    rows = []
    for train in (likelihood, score_matching, contrastive):
        counts = options.updates + (options.contrastive_updates if train is contrastive else ())
        for count in counts:
            train(count)  # compiles whatever this count needs
            wall, cpu = time.perf_counter(), time.process_time()
            energy = jax.block_until_ready(train(count))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            normalizer = log_normalizer(key, pool_source(charted), energy)
            nll = energies_at(energy, judged_at).mean() + normalizer.value + np.log(float(scaling.scale))
            rows.append({
                "loss": train.__name__, "updates": count, "wall_seconds": wall, "cpu_seconds": cpu,
                "nll": float(nll), "log_normalizer_error": normalizer.standard_error,
            })  # fmt: skip
    return rows


if __name__ == "__main__":
    main(tyro.cli(Options))
