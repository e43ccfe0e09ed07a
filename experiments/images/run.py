"""Manifolds of images: `python -m experiments.images.run --data mnist --model ebim` fits, samples, judges.

All models get the same images and are judged alike, on fresh samples. Writes a JSON file of metrics, pictures and the
trained parameters.
"""

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.cells import made_by
from experiments.common.command import claim_file, main
from experiments.images.fid import check_weights, fid
from experiments.images.files import kept, save_whole
from experiments.images.lenet import IMAGES, lenet_features, load_lenet
from experiments.images.models import Drawn, ImageModel, Model, fit_image_model
from experiments.images.near import nearest
from experiments.images.public_features import have_public_network, public_features
from experiments.images.scales import LENGTHS, Scale, Settings, settings_of
from experiments.images.zeros import on_manifold, residuals
from implicit_manifolds.datasets.images import ImageData, load_images
from implicit_manifolds.manifold.tangent import linearize, tangent_projection
from implicit_manifolds.metrics.frechet import frechet_distance
from implicit_manifolds.metrics.precision_recall import precision_recall
from implicit_manifolds.plot import plot_history
from implicit_manifolds.plot.images import plot_images
from implicit_manifolds.training.checkpoint import flatten

SPECTRA = 1 / 32
"""Share of the projected images whose Jacobian is formed for its singular values."""
SHOWN, DRAWN, FOLLOWED = 20, 500, 8
"""Samples in a row of the picture; samples drawn at a time; zeros whose tangents are drawn."""
CHEAP = 5
"""Times as many samples choose the length of chains of codes, which cost little, as of chains of images."""
PUBLIC = 5000
"""Images of each set that a public network sees."""
SAMPLING, SETTLED = 100, 99
"""Folded into a run's key for its samples, and into that for those that are judged; small numbers are taken."""


@dataclass(frozen=True)
class ImageOptions:
    """data, model, scale, seed: what to run. out: directory of results.

    checkpoints: where a stopped run goes on from, and where models of one seed share their manifold. replace: results
    of an earlier run of the same may be replaced. fid_weights: file of Inception-v3's weights, for FID, which none of
    ours are.
    """

    data: ImageData = "mnist"
    model: Model = "ebim"
    scale: Scale = "reduced"
    seed: int = 0
    out: Path = IMAGES
    checkpoints: Path | None = None
    replace: bool = False
    fid_weights: Path | None = None


def stem(options: ImageOptions) -> str:
    """What the names of all files of a run begin with."""
    return f"{options.data}-{options.model}-{options.scale}-seed{options.seed}"


def run_images(options: ImageOptions) -> dict[str, Any]:
    """Fit, sample, judge, draw; returns the metrics."""
    path = options.out / f"{stem(options)}.json"
    claim_file(path, options.replace)
    if options.fid_weights is not None:
        check_weights(options.fid_weights)
    settings, key = settings_of(options.data, options.scale), jax.random.key(options.seed)
    images = load_images(options.data, count=settings.images)[0]
    test = load_images(options.data, "test")[0]
    checkpoints = None
    if options.checkpoints is not None:
        checkpoints = options.checkpoints / f"{options.data}-{options.scale}-seed{options.seed}"
    model = fit_image_model(options.model, key, images, settings, checkpoints, progress=True)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, network in model.networks.items():
        save_whole(options.out / f"{stem(options)}-{name}.npz", **flatten(network))
    for kind in ("ood", "chains"):  # of the model that is replaced
        (options.out / f"{stem(options)}-{kind}.json").unlink(missing_ok=True)
    blocks = None if checkpoints is None else checkpoints / options.model / "samples"
    sampling = jax.random.fold_in(key, SAMPLING)
    tried = tried_lengths(model, sampling, images, settings, options.data, blocks)
    steps = min(filter(None, tried), key=lambda steps: tried[steps], default=0)
    final = None if blocks is None else blocks / f"all, {steps} steps"
    drawn = draw_in_blocks(model, jax.random.fold_in(sampling, SETTLED), settings.samples, steps, final)
    metrics: dict[str, Any] = {"data": options.data, "model": options.model, "scale": options.scale}
    metrics |= {"seed": options.seed, **made_by_images()}
    metrics |= {"device": jax.devices()[0].device_kind, "samples": len(drawn.images)}
    seconds = {f"{step}_seconds": float(history.seconds.sum()) for step, history in model.histories.items()}
    metrics |= seconds | {"fit_seconds": sum(seconds.values()) + model.projecting}
    metrics |= {
        f"{step}_{term}": _ends(values)
        for step, history in model.histories.items()
        for term, values in history.terms.items()
    }
    metrics |= {"steps": steps, "tried": {str(steps): distance for steps, distance in tried.items()}}
    projected = model.project(images[: settings.samples])
    metrics |= drawn.report | judged(drawn.images, projected, images, test, options.data)
    if "mdf" in model.networks:
        metrics |= judged_manifold(model.networks["mdf"], images, test, drawn.images, settings)
    draw_figures(model, drawn, images, test, options)
    path.write_text(json.dumps(metrics, indent=1) + "\n")
    if options.fid_weights is not None:
        metrics["fid"] = fid(drawn.images, images, options.fid_weights)
        path.write_text(json.dumps(metrics, indent=1) + "\n")
    print(json.dumps(metrics, indent=1))
    return metrics


def made_by_images() -> dict[str, str]:
    """What made a result: the version, and a hash of the library's code and that of the image experiments."""
    here = Path(__file__).parent
    return made_by(*sorted(here.glob("*.py")))


def tried_lengths(model: ImageModel, key, images, settings: Settings, data: ImageData, directory: Path | None):
    """Fréchet distances of fresh samples from the training images, by the steps of their chains; {} without chains."""
    if not model.age:
        return {}
    network = load_lenet(data)
    truth, found = lenet_features(network, images), {}
    count = settings.trials * (1 if "mdf" in model.networks else CHEAP)
    for index, multiple in enumerate(LENGTHS):
        steps = round(multiple * model.age)
        blocks = None if directory is None else directory / f"{steps} steps"
        drawn = draw_in_blocks(model, jax.random.fold_in(key, index), count, steps, blocks)
        found[steps] = frechet_distance(lenet_features(network, drawn.images), truth)
    return found


def draw_in_blocks(model: ImageModel, key, count: int, steps: int, directory: Path | None) -> Drawn:
    """`count` fresh samples, drawn some at a time, each kept in the directory for a run that is stopped."""

    def block(first):
        drawn = model.draw(jax.random.fold_in(key, first), min(DRAWN, count - first), steps)
        return {"images": drawn.images} | {name: np.asarray(value) for name, value in drawn.report.items()}

    blocks = [kept(directory, str(first), partial(block, first)) for first in range(0, count, DRAWN)]
    report = {"sample_seconds": float(sum(block["seconds"] for block in blocks))}
    for name in [name for name in blocks[0] if name not in ("images", "seconds")]:
        values = [block[name] for block in blocks]
        report[name] = float(max(values) if name == "residual_max" else np.mean(values))
    return Drawn(np.concatenate([block["images"] for block in blocks]), report)


def judged(drawn: np.ndarray, projected, images: np.ndarray, test: np.ndarray, data: ImageData) -> dict[str, float]:
    """What fresh samples are worth: by features of the committed classifier, and next to the training images.

    Beside the Fréchet distance from test images stand those of as many training images, the least to hope for, and of
    `projected`, what the manifold has in their place. The same by features of a public network, where it is installed.
    """
    reach = nearest(np.clip(drawn, 0, 1), images)[1], nearest(test[: len(drawn)], images)[1]
    found = {"nearest_training_image": float(reach[0].mean())}
    found |= {"nearest_training_image_of_test": float(reach[1].mean())}
    sets = (drawn, images[: len(drawn)], projected, test)
    found |= compared("lenet", partial(lenet_features, load_lenet(data)), *sets)
    if have_public_network():
        found |= compared("public", partial(public_features, data), *(rows[:PUBLIC] for rows in sets))
    return found


def compared(name: str, features, drawn, train, projected, test) -> dict[str, float]:
    """Fréchet distances from test images by some features, and precision and recall of what was drawn."""
    truth, of_drawn = features(test), features(drawn)
    near = precision_recall(of_drawn, truth[: len(of_drawn)])
    suffix = "" if name == "lenet" else f"_{name}"
    return {
        f"frechet_{name}": frechet_distance(of_drawn, truth),
        f"frechet_{name}_of_train": frechet_distance(features(train), truth),
        f"frechet_{name}_of_projected": frechet_distance(features(projected), truth),
        f"precision{suffix}": near.precision,
        f"recall{suffix}": near.recall,
    }


def judged_manifold(mdf, images, test, drawn, settings: Settings) -> dict[str, Any]:
    """How far data lie from the zeros of F, and the rank of its Jacobian there and where samples are."""
    found: dict[str, Any] = {}
    zeros = {}
    for name, points in (("train", images), ("test", test)):
        points = points[: settings.projected]
        found_zeros, reached = on_manifold(mdf, points)
        zeros[name] = found_zeros[reached]
        distance = np.linalg.norm(zeros[name] - points[reached], axis=1)
        found |= {f"{name}_distance": float(distance.mean()), f"{name}_lost": float(1 - reached.mean())}
        found |= {f"{name}_residual": float(residuals(mdf, points).mean())}
    count = math.ceil(SPECTRA * settings.projected)
    found["singular_values"] = spectrum(mdf, zeros["test"][:count])
    return found | {"singular_values_of_samples": spectrum(mdf, drawn[:count])}


def spectrum(mdf, points: np.ndarray) -> dict[str, float]:
    """Quantiles of the singular values of J at points (N, n), by the eigenvalues of J Jᵀ."""
    jacobians = [np.asarray(_jacobian(mdf, point), np.float64) for point in points]
    squares = np.concatenate([np.linalg.eigvalsh(jacobian @ jacobian.T) for jacobian in jacobians])
    values = np.sqrt(np.maximum(squares, 0))
    quantiles = {"least": 0.0, "5%": 0.05, "median": 0.5, "95%": 0.95, "largest": 1.0}
    return {name: float(np.quantile(values, share)) for name, share in quantiles.items()}


def draw_figures(model: ImageModel, drawn: Drawn, images, test, options: ImageOptions) -> None:
    """Samples above their nearest training images, training curves, and directions along the manifold."""
    path = lambda kind: options.out / f"{stem(options)}-{kind}.png"
    shown = drawn.images[: 2 * SHOWN]
    near = images[nearest(np.clip(shown, 0, 1), images)[0]]
    rows = [block for start in (0, SHOWN) for block in (shown[start : start + SHOWN], near[start : start + SHOWN])]
    plot_images(np.concatenate(rows), SHOWN, ["samples", "nearest", "samples", "nearest"]).savefig(path("samples"))
    plot_history(model.histories).savefig(path("training"))
    if "mdf" in model.networks:
        mdf, key = model.networks["mdf"], jax.random.key(0)
        zeros, _ = on_manifold(mdf, test[:FOLLOWED])
        rows = [np.concatenate([zero[None], directions(key, mdf, zero)]) for zero in zeros]
        plot_images(np.concatenate(rows), len(rows[0]), signed=1).savefig(path("tangents"))


def directions(key, mdf, zero: np.ndarray, count: int = 9) -> np.ndarray:
    """Random unit tangents of {F = 0} at a zero (n,), (count, n)."""
    found = np.array(_tangents(mdf, jnp.asarray(zero), jax.random.normal(key, (count, zero.size))))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


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
