"""Cost of one constrained HMC step against dimension and codimension, dense Gram solves against conjugate gradients.

F(x) = A (x + x³/10) - b with a fixed k x n matrix A of independent normal entries: one evaluation costs 2 k n flops, so
what grows faster is the sampler's own. Medians over repeats, one leapfrog step with the reversibility check.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import tyro

from implicit_manifolds.manifold import tangent
from implicit_manifolds.mcmc import ConstrainedHMC, Reason
from implicit_manifolds.mcmc.chains import advance

STEP = 0.3


@dataclass(frozen=True)
class Options:
    """Options of the benchmark: JSON and figure to write, dimensions, codimensions, chains, steps, repeats."""

    out: Path = Path("runs/sampler_scaling.json")
    figure: Path = Path("runs/sampler_scaling.png")
    dimensions: tuple[int, ...] = (64, 256)
    codimensions: tuple[int, ...] = (1, 8, 32, 128)
    chains: int = 32
    steps: int = 5
    repeats: int = 3


def main(options: Options) -> None:
    """Time all sizes, print the table, write JSON and figure."""
    rows = []
    print(f"{'n':>5} {'k':>4} {'Gram':>6} {'ms/step':>9} {'accepted':>8}")
    for dimension in options.dimensions:
        for codimension in options.codimensions:
            if 2 * codimension > dimension:
                continue
            for gram, limit in (("dense", dimension), ("cg", 0)):
                seconds, accepted = step_seconds(dimension, codimension, limit, options)
                rows.append({"dimension": dimension, "codimension": codimension, "gram": gram,
                             "seconds": seconds, "chains": options.chains, "accepted": accepted})  # fmt: skip
                print(f"{dimension:5d} {codimension:4d} {gram:>6} {1e3 * seconds:9.2f} {accepted:8.2f}", flush=True)
    for path in (options.out, options.figure):
        path.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, options)


def step_seconds(dimension: int, codimension: int, limit: int, options: Options) -> tuple[float, float]:
    """Median seconds of a step of all chains, and the share accepted, with dense Gram matrices up to `limit`."""
    rng = np.random.default_rng(0)
    matrix = jnp.asarray(rng.normal(size=(codimension, dimension)) / dimension**0.5, jnp.float32)
    starts = jnp.asarray(rng.normal(size=(options.chains, dimension)), jnp.float32)
    mdf = jax.tree_util.Partial(cubic, matrix)
    sampler = ConstrainedHMC(mdf, jax.tree_util.Partial(half_square), STEP / dimension**0.25)
    held, tangent.DENSE_MAX_CODIMENSION = tangent.DENSE_MAX_CODIMENSION, limit
    try:
        starts = jax.jit(jax.vmap(lambda mdf, x: nearby(mdf, x), (None, 0)))(mdf, starts)
        run = jax.jit(advance)
        states = jax.vmap(sampler.init)(starts)
        states, _ = jax.block_until_ready(run(jax.random.key(0), sampler, states, options.steps))
        times = []
        for repeat in range(options.repeats):
            begin = time.perf_counter()
            _, info = jax.block_until_ready(run(jax.random.key(1 + repeat), sampler, states, options.steps))
            times.append((time.perf_counter() - begin) / options.steps)
    finally:
        tangent.DENSE_MAX_CODIMENSION = held
    return float(np.median(times)), float(info.reason[:, Reason.ACCEPTED].mean() / options.steps)


def nearby(mdf, x):
    """A zero of F near x."""
    from implicit_manifolds.manifold.projection import project

    return project(mdf, x).position


def cubic(matrix, x):
    """F(x) = A (x + x³/10) - 1/2, (n,) -> (k,)."""
    return matrix @ (x + 0.1 * x**3) - 0.5


def half_square(x):
    """E(x) = ‖x‖²/2."""
    return 0.5 * jnp.sum(x**2)


def draw(rows: list[dict], options: Options) -> None:
    """Milliseconds a step against codimension, a line for each dimension and kind of solve."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for colour, dimension in enumerate(options.dimensions):
        for gram, style in (("dense", "-"), ("cg", "--")):
            chosen = [row for row in rows if row["dimension"] == dimension and row["gram"] == gram]
            axes.loglog(
                [row["codimension"] for row in chosen],
                [1e3 * row["seconds"] for row in chosen],
                style,
                marker="o",
                markersize=4,
                color=f"C{colour}",
                label=f"n = {dimension}, {'dense' if gram == 'dense' else 'conjugate gradients'}",
            )
    axes.axvline(tangent.DENSE_MAX_CODIMENSION, color="0.6", linewidth=1, label="the library changes over")
    axes.set_xlabel("codimension k")
    axes.set_ylabel(f"milliseconds a step of {options.chains} chains")
    axes.set_xticks(options.codimensions, [str(k) for k in options.codimensions])
    axes.legend(fontsize=7, ncols=2)
    figure.savefig(options.figure, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main(tyro.cli(Options))
