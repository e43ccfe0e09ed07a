"""Volume in codimension two by two estimators: charts (affine subspaces along normals), and the coarea formula.

Coarea: points x of a mixture q of Gaussians about points of M, weighted by φ_σ(F(x)) √det G(x) / q(x), φ_σ a Gaussian
kernel in R^k; its bias goes with σ². Both know the same points of M. Error over repeats, bias, and the error that one
second of CPU would leave: less is better. Compilation is not in the timings.
"""

import json
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from scipy.integrate import quad
from scipy.spatial import KDTree

from implicit_manifolds import Box, Manifold
from implicit_manifolds.manifold.analytic import circle_in_space, clifford_torus, torus_point, trefoil
from implicit_manifolds.volumes.atlas import draw_pool
from implicit_manifolds.volumes.cover import cover
from implicit_manifolds.volumes.pools import volume

SPREAD = 3.0  # of the Gaussians about points of M, in kernel widths σ / ‖J‖


@dataclass(frozen=True)
class Options:
    """Options of the benchmark.

    out: JSON file to write. draws: of each estimate. repeats: estimates of each row. widths: σ of the coarea kernel.
    """

    out: Path = Path("runs/volume.json")
    draws: int = 20_000
    repeats: int = 20
    widths: tuple[float, ...] = (0.3, 0.1, 0.03)


def cases():
    """Name: F, half-widths of the box, points of M, volume."""
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, (2, 3000))
    circle = 1.5 * np.column_stack([np.cos(angle[0]), np.sin(angle[0]), 0 * angle[0]])
    knot = np.asarray(torus_point(2 * angle[0], 3 * angle[0], 2.0, 1.0))
    flat = np.column_stack([np.cos(angle[0]), np.sin(angle[0]), 0.5 * np.cos(angle[1]), 0.5 * np.sin(angle[1])])
    length = quad(lambda t: math.sqrt(4 * (2 + math.cos(3 * t)) ** 2 + 9), 0, 2 * math.pi)[0]
    return {
        "circle in R³": (circle_in_space(1.5), (2.0, 2.0, 2.0), circle, 3 * math.pi),
        "trefoil": (trefoil(), (3.5, 3.5, 1.5), knot, length),
        "flat torus in R⁴": (clifford_torus(1.0, 0.5), (1.4, 1.4, 0.9, 0.9), flat, 2 * math.pi**2),
    }


def coarea(random, mdf, seen, width: float, count: int) -> float:
    """The coarea estimate of the volume of M from Gaussians about its points `seen` (N, n)."""
    centres = seen[:500]
    spread = SPREAD * width / float(np.median(_slopes(mdf, centres)))
    # Gaussians at least as wide as the gaps between points of M, or its density there would be uneven.
    spread = max(spread, float(np.median(KDTree(centres).query(centres, k=5)[0][:, -1])))
    points = centres[random.integers(len(centres), size=count)] + spread * random.normal(size=(count, seen.shape[1]))
    weights = np.asarray(_coarea_weights(mdf, jnp.asarray(points, jnp.float32), width), np.float64)
    density = np.zeros(count)
    for start in range(0, count, 2000):
        block = slice(start, start + 2000)
        squared = ((points[block, None] - centres) ** 2).sum(axis=2)
        density[block] = np.exp(-squared / (2 * spread**2)).mean(axis=1) / (2 * np.pi * spread**2) ** (
            seen.shape[1] / 2
        )
    return float((weights / density).mean())


@jax.jit
def _slopes(mdf, points):
    return jax.vmap(lambda x: jnp.linalg.norm(jax.jacrev(mdf)(x)))(points)


@jax.jit
def _coarea_weights(mdf, points, width):
    def one(x):
        residual, jacobian = mdf(x), jax.jacrev(mdf)(x)
        kernel = jnp.exp(-jnp.sum(residual**2) / (2 * width**2)) / (2 * jnp.pi * width**2) ** (residual.size / 2)
        return kernel * jnp.sqrt(jnp.linalg.det(jacobian @ jacobian.T))

    return jax.vmap(one)(points)


def by_charts(manifold: Manifold, draws: int, seed: int) -> float:
    """The volume from so many draws of charts."""
    return volume(draw_pool(jax.random.key(seed), manifold, draws)).value


def main(options: Options) -> None:
    """Time every row, print the table, write the JSON."""
    rows = []
    for name, (mdf, half, seen, exact) in cases().items():
        seen = seen.astype(np.float32)
        manifold = cover(jax.random.key(0), Manifold(mdf, Box(-jnp.asarray(half), jnp.asarray(half))), seen)
        estimators: dict[str, Any] = {"charts": partial(by_charts, manifold, options.draws)}
        for width in options.widths:
            estimators[f"coarea, σ = {width}"] = lambda i, f=mdf, s=seen, w=width: coarea(
                np.random.default_rng(i), f, s, w, options.draws
            )
        for label, estimate in estimators.items():
            estimate(0)
            started = time.process_time()
            values = np.array([estimate(i) for i in range(options.repeats)]) / exact - 1
            seconds = (time.process_time() - started) / options.repeats
            rows.append({
                "manifold": name, "estimator": label, "bias": float(values.mean()), "spread": float(values.std(ddof=1)),
                "cpu_seconds": seconds, "error_of_a_second": float(np.sqrt((values**2).mean() * seconds)),
            })  # fmt: skip
    print(f"{'manifold':>18} {'estimator':>18} {'bias':>9} {'spread':>8} {'CPU s':>7} {'error in 1 s':>12}")
    for row in rows:
        print(f"{row['manifold']:>18} {row['estimator']:>18} {row['bias']:9.2%} {row['spread']:8.2%} "
              f"{row['cpu_seconds']:7.3f} {row['error_of_a_second']:12.2%}")  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
