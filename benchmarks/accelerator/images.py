"""Figures of image models: an update of each network, and a short training with a grid of samples."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.accelerator.figures import Measurement
from benchmarks.image_training import timed
from experiments.images.lenet import lenet_features, load_lenet
from experiments.images.models import chains, fit_image_model, pixel_box
from experiments.images.networks import constraints, image_energy
from experiments.images.noise import normal_noise
from experiments.images.scales import SETTINGS, Scale, Settings
from experiments.images.zeros import start_on
from implicit_manifolds.datasets.images import load_images
from implicit_manifolds.ebim.manifold import ManifoldObjective
from implicit_manifolds.metrics.frechet import frechet_distance
from implicit_manifolds.networks.plane import start_as_plane
from implicit_manifolds.networks.standardized import standardized
from implicit_manifolds.plot.images import plot_images

STARTS = 256
SHOWN = 20
"""Samples in a row of the grid."""


def updates(large: bool) -> Iterator[Measurement]:
    """Milliseconds of an update of F, and of the energy with 1 and 5 constrained steps on F as it starts."""
    scales: tuple[Scale, ...] = ("reduced", "paper") if large else ("smoke",)
    for scale in scales:
        yield Measurement(
            {"scale": scale, "what": "manifold update"}, 30 if large else 5, partial(_manifold_update, scale, large)
        )
        for steps in (1, 5):
            what = f"energy update, {steps} constrained steps, F at its start"
            yield Measurement(
                {"scale": scale, "what": what}, 35 if large else 10, partial(_energy_update, scale, steps, large)
            )


def _plane(scale: Scale):
    images = load_images("mnist", count=SETTINGS[scale].images)[0]
    return images, start_as_plane(constraints(jax.random.key(0), SETTINGS[scale]), images)


def _manifold_update(scale: Scale, large: bool) -> dict[str, Any]:
    images, plane = _plane(scale)
    config = SETTINGS[scale].manifold
    objective = ManifoldObjective(pixel_box(SETTINGS[scale]), config)
    return {"ms": round(1e3 * timed(objective, plane, images, config, 20 if large else 3), 2)}


def _energy_update(scale: Scale, steps: int, large: bool) -> dict[str, Any]:
    images, plane = _plane(scale)
    key, settings = jax.random.key(0), SETTINGS[scale]
    config = replace(settings.energy, langevin_steps=steps, starts=STARTS)
    starts = start_on(plane, normal_noise(images), key, STARTS)[0]
    objective = chains(plane, starts, replace(settings, energy=config))
    network = standardized(image_energy(key, settings), images)
    return {"ms": round(1e3 * timed(objective, network, images, config, 20 if large else 3), 2)}


def training(large: bool) -> Iterator[Measurement]:
    """A short training of the paper's model (of the smallest on a CPU), and what its chains draw."""
    scale: Scale = "paper" if large else "smoke"
    settings = _short(SETTINGS[scale]) if large else SETTINGS[scale]
    yield Measurement({"scale": scale}, 160 if large else 60, partial(_training, settings))


def _short(settings: Settings) -> Settings:
    """Some two minutes where an update of F takes 10 ms and one of the energy 50."""
    steps = replace(settings.manifold, num_steps=3000), replace(settings.energy, num_steps=750, starts=1000)
    return replace(settings, manifold=steps[0], energy=steps[1], on_manifold=5000, samples=500)


def _training(settings: Settings) -> dict[str, Any]:
    images, key = load_images("mnist", count=settings.images)[0], jax.random.key(0)
    model = fit_image_model("ebim", key, images, settings)
    drawn = model.draw(jax.random.fold_in(key, 1), settings.samples, model.age)
    seconds = {f"{step}_s": round(float(history.seconds.sum()), 1) for step, history in model.histories.items()}
    network, test = load_lenet("mnist"), load_images("mnist", "test")[0]
    features = lenet_features(network, drawn.images), lenet_features(network, test)
    return {
        **seconds,
        "manifold_updates": settings.manifold.num_steps,
        "energy_updates": settings.energy.num_steps,
        "frechet_lenet": round(frechet_distance(*features), 1),
        **{name: round(value, 5) for name, value in drawn.report.items()},
        "samples": plot_images(np.clip(drawn.images[: 5 * SHOWN], 0, 1), SHOWN),
    }
