"""Manifolds of images that are known, learned by a denoiser: `python -m experiments.images.known --family lines`.

Judged by distances from the true manifold, angles between tangents, the number of large eigenvalues, the law of chains
without an energy, which should be uniform by volume, and whether it can be oriented. Writes a JSON file and a picture.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.spatial import KDTree
from scipy.stats import ks_2samp

from experiments.common.command import claim_file, main
from experiments.images.diffusion import LARGE, end_of, fit_denoiser
from experiments.images.families import FAMILIES, Family, Name, images_of, nearest_parameters, true_tangents
from experiments.images.lenet import IMAGES
from experiments.images.run import made_by_images
from experiments.images.scales import CHAIN_TOLERANCE
from experiments.images.zeros import BLOCK, on_manifold
from implicit_manifolds._loops import in_blocks
from implicit_manifolds.certificate.orientation import two_sided
from implicit_manifolds.manifold import DenoiserManifold
from implicit_manifolds.manifold.scaled_chord import scaled_chord
from implicit_manifolds.mcmc import ConstrainedLangevin, run
from implicit_manifolds.plot import plot_images

NOISE = (0.05, 0.3)
"""Scales that are trained on, of pixels in [0, 1]; the manifold is that of SIGMA."""
SIGMA = 0.1
REACHED = 2000
"""Training images whose zeros tell how large ‖x - D(x)‖ is on the manifold: where it is larger, chains would go on
over an edge to what is no image of the family."""
NOISE_SCALE = 0.6
"""An eighth of the radius of curvature of lines that are moved, and a quarter of that of one blob: ‖image‖ / √3 for
normal profiles."""
MOST_ITERATIONS = 15
"""All chains wait for one that asks for more, as those do that would leave over an edge."""
EDGE = 0.9
"""Laws are compared as far from an edge as this, in units of the offset there."""
EXACT = 100_000
"""Parameters that the laws to compare with are made of."""
CARRIERS, NEAREST = 1500, 6
"""Points whose tangents tell whether the manifold can be oriented, and neighbours that each is compared with."""


@dataclass(frozen=True)
class KnownOptions:
    """family, seed: what to learn. out: directory of results. images, updates: of the denoiser.

    walkers, steps, thinning: chains, their length, and steps between those of their points that are looked at.
    """

    family: Name = "blobs"
    seed: int = 0
    out: Path = IMAGES
    images: int = 20_000
    updates: int = 12_000
    hidden: tuple[int, ...] = (512, 512, 512)
    walkers: int = 600
    steps: int = 2000
    thinning: int = 20
    replace: bool = False


def run_known(options: KnownOptions) -> dict[str, Any]:
    """Fit, walk, judge, draw; returns the metrics."""
    path = options.out / f"known-{options.family}-seed{options.seed}.json"
    claim_file(path, options.replace)
    family, random = FAMILIES[options.family], np.random.default_rng(options.seed)
    images = images_of(family, family.draw(random, options.images))
    started = time.process_time()
    manifold, error = fit_known(jax.random.key(options.seed), images, family.dimension, options)
    metrics: dict[str, Any] = {"family": options.family, "seed": options.seed, **made_by_images(), "loss": error}
    metrics["reach"] = float(manifold.reach)
    metrics["fit_cpu_seconds"] = time.process_time() - started
    test = images_of(family, family.draw(random, options.walkers))
    zeros, reached = on_manifold(manifold, test)
    metrics["not_converged"] = float(1 - reached.mean())
    starts = zeros[reached]
    if metrics["not_converged"] > 0.5:
        raise ArithmeticError(f"{metrics['not_converged']:.0%} of the images lead to no zero; train longer")
    metrics |= judged_at(family, manifold, starts)
    started = time.process_time()
    energy = Partial(lambda x: 0.0 * x[0])
    sampler = ConstrainedLangevin(
        manifold,
        energy,
        NOISE_SCALE,
        solver=scaled_chord,
        tolerance=CHAIN_TOLERANCE,
        max_iterations=MOST_ITERATIONS,
    )
    samples = options.steps // options.thinning
    found = run(jax.random.key(options.seed), sampler, starts, samples, thinning=options.thinning)
    metrics["cpu_milliseconds_a_step"] = 1e3 * (time.process_time() - started) / found.num_steps / len(starts)
    metrics["accepted"] = float(found.info.reason[..., 0].mean())
    walked = found.positions[len(found.positions) // 4 :].reshape(-1, images.shape[1])
    metrics |= law_of(family, walked, random)
    metrics["orientable"] = is_orientable(manifold, walked)
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metrics, indent=1) + "\n")
    frames = found.positions[:: max(1, len(found.positions) // 20), :4].swapaxes(0, 1)
    plot_images(frames.reshape(-1, images.shape[1]), frames.shape[1]).savefig(path.with_suffix(".png"))
    print(json.dumps(metrics, indent=1))
    return metrics


def fit_known(key, images: np.ndarray, dimension: int, options: KnownOptions) -> tuple[DenoiserManifold, float]:
    """The manifold of a denoiser of these images, and its loss at the end."""
    denoiser, history = fit_denoiser(key, images, options.hidden, NOISE, options.updates, progress=True)
    endless = DenoiserManifold(denoiser, dimension, SIGMA)
    zeros, reached = on_manifold(endless, images[:REACHED])
    reach = float(_sizes(endless, zeros[reached]).max())
    return replace(endless, reach=reach), end_of(history)


def judged_at(family: Family, manifold, points: np.ndarray) -> dict[str, float]:
    """How far zeros (N, n) are from the truth, their tangents from its own, and how many eigenvalues are large."""
    truth = nearest_parameters(family, points)
    _, basis, eigenvalues = in_blocks(lambda rows: _spectra(manifold, rows), points, BLOCK)
    tangents = true_tangents(family, truth)[0]
    cosines = np.linalg.svd(basis[:, :, :-1].swapaxes(1, 2) @ tangents, compute_uv=False)[:, -1]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    right = (eigenvalues[:, -2] > LARGE) & (eigenvalues[:, -1] < LARGE)
    return {
        "size_of_images": float(np.linalg.norm(points, axis=1).mean()),
        **_quantiles("distance", np.linalg.norm(points - images_of(family, truth), axis=1)),
        **_quantiles("tangent_degrees", angles),
        "least_tangent_eigenvalue": float(eigenvalues[:, -2].min()),
        "largest_normal_eigenvalue": float(eigenvalues[:, -1].max()),
        "right_dimension": float(right.mean()),
    }


def law_of(family: Family, walked: np.ndarray, random) -> dict[str, Any]:
    """Kolmogorov-Smirnov distances of ends of chains (N, n) from laws that are uniform by volume."""
    parameters = nearest_parameters(family, walked)
    drawn = family.draw(random, EXACT)
    weights = true_tangents(family, drawn)[1]
    drawn = drawn[random.choice(len(drawn), len(drawn), p=weights / weights.sum())]
    inside = [_inside(family.statistics(rows)) for rows in (parameters, drawn)]
    far = np.linalg.norm(walked - images_of(family, parameters), axis=1)
    laws = zip(
        *(family.statistics(rows[keep]).items() for rows, keep in zip((parameters, drawn), inside, strict=True)),
        strict=True,
    )
    distances = {name: float(ks_2samp(values, exact).statistic) for (name, values), (_, exact) in laws}
    return {"ks": distances, "walked": len(walked), "beyond_edge": float(1 - inside[0].mean())} | _quantiles(
        "chain_distance", far[inside[0]]
    )


def is_orientable(manifold, points: np.ndarray) -> bool:
    """Whether tangents at some of the points can be turned alike along all pairs of near ones."""
    some = points[np.random.default_rng(0).permutation(len(points))[:CARRIERS]]
    basis = in_blocks(lambda rows: _spectra(manifold, rows), some, BLOCK)[1][:, :, :-1]
    other = KDTree(some).query(some, NEAREST + 1)[1][:, 1:].ravel()
    base = np.repeat(np.arange(len(some)), NEAREST)
    turned = np.linalg.det(basis[base].swapaxes(1, 2) @ basis[other]) < 0
    return bool(two_sided(base, other, turned, np.zeros(len(some), int))[0])


def _inside(statistics: dict[str, np.ndarray]) -> np.ndarray:
    one = next(iter(statistics.values()))
    return statistics["offset"] <= EDGE if "offset" in statistics else np.ones(len(one), bool)


def _quantiles(name: str, values: np.ndarray) -> dict[str, float]:
    return {name: float(values.mean()), f"{name}_95": float(np.quantile(values, 0.95))}


@jax.jit
def _sizes(manifold, points):
    return jnp.linalg.norm(jax.vmap(manifold.field)(points), axis=1)


@jax.jit
def _spectra(manifold, points):
    return jax.vmap(manifold.spectrum)(points)


if __name__ == "__main__":
    main(run_known, KnownOptions)
