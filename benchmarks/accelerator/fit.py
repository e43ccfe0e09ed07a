"""Figures of a whole fit with samples."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

import implicit_manifolds as im
from benchmarks.accelerator.figures import Measurement
from implicit_manifolds.datasets.synthetic import von_mises_mixture


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
