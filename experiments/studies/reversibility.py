"""Uniform area on a torus by long steps, with and without the reversibility check: the figure of docs/sampling.md."""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import tyro

from implicit_manifolds.manifold.analytic import torus, torus_point
from implicit_manifolds.mcmc import ConstrainedHMC, run

RADIUS, TUBE, STEP_SIZE = 1.0, 0.5, 0.5


@dataclass(frozen=True)
class Options:
    """Options: the picture to write, chains, steps of each, seed."""

    out: Path = Path("runs/reversibility.png")
    chains: int = 100_000
    steps: int = 100
    seed: int = 0


def main(options: Options) -> None:
    """Sample twice, print the mean of cos ψ, draw."""
    angles = np.random.default_rng(options.seed).uniform(-np.pi, np.pi, size=(2, options.chains))
    starts = torus_point(angles[0], angles[1], RADIUS, TUBE)
    tubes = {}
    for name, tolerance in (("with the check", None), ("without", jnp.inf)):
        sampler = ConstrainedHMC(
            torus(RADIUS, TUBE), jax.tree_util.Partial(flat), STEP_SIZE, reverse_tolerance=tolerance
        )
        chains = run(jax.random.key(options.seed), sampler, starts, 1, options.steps)
        last = chains.positions[0]
        tubes[name] = np.arctan2(last[:, 2], np.hypot(last[:, 0], last[:, 1]) - RADIUS)
        cosine = np.cos(tubes[name])
        print(f"{name}: mean cos ψ {cosine.mean():.4f} ± {cosine.std() / options.chains**0.5:.4f}, exact 0.25")
        if tolerance is None:
            points = last[:4000]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    draw(points, tubes, options.out)


def flat(x):
    """E = 0: uniform by area."""
    return jnp.zeros((), x.dtype)


def draw(points: np.ndarray, tubes: dict, out: Path) -> None:
    """Draws on the torus (N, 3), and densities of the tube angle beside the exact one."""
    figure = plt.figure(figsize=(9, 3.8), layout="constrained")
    solid = figure.add_subplot(1, 2, 1, projection="3d")
    solid.scatter(*points.T, c=points[:, 2], s=2, cmap="viridis", linewidths=0)
    solid.set_box_aspect((1, 1, 1 / 3), zoom=1.35)
    solid.set_axis_off()
    solid.set_title("4,000 draws, uniform by area")
    plane = figure.add_subplot(1, 2, 2)
    for (name, tube), colour in zip(tubes.items(), ("C0", "C3"), strict=True):
        plane.hist(tube, bins=60, density=True, histtype="step", color=colour, label=f"{name}, step size {STEP_SIZE}")
    angle = np.linspace(-np.pi, np.pi, 400)
    plane.plot(angle, (RADIUS + TUBE * np.cos(angle)) / (2 * np.pi * RADIUS), "k--", linewidth=1, label="exact")
    plane.set_xlabel("tube angle ψ (0 is the outer equator)")
    plane.set_ylabel("density")
    plane.set_xlim(-np.pi, np.pi)
    plane.set_ylim(0, None)
    plane.legend(loc="lower center", fontsize=8)
    figure.savefig(out, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main(tyro.cli(Options))
