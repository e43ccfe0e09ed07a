"""What a denoiser makes of images: `python -m experiments.images.denoisers --data mnist` trains one and judges it.

At several scales of noise: its spectrum, the ridge of as many dimensions as an EBIM of these images has and the ridge
of as many as the spectrum says, how far test images are from either, chains on it beside those of the EBIM, what they
end in beside the denoiser's own samples, and which images are told apart. Writes a JSON file and a picture.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from experiments.common.command import claim_file, main
from experiments.images.detection import OodOptions, kinds
from experiments.images.diffusion import (
    diffusion_samples,
    end_of,
    fallen,
    fit_denoiser,
    local_dimensions,
    log_densities,
    spectra,
)
from experiments.images.lenet import IMAGES, lenet_features, load_lenet
from experiments.images.models import chains
from experiments.images.networks import load_ebim
from experiments.images.noise import COMPONENTS, normal_noise
from experiments.images.run import ImageOptions, made_by_images, stem
from experiments.images.scales import CHAIN_TOLERANCE, Scale, Settings, settings_of
from experiments.images.zeros import on_manifold, start_on
from implicit_manifolds._loops import in_blocks
from implicit_manifolds.datasets.images import ImageData, load_images
from implicit_manifolds.manifold import DenoiserManifold
from implicit_manifolds.manifold.scaled_chord import scaled_chord
from implicit_manifolds.mcmc import ConstrainedLangevin, run
from implicit_manifolds.metrics.detection import auc
from implicit_manifolds.metrics.frechet import frechet_distance
from implicit_manifolds.metrics.precision_recall import precision_recall
from implicit_manifolds.plot.images import plot_images

NOISE = (0.05, 2.0)
"""Scales that are trained on, of pixels in [0, 1]."""
SIGMAS, WALKED = (0.1, 0.2, 0.3, 0.5), (0.3, 0.5)
"""Scales whose ridges are looked at, and those that chains walk on: below, they have so many dimensions that a step
costs a hundred products."""
SPECTRA, PROJECTED, TIMED = 16, 100, 100
"""Test images whose derivative is formed, those that are projected, and chains whose steps are timed."""
LENGTHS, MOST_ITERATIONS = (0, 5, 10, 20, 40, 80), 15
SHOWN = 20


@dataclass(frozen=True)
class DenoiserOptions:
    """data, scale, seed: which images, as of an EBIM; its widths and updates are the denoiser's, too, unless told.

    out: directory of results, and where the EBIM is. checkpoints: where a stopped training goes on from.
    """

    data: ImageData = "mnist"
    scale: Scale = "reduced"
    seed: int = 0
    updates: int | None = None
    out: Path = IMAGES
    checkpoints: Path | None = None
    replace: bool = False


def run_denoisers(options: DenoiserOptions) -> dict[str, Any]:
    """Fit, judge, draw; returns the metrics."""
    name = stem(ImageOptions(options.data, "ebim", options.scale, options.seed))
    path = path_of(options)
    claim_file(path, options.replace)
    settings, key = settings_of(options.data, options.scale), jax.random.key(options.seed)
    images, test = load_images(options.data, count=settings.images)[0], load_images(options.data, "test")[0]
    count = options.updates or settings.manifold.num_steps
    fit_key, sample_key, score_key, ridge_key, ebim_key = jax.random.split(key, 5)
    hidden = settings.hidden or (512, 512)
    resumed = {"progress": True, "checkpoint_dir": options.checkpoints}
    denoiser, history = fit_denoiser(fit_key, images, hidden, NOISE, count, **resumed)
    metrics: dict[str, Any] = {"data": options.data, "scale": options.scale, "seed": options.seed, "updates": count}
    metrics |= made_by_images() | {"fit_seconds": float(history.seconds.sum()), "loss": end_of(history)}
    own = diffusion_samples(sample_key, denoiser, images, settings.trials, NOISE[0])
    features = Features(options.data, images, test)
    metrics |= {"own": features.judged(own), "auc": told_apart(score_key, denoiser, options)}
    noise = normal_noise(images, COMPONENTS)
    metrics["rows"], shown = [], [own[:SHOWN]]
    for sigma in SIGMAS:
        row, values = spectrum_row(denoiser, test[:SPECTRA], sigma, settings.latent)
        for dimension in sorted({settings.latent, int(np.median(local_dimensions(values)))}):
            ridge = DenoiserManifold(denoiser, dimension, sigma)
            found: dict[str, Any] = row | {"dimension": dimension} | distances(ridge, test[:PROJECTED])
            if sigma in WALKED:
                report, ends = walks(ridge_key, ridge, noise, images, features, settings.trials)
                found |= report
                shown.append(ends[:SHOWN])
            print(json.dumps(found), flush=True)
            metrics["rows"].append(found)
    if (options.out / f"{name}-mdf.npz").exists():
        metrics["ebim"] = of_ebim(ebim_key, options.out / name, settings, noise, features, test)
    options.out.mkdir(parents=True, exist_ok=True)
    plot_images(np.concatenate(shown), SHOWN).savefig(path.with_suffix(".png"))
    path.write_text(json.dumps(metrics, indent=1) + "\n")
    return metrics


def path_of(options: DenoiserOptions) -> Path:
    """The file of metrics."""
    updates = "" if options.updates is None else f"-{options.updates}"
    return options.out / f"denoiser-{options.data}-{options.scale}{updates}-seed{options.seed}.json"


class Features:
    """The committed classifier's features of a data set, which samples are compared by."""

    def __init__(self, data: ImageData, train: np.ndarray, test: np.ndarray):
        self.network = load_lenet(data)
        self.train, self.test = (lenet_features(self.network, images) for images in (train, test))

    def distance(self, drawn: np.ndarray) -> float:
        """Fréchet distance from the training images, as lengths of chains are chosen by."""
        return frechet_distance(lenet_features(self.network, drawn), self.train)

    def judged(self, drawn: np.ndarray) -> dict[str, float]:
        """Fréchet distance from training images, precision and recall by as many test images."""
        of_drawn = lenet_features(self.network, drawn)
        near = precision_recall(of_drawn, self.test[: len(drawn)])
        distance = frechet_distance(of_drawn, self.train)
        return {"frechet": distance, "precision": near.precision, "recall": near.recall}


def spectrum_row(denoiser, points: np.ndarray, sigma: float, latent: int) -> tuple[dict[str, Any], np.ndarray]:
    """What the spectrum at a scale is like, by means over points (N, n), and the eigenvalues themselves."""
    values, asymmetry = spectra(denoiser, points, sigma)
    means = values.mean(axis=0)
    named = {"largest": means[0], "last": means[latent - 1], "next": means[latent]}
    row = {"sigma": sigma, "local_dimension": float(np.median(local_dimensions(values)))}
    return row | {f"λ {name}": float(value) for name, value in named.items()} | {
        "asymmetry": float(asymmetry.mean())
    }, values


def distances(manifold, points: np.ndarray) -> dict[str, float]:
    """How far points (N, n) are from where they are projected to, and how many are not."""
    zeros, reached = on_manifold(manifold, points, CHAIN_TOLERANCE)
    lost = {"lost": float(1 - reached.mean())}
    if not reached.any():
        return lost
    return lost | {"distance": float(np.linalg.norm(zeros - points, axis=1).mean(where=reached))}


def walks(key, ridge: DenoiserManifold, noise, images, features: Features, count: int):
    """Chains on a ridge under the denoiser's own density, from the better of two kinds of starts; and their ends.

    Starts are from normal laws straight onto the ridge, or along the flow of falling noise before; after the steps of
    LENGTHS their Fréchet distances from the training images, and of the best precision and recall.
    """
    start_key, fall_key, chain_key = jax.random.split(key, 3)
    kinds_of_starts = {
        "normal laws": noise(start_key, count),
        "annealed": fallen(fall_key, ridge.denoiser, normal_noise(images), count, float(ridge.sigma)),
    }
    found: dict[str, Any] = {"starts": {}, "starts_lost": {}}
    zeros = {}
    for name, points in kinds_of_starts.items():
        ends, reached = on_manifold(ridge, points, CHAIN_TOLERANCE)
        zeros[name] = ends[reached]
        found["starts_lost"][name] = float(1 - reached.mean())
        if reached.mean() > 0.5:
            found["starts"][name] = features.distance(zeros[name])
    if not found["starts"]:
        return found, np.empty((0, images.shape[1]), np.float32)
    best = min(found["starts"], key=lambda name: found["starts"][name])
    sampler = ConstrainedLangevin(
        ridge,
        Partial(own_energy, ridge),
        float(ridge.sigma),
        solver=scaled_chord,
        tolerance=CHAIN_TOLERANCE,
        max_iterations=MOST_ITERATIONS,
    )
    report, ends = followed(chain_key, sampler, zeros[best], features)
    return found | report, ends


def followed(key, sampler, starts: np.ndarray, features: Features) -> tuple[dict[str, Any], np.ndarray]:
    """Chains by their length, what those of the best length are worth, what a step costs; and their ends."""
    by_length = {0: starts} | walked(key, sampler, starts)
    tried = {steps: features.distance(ends) for steps, ends in by_length.items()}
    chosen = min(tried, key=lambda steps: tried[steps])
    found: dict[str, Any] = {"tried": {str(steps): distance for steps, distance in tried.items()}, "steps": chosen}
    return found | features.judged(by_length[chosen]) | timed(sampler, starts[:TIMED]), by_length[chosen]


def walked(key, sampler, starts: np.ndarray) -> dict[int, np.ndarray]:
    """Where chains are, after the numbers of steps of LENGTHS."""
    every = LENGTHS[1]
    found = run(key, sampler, starts, LENGTHS[-1] // every, every, chunk_size=1)  # the rest are its multiples
    return {steps: found.positions[steps // every - 1] for steps in LENGTHS[1:]}


def own_energy(ridge: DenoiserManifold, x):
    """Its gradient is (x - D(x, σ)) / σ², -∇ log p_σ; its value means nothing: a network's x - D is no gradient."""
    return x @ jax.lax.stop_gradient(ridge.field(x)) / ridge.sigma**2


def timed(sampler, starts: np.ndarray) -> dict[str, float]:
    """CPU milliseconds of a step of one of many chains, compiling left out, and what became of the steps."""
    run(jax.random.key(1), sampler, starts, 1, chunk_size=1)
    started = time.process_time()
    found = run(jax.random.key(2), sampler, starts, LENGTHS[1], chunk_size=1)
    taken = time.process_time() - started
    return {
        "ms_a_step": 1e3 * taken / LENGTHS[1] / len(starts),
        "iterations": float(found.info.iterations.mean()),
        "accepted": float(found.info.reason[..., 0].mean()),
    }


def of_ebim(key, path: Path, settings: Settings, noise, features: Features, test: np.ndarray) -> dict[str, Any]:
    """An EBIM by the same measures, on as many chains, in the same process."""
    mdf, energy = load_ebim(path, settings)
    start_key, chain_key = jax.random.split(key)
    starts, _ = start_on(mdf, noise, start_key, settings.trials)
    sampler = chains(mdf, starts[:1], settings).sampler(energy)
    return distances(mdf, test[:PROJECTED]) | followed(chain_key, sampler, starts, features)[0]


def told_apart(key, denoiser, options: DenoiserOptions) -> dict[str, dict[str, float]]:
    """AUC against other images: of -log p at the least noise, and of ‖x - D(x, σ)‖ at every σ."""
    count = SPECTRA if options.scale == "smoke" else 500
    inside, *others = kinds(OodOptions(options.data, options.scale, options.seed, count=count))

    def scores(points):
        by_scale = {f"‖x - D‖, σ = {sigma:g}": _residuals(denoiser, points, sigma) for sigma in SIGMAS}
        return {"-log p": -log_densities(key, denoiser, points, NOISE[0])} | by_scale

    typical = scores(inside[1])
    return {
        name: {score: auc(typical[score], values) for score, values in scores(points).items()}
        for name, points in others
    }


def _residuals(denoiser, points, sigma):
    return in_blocks(lambda rows: _norms(denoiser, rows, sigma), np.ascontiguousarray(points), 250)


@jax.jit
def _norms(denoiser, rows, sigma):
    return jax.vmap(lambda x: jnp.linalg.norm(x - denoiser(x, sigma)))(rows)


if __name__ == "__main__":
    main(run_denoisers, DenoiserOptions)
