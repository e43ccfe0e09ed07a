"""Chains on a manifold of images: `python -m experiments.images.chains --data mnist --scale reduced`.

Takes an EBIM that `python -m experiments.images` wrote, lets chains walk from fresh starts by each solver and step
length, reports what became of their steps, and draws some of the longest walks.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.common.command import main
from experiments.images.lenet import IMAGES
from experiments.images.models import chains
from experiments.images.networks import load_ebim
from experiments.images.noise import COMPONENTS, normal_noise
from experiments.images.run import ImageOptions, made_by_images, stem
from experiments.images.scales import TOLERANCE, Scale, settings_of
from experiments.images.zeros import residuals, start_on
from implicit_manifolds.datasets.images import ImageData, load_images
from implicit_manifolds.manifold.paper_multipliers import gradient_descent
from implicit_manifolds.manifold.scaled_chord import scaled_chord
from implicit_manifolds.mcmc import run
from implicit_manifolds.mcmc.constrained_langevin import ROUGHLY
from implicit_manifolds.plot.images import plot_images

SOLVERS = {"scaled chord": scaled_chord, "gradient descent": gradient_descent}
FRAMES = 20


@dataclass(frozen=True)
class ChainOptions:
    """data, scale, seed: of the EBIM. runs: where it is, and where results go. walkers, steps: chains and their length.

    noise_scales: step lengths ε.
    """

    data: ImageData = "mnist"
    scale: Scale = "reduced"
    seed: int = 0
    runs: Path = IMAGES
    walkers: int = 64
    steps: int = 100
    noise_scales: tuple[float, ...] = (0.05, 0.1, 0.28)


def run_chains(options: ChainOptions) -> list[dict[str, Any]]:
    """A line for each solver and step length, written to a JSON file beside the model's, and the picture."""
    settings = settings_of(options.data, options.scale)
    name = stem(ImageOptions(options.data, "ebim", options.scale, options.seed))
    mdf, energy = load_ebim(options.runs / name, settings)
    noise = normal_noise(load_images(options.data, count=settings.images)[0], COMPONENTS)
    starts, _ = start_on(mdf, noise, jax.random.key(options.seed), options.walkers)
    walks: Any = chains(mdf, starts, settings).sampler(energy)
    every, lines = max(1, options.steps // (FRAMES - 1)), []
    for solver, scale in [(solver, scale) for solver in SOLVERS for scale in options.noise_scales]:
        sampler = replace(
            walks,
            noise_scale=scale,
            solver=SOLVERS[solver],
            tolerance=TOLERANCE,
            max_iterations=None,
            tangent_tolerance=None if solver == "gradient descent" else ROUGHLY,
        )
        run(jax.random.key(1), sampler, starts, 1, chunk_size=1)
        started = time.perf_counter()
        found = run(jax.random.key(1), sampler, starts, options.steps, chunk_size=1)
        seconds = time.perf_counter() - started
        shares = found.info.reason.mean(axis=0)
        line: dict[str, Any] = {"data": options.data, "scale": options.scale, **made_by_images()}
        line |= {"solver": solver, "noise_scale": scale}
        line |= {"accepted": float(shares[0]), "not_converged": float(shares[2])}
        line |= {"iterations": float(found.info.iterations.mean())}
        line |= {"residual_max": float(residuals(mdf, found.positions[-1]).max())}
        line |= {"moved": float(np.linalg.norm(found.positions[-1] - starts, axis=1).mean())}
        line |= {"milliseconds_a_step": 1e3 * seconds / options.steps}
        print(json.dumps(line), flush=True)
        lines.append(line)
        if solver == "scaled chord":
            frames = np.concatenate([starts[None], found.positions[every - 1 :: every]])[:FRAMES, :6]
    walked = frames.swapaxes(0, 1).reshape(-1, frames.shape[-1])
    plot_images(walked, frames.shape[0]).savefig(options.runs / f"{name}-chains.png")
    (options.runs / f"{name}-chains.json").write_text(json.dumps(lines, indent=1) + "\n")
    return lines


if __name__ == "__main__":
    main(run_chains, ChainOptions)
