"""Cost of a constrained HMC step by the number of constraints: frames SO(d), and F(x) = A (x + x³/10) with n = 2 k.

CPU microseconds of one leapfrog step of one chain, with its reversed solve, medians over repeats, compilation apart.
`--label` names the code that is timed, so that what landed before stands beside in the same JSON and table.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.tree_util import Partial

from benchmarks.timing import seconds_of
from implicit_manifolds.manifold.analytic import stiefel
from implicit_manifolds.mcmc import ConstrainedHMC
from implicit_manifolds.mcmc.chains import advance


@dataclass(frozen=True)
class Options:
    """Options of the benchmark: JSON to write, what is timed, chains, steps, repeats, sizes."""

    out: Path = Path("runs/codimensions.json")
    label: str = "now"
    chains: int = 2000
    steps: int = 10
    repeats: int = 7
    columns: tuple[int, ...] = (2, 3, 4, 5)  # of frames, k = d (d + 1) / 2
    codimensions: tuple[int, ...] = (1, 2, 4, 6, 8, 9, 10, 12, 14, 16, 24, 32)


def main(options: Options) -> None:
    """Time all sizes, and print the table of all that the JSON holds."""
    rows = {}
    for columns in options.columns:
        start = np.eye(columns, dtype=np.float32).reshape(-1)
        rows[f"SO({columns})"] = timed(stiefel(columns), first, start, 0.2, options)
    for codimension in options.codimensions:
        size = 2 * codimension
        matrix = np.random.default_rng(0).normal(size=(codimension, size)) / size**0.5
        mdf = Partial(cubic, jnp.asarray(matrix, jnp.float32))
        rows[f"cubic {codimension}"] = timed(mdf, square, np.zeros(size, np.float32), 0.3 / size**0.25, options)
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    found[options.label] = rows
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


def cubic(matrix, x):
    """A (x + x³ / 10), zero at the origin."""
    return matrix @ (x + x**3 / 10)


def first(x):
    """An energy that prefers a large first coordinate."""
    return -x[0]


def square(x):
    """Half the squared norm."""
    return 0.5 * jnp.sum(x**2)


def timed(mdf, energy, start, step, options: Options) -> dict[str, float]:
    """Sizes of F, and microseconds of a step of one chain with the seconds of compilation."""
    sampler = ConstrainedHMC(mdf, Partial(energy), step)
    run = jax.jit(advance)
    states = jax.jit(jax.vmap(sampler.init))(jnp.tile(start, (options.chains, 1)))
    began = time.perf_counter()
    states, _ = jax.block_until_ready(run(jax.random.key(0), sampler, states, options.steps))
    compiled = time.perf_counter() - began
    arguments = jax.random.key(1), sampler, states, options.steps
    seconds = seconds_of(run, *arguments, repeats=options.repeats, clock=time.process_time)
    info = run(*arguments)[1]
    acceptance = float(info.acceptance_probability.mean() / options.steps)
    sizes = {"k": jax.eval_shape(mdf, start).shape[0], "n": len(start)}
    microseconds = 1e6 * seconds / options.steps / options.chains
    return sizes | {"microseconds": microseconds, "compile": compiled, "acceptance": acceptance}


def table(found: dict[str, dict]) -> str:
    """A row a manifold: its sizes, and what a step takes by each label."""
    labels = list(found)
    lines = ["| F | k | n | " + " | ".join(f"µs, {label}" for label in labels) + " |", "|---" * (3 + len(labels)) + "|"]
    for name, row in found[labels[-1]].items():
        cells = (f"{found[label][name]['microseconds']:.2f}" if name in found[label] else "" for label in labels)
        lines.append(f"| {name} | {row['k']} | {row['n']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Options))
