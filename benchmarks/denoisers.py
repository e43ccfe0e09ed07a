"""A chain step on the manifold of a denoiser, by the numbers of coordinates and of dimensions: time and memory.

The denoiser is a tenth of a perceptron of two hidden layers, not trained, beside the projection to the first m axes, so
that its derivative has m eigenvalues near 1. CPU milliseconds of one `ConstrainedLangevin` step of one chain,
medians over repeats, compilation apart; memory is what XLA sets aside for the step beside its arguments.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import tyro
from flax import nnx
from jax.tree_util import Partial

from benchmarks.timing import seconds_of
from implicit_manifolds.manifold import DenoiserManifold
from implicit_manifolds.manifold.scaled_chord import scaled_chord
from implicit_manifolds.mcmc import ConstrainedLangevin
from implicit_manifolds.networks.mlp import MLP


@dataclass(frozen=True)
class Options:
    """Options of the benchmark: JSON to write, chains, width of the perceptron, repeats, sizes."""

    out: Path = Path("runs/denoisers.json")
    chains: int = 16
    width: int = 512
    repeats: int = 7
    coordinates: tuple[int, ...] = (192, 384, 768, 1536, 3072)
    dimensions: tuple[int, ...] = (4, 8, 16, 32, 64)
    usual: tuple[int, int] = (768, 16)  # the other number, while one varies


def main(options: Options) -> None:
    """Time all sizes, print the table, write the JSON."""
    sizes = [(n, options.usual[1]) for n in options.coordinates] + [(options.usual[0], m) for m in options.dimensions]
    print(f"{'n':>6} {'m':>4} {'ms a step':>10} {'MiB':>7} {'iterations':>10}")
    rows = []
    for n, m in dict.fromkeys(sizes):
        found = timed(n, m, options)
        rows.append({"n": n, "m": m, **found})
        print(f"{n:6d} {m:4d} {found['ms']:10.3f} {found['mib']:7.2f} {found['iterations']:10.1f}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


def denoised(network: MLP, plane: jax.Array, x: jax.Array, sigma: float) -> jax.Array:
    """What of x lies in the plane, and something more."""
    return plane * x + 0.1 * network(x)


def timed(n: int, m: int, options: Options) -> dict[str, float]:
    """Milliseconds and MiB of a step of one chain, and iterations of its solve."""
    network, plane = MLP([n, options.width, options.width, n], rngs=nnx.Rngs(0)), jnp.zeros(n).at[:m].set(1.0)
    manifold = DenoiserManifold(Partial(denoised, network, plane), m, 0.1)
    energy = Partial(lambda x: 0.5 * jnp.sum(x[:3] ** 2))
    sampler = ConstrainedLangevin(manifold, energy, 0.05, solver=scaled_chord, tolerance=1e-3)
    keys = jax.random.split(jax.random.key(0), options.chains)
    starts = 0.1 * jax.random.normal(jax.random.key(1), (options.chains, n))
    states = jax.jit(jax.vmap(sampler.init))(starts)
    step = jax.jit(jax.vmap(sampler.step))
    compiled = step.lower(keys, states).compile()
    memory = compiled.memory_analysis()
    assert memory is not None, "this backend does not tell what memory a program takes"
    seconds = seconds_of(compiled, keys, states, repeats=options.repeats, clock=time.process_time)
    return {
        "ms": 1e3 * seconds / options.chains,
        "mib": memory.temp_size_in_bytes / 2**20 / options.chains,
        "iterations": float(compiled(keys, states)[1].iterations.mean()),
    }


if __name__ == "__main__":
    main(tyro.cli(Options))
