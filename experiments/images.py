"""Manifolds of images: `python -m experiments.images --data mnist --model ebim --scale reduced` fits, samples, judges.

All models get the same images and are judged alike, on fresh samples. Writes a JSON file of metrics, pictures and the
trained parameters.
"""

import json
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cells import sources
from experiments.common import claim_file, main
from experiments.image_models import Drawn, ImageModel, Model, fit_image_model, on_manifold, residuals
from experiments.image_scales import SETTINGS, Scale, Settings
from experiments.lenet import IMAGES, lenet_features, load_lenet
from implicit_manifolds.datasets.images import ImageData, load_images
from implicit_manifolds.manifold.tangent import linearize, tangent_projection
from implicit_manifolds.metrics.frechet import frechet_distance
from implicit_manifolds.metrics.precision_recall import precision_recall
from implicit_manifolds.plot import plot_history
from implicit_manifolds.plot.images import plot_images
from implicit_manifolds.training.checkpoint import flatten

SPECTRA = 8
"""Test images whose Jacobian is formed for its singular values."""
SHOWN = 20


@dataclass(frozen=True)
class ImageOptions:
    """data, model, scale, seed: what to run. out: directory of results. checkpoints: where a run goes on from.

    replace: results of an earlier run of the same may be replaced.
    """

    data: ImageData = "mnist"
    model: Model = "ebim"
    scale: Scale = "reduced"
    seed: int = 0
    out: Path = IMAGES
    checkpoints: Path | None = None
    replace: bool = False


def stem(options: ImageOptions) -> str:
    """What the names of all files of a run begin with."""
    return f"{options.data}-{options.model}-{options.scale}-seed{options.seed}"


def run_images(options: ImageOptions) -> dict[str, Any]:
    """Fit, sample, judge, draw; returns the metrics."""
    path = options.out / f"{stem(options)}.json"
    claim_file(path, options.replace)
    settings, key = SETTINGS[options.scale], jax.random.key(options.seed)
    images = load_images(options.data)[0][: settings.images]
    test = load_images(options.data, "test")[0]
    started = time.perf_counter()
    model = fit_image_model(options.model, key, images, settings, options.checkpoints, progress=True)
    fitted = time.perf_counter()
    drawn = model.draw(jax.random.fold_in(key, 1), settings.samples)
    ended = time.perf_counter()
    metrics: dict[str, Any] = {"data": options.data, "model": options.model, "scale": options.scale}
    metrics |= {"seed": options.seed, "version": version("implicit-manifolds"), "sources": sources()}
    metrics |= {"device": jax.devices()[0].device_kind, "fit_seconds": fitted - started}
    metrics |= {"sample_seconds": ended - fitted, "samples": len(drawn.images)}
    metrics |= {
        f"{step}_{term}": _ends(values)
        for step, history in model.histories.items()
        for term, values in history.terms.items()
    }
    metrics |= drawn.report | judged(drawn, images, test, options.data)
    if model.mdf is not None:
        metrics |= judged_manifold(model.mdf, images, test, settings)
    options.out.mkdir(parents=True, exist_ok=True)
    draw_figures(model, drawn, images, test, options)
    arrays: dict[str, Any] = flatten(model.networks)
    np.savez_compressed(options.out / f"{stem(options)}.npz", **arrays)
    path.write_text(json.dumps(metrics, indent=1) + "\n")
    print(json.dumps(metrics, indent=1))
    return metrics


def judged(drawn: Drawn, images: np.ndarray, test: np.ndarray, data: ImageData) -> dict[str, float]:
    """What fresh samples are worth: by features of the committed classifier, and next to the training images."""
    network = load_lenet(data)
    features, truth = lenet_features(network, drawn.images), lenet_features(network, test)
    near = precision_recall(features, truth)
    reach = nearest(np.clip(drawn.images, 0, 1), images)[1], nearest(test[: len(drawn.images)], images)[1]
    return {
        "frechet_lenet": frechet_distance(features, truth),
        "precision": near.precision,
        "recall": near.recall,
        "nearest_training_image": float(reach[0].mean()),
        "nearest_training_image_of_test": float(reach[1].mean()),
    }


def judged_manifold(mdf, images: np.ndarray, test: np.ndarray, settings: Settings) -> dict[str, Any]:
    """Rank of the constraints on data and how far data lie from their zeros."""
    values = np.concatenate([np.linalg.svd(_jacobian(mdf, image), compute_uv=False) for image in test[:SPECTRA]])
    quantiles = {"least": 0.0, "5%": 0.05, "median": 0.5, "95%": 0.95, "largest": 1.0}
    found: dict[str, Any] = {
        "singular_values": {name: float(np.quantile(values, share)) for name, share in quantiles.items()}
    }
    for name, points in (("train", images), ("test", test)):
        points = points[: settings.projected]
        zeros, lost = on_manifold(mdf, points)
        found |= {f"{name}_distance": float(np.linalg.norm(zeros - points, axis=1).mean()), f"{name}_lost": lost}
        found |= {f"{name}_residual": float(residuals(mdf, points).mean())}
    return found


def draw_figures(model: ImageModel, drawn: Drawn, images, test, options: ImageOptions) -> None:
    """Samples above their nearest training images, training curves, and directions along the manifold."""
    path = lambda kind: options.out / f"{stem(options)}-{kind}.png"  # noqa: E731
    shown = drawn.images[: 2 * SHOWN]
    near = images[nearest(np.clip(shown, 0, 1), images)[0]]
    rows = [block for start in (0, SHOWN) for block in (shown[start : start + SHOWN], near[start : start + SHOWN])]
    plot_images(np.concatenate(rows), SHOWN, ["samples", "nearest", "samples", "nearest"]).savefig(path("samples"))
    plot_history(model.histories).savefig(path("training"))
    if model.mdf is not None:
        zeros, _ = on_manifold(model.mdf, test[:10])
        key = jax.random.key(0)
        plot_images(np.concatenate([directions(key, model.mdf, zero) for zero in zeros[:5]]), signed=True).savefig(
            path("tangents")
        )


def directions(key, mdf, zero: np.ndarray, count: int = 10) -> np.ndarray:
    """Random unit tangents of {F = 0} at a zero (784,), (count, 784)."""
    found = np.array(_tangents(mdf, jnp.asarray(zero), jax.random.normal(key, (count, zero.size))))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def nearest(points: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index (N,) of the training image nearest to each point (N, 784), and its distance (N,)."""
    sizes = (images**2).sum(axis=1)
    squares = np.concatenate([sizes - 2 * rows @ images.T for rows in np.array_split(points, -(-len(points) // 500))])
    index = squares.argmin(axis=1)
    return index, np.linalg.norm(images[index] - points, axis=1)


def _ends(values: np.ndarray) -> list[float]:
    """Means of a term over the first and the last tenth of training."""
    tenth = max(1, len(values) // 10)
    return [float(values[:tenth].mean()), float(values[-tenth:].mean())]


@jax.jit
def _jacobian(mdf, point):
    return jax.jacrev(mdf)(point)


@jax.jit
def _tangents(mdf, zero, noise):
    at = linearize(mdf, zero)
    return jax.vmap(lambda v: tangent_projection(mdf, at, v))(noise)


if __name__ == "__main__":
    main(run_images, ImageOptions)
