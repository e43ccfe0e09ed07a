"""Cost of a constrained Langevin step on a learned ridge, beside one on a zero set of the same width.

Both are fitted to the same 1,000 points here, of a torus, a trefoil and a Klein bottle; 10,000 chains, an energy of
two layers of 32, steps of 0.08 of the data's scale. Steps of both are timed in turn, without compilation, which has
a column of its own.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.clmc import timed

SHAPES = ("torus", "trefoil", "klein_bottle")


@dataclass(frozen=True)
class Options:
    """out: JSON file to write. chains, steps: of a timed run. repeats: timed runs of each row."""

    out: Path = Path("runs/ridges.json")
    chains: int = 10_000
    steps: int = 20
    repeats: int = 7


def main(options: Options) -> None:
    """Time every row on one processor, print the table, write the JSON."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = [row for name in SHAPES for row in measure(name, options)]
    print(f"{'shape':>14} {'n':>2} {'k':>2} {'form':>9} {'CPU µs':>7} {'ratio':>6} {'compile s':>9} {'moved':>6}")
    for row in rows:
        print(
            f"{row['shape']:>14} {row['dimension']:2d} {row['codimension']:2d} {row['form']:>9} "
            f"{row['cpu_microseconds']:7.2f} {row['ratio']:6.2f} {row['compile_seconds']:9.1f} {row['moved']:6.3f}"
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"CPU µs a step of one chain; ratio to the zero set; written to {options.out}")


def measure(name: str, options: Options) -> list[dict[str, Any]]:
    """The rows of one shape."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from experiments.laws.more_shapes import shape
    from implicit_manifolds import ManifoldConfig
    from implicit_manifolds.ebim.manifold import fit_manifold
    from implicit_manifolds.ebim.ridge import RidgeConfig, fit_ridge
    from implicit_manifolds.mcmc import ConstrainedLangevin, Reason
    from implicit_manifolds.mcmc.chains import advance, initial_states
    from implicit_manifolds.networks.mlp import EnergyMLP
    from implicit_manifolds.scaling import standardization
    from implicit_manifolds.volumes.projected import projected

    known, key = shape(name), jax.random.key(0)
    _, points, box = standardization(known.draw(np.random.default_rng(0), 1000))
    brief = ManifoldConfig(restarts=2, warmup_steps=1000, num_steps=300)
    ridge = fit_ridge(key, points, points[:0], known.codimension, box, RidgeConfig(doublings=0)).ridge
    forms: dict[str, Any] = {"zero set": fit_manifold(key, points, known.codimension, box, brief)[0], "ridge": ridge}
    energy = EnergyMLP([points.shape[1], 32, 32], rngs=nnx.Rngs(1))
    step = jax.jit(advance)
    tasks: dict[str, tuple] = {}
    results: dict[str, Any] = {}
    compiled: dict[str, float] = {}
    for form, mdf in forms.items():
        reached, usable = projected(mdf, points, box)
        starts = jnp.asarray(np.resize(reached[usable], (options.chains, points.shape[1])))
        sampler = ConstrainedLangevin(mdf, energy, 0.08)
        states = initial_states(sampler, starts)
        began = time.perf_counter()
        results[form] = jax.block_until_ready(step(key, sampler, states, options.steps))
        compiled[form] = time.perf_counter() - began
        tasks[form] = (step, (key, sampler, results[form][0], options.steps), options.steps * options.chains)
    times = timed(tasks, options.repeats)
    base = {"shape": name, "dimension": points.shape[1], "codimension": known.codimension}
    return [
        base
        | {
            "form": form,
            "cpu_microseconds": 1e6 * cpu,
            "ratio": cpu / times["zero set"][1],
            "compile_seconds": compiled[form],
            "moved": float(np.mean(results[form][1].reason[:, Reason.ACCEPTED]) / options.steps),
        }
        for form, (_, cpu) in times.items()
    ]


if __name__ == "__main__":
    main(tyro.cli(Options))
