"""Figures of trainings: a whole fit with samples, and updates of the paper's image models."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import implicit_manifolds as im
from benchmarks.accelerator.figures import Measurement
from benchmarks.image_training import timed
from experiments.images.models import chains
from experiments.images.networks import constraints, image_energy
from experiments.images.noise import normal_noise
from experiments.images.scales import SETTINGS, Scale
from experiments.images.zeros import PIXELS, start_on
from implicit_manifolds.datasets.images import load_images
from implicit_manifolds.datasets.synthetic import von_mises_mixture
from implicit_manifolds.ebim.manifold import ManifoldObjective
from implicit_manifolds.networks.plane import start_as_plane
from implicit_manifolds.networks.standardized import standardized

STARTS = 256


def fits(large: bool) -> Iterator[Measurement]:
    """A fit of the two-circle mixture and 10,000 samples, with compilation and without."""
    compiled: list[bool] = []
    yield Measurement({"turn": "first"}, 40 if large else 20, partial(_fit, compiled))
    yield Measurement({"turn": "second"}, 10, partial(_second, compiled))


def _second(compiled: list[bool]) -> dict[str, Any]:
    if not compiled:
        _fit(compiled)
    return _fit(compiled)


def _fit(compiled: list[bool]) -> dict[str, Any]:
    compiled.append(True)
    points, started = von_mises_mixture(np.random.default_rng(0), 1000), time.perf_counter()
    found = im.fit(jax.random.key(0), points, 1, im.FitConfig(manifold="zero-set"))
    fitted = time.perf_counter()
    drawn = im.sample(jax.random.key(1), found.model, 10_000)
    return {
        "fit_s": round(fitted - started, 2),
        "manifold_s": round(found.seconds_manifold, 2),
        "energy_s": round(found.seconds_energy, 2),
        "sample_s": round(time.perf_counter() - fitted, 2),
        "on_manifold": float(drawn.on_manifold.mean()),
        "mean_log_density": round(float(im.log_density(found.model, points).log_density.mean()), 4),
    }


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
    images = load_images("mnist")[0]
    return images, start_as_plane(constraints(jax.random.key(0), SETTINGS[scale]), images)


def _manifold_update(scale: Scale, large: bool) -> dict[str, Any]:
    images, plane = _plane(scale)
    config = SETTINGS[scale].manifold
    objective = ManifoldObjective(im.Box(jnp.zeros(PIXELS), jnp.ones(PIXELS)), config)
    return {"ms": round(1e3 * timed(objective, plane, images, config, 20 if large else 3), 2)}


def _energy_update(scale: Scale, steps: int, large: bool) -> dict[str, Any]:
    images, plane = _plane(scale)
    key, settings = jax.random.key(0), SETTINGS[scale]
    config = replace(settings.energy, langevin_steps=steps, starts=STARTS)
    starts = start_on(plane, normal_noise(images), key, STARTS)[0]
    objective = chains(plane, starts, replace(settings, energy=config))
    network = standardized(image_energy(key, settings), images)
    return {"ms": round(1e3 * timed(objective, network, images, config, 20 if large else 3), 2)}
