"""One cell of M-flow's mixture on a polynomial surface: `python -m experiments.comparison.polynomial --model m_flow`.

100,000 points, each with its θ; judged as Brehmer & Cranmer (2020, §4.2) do: vertical distance of samples from the
surface, reconstruction error, MMD of posteriors of θ given 20 points, out-of-distribution AUC; and by the excess of the
model's NLL over the entropy.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np
from scipy.special import logsumexp

from experiments.common.cells import CELLS, cell_path, write_cell
from experiments.common.command import main
from implicit_manifolds import FitConfig, LikelihoodConfig, ManifoldConfig, baselines, fit, nearest_points
from implicit_manifolds.baselines import FlowConfig, FreeFormConfig, PushforwardFit
from implicit_manifolds.datasets.polynomial import polynomial_log_density, polynomial_surface, vertical_offset
from implicit_manifolds.ebim.conditional import fit_conditional, log_density_given, sample_given
from implicit_manifolds.metrics.detection import auc
from implicit_manifolds.metrics.mmd import squared_mmd

TRAIN, TEST, OBSERVED, SAMPLES, DRAWS = 100_000, 1000, 20, 10_000, 5000
OFF_SURFACE = 0.1
"""Standard deviation of the noise that puts points out of distribution."""
CLIP = 10.0
"""Largest distance that counts, as in the authors' code."""
THETAS = np.linspace(-1, 1, 201)
EBIM = FitConfig(
    zero_set=ManifoldConfig(restarts=2, warmup_steps=5000, num_steps=15_000, batch_size=200),
    likelihood=LikelihoodConfig(hidden=(64, 64), num_steps=2000, kernel=False),
    manifold="zero-set",
)
FLOW = FlowConfig(num_steps=12_000)

Model = Literal["ebim", "ambient_flow", "pie", "m_flow", "m_flow_sequential", "m_flow_transport", "m_e_flow", "fif"]


class ConditionalCandidate(NamedTuple):
    """sample(key, count) at θ = 0; log_densities(points (N, 3), thetas (b,)) (N, b); reconstruct(points) (N, 3).

    conditional: False where the model knows nothing of θ and is judged by the law of all θ together.
    """

    sample: Callable[[Any, int], np.ndarray]
    log_densities: Callable[[np.ndarray, np.ndarray], np.ndarray]
    reconstruct: Callable[[np.ndarray], np.ndarray]
    conditional: bool = True


@dataclass(frozen=True)
class PolynomialOptions:
    """model, seed: which cell. out: directory of the cells. points: to train on. steps: of a flow, per training."""

    model: Model = "ebim"
    seed: int = 0
    out: Path = CELLS
    points: int = TRAIN
    steps: int = FLOW.num_steps


def path_of(options: PolynomialOptions) -> Path:
    """The file of a cell."""
    return cell_path(options.out, "polynomial", options.model, seed=options.seed)


def run_cell(options: PolynomialOptions) -> dict[str, Any]:
    """Fit, judge, and write the cell."""
    random, key = np.random.default_rng([options.seed, 0]), jax.random.key(options.seed)
    thetas = random.uniform(-1, 1, options.points)
    points = polynomial_surface(random, thetas)
    return write_cell(
        path_of(options),
        {"data": "polynomial", "model": options.model, "seed": options.seed},
        lambda: FITS[options.model](key, points, thetas[:, None], options.steps),
        lambda judged: metrics(judged, jax.random.fold_in(key, 1), options.seed),
    )


def metrics(judged: ConditionalCandidate, key, seed: int) -> dict[str, float]:
    """What the authors report, and the excess NLL at θ = 0, in nats; no posterior where there is none."""
    random = np.random.default_rng([seed, 1])
    thetas = np.zeros(TEST) if judged.conditional else random.uniform(-1, 1, TEST)
    test = polynomial_surface(random, thetas)
    off = test + OFF_SURFACE * random.normal(size=test.shape)
    errors = [np.linalg.norm(judged.reconstruct(points) - points, axis=1) for points in (test, off)]
    densities = [judged.log_densities(points, np.zeros(1))[:, 0] for points in (test, off)]
    truth = true_log_densities(test, np.zeros(1) if judged.conditional else THETAS)
    distance = np.abs(vertical_offset(judged.sample(key, SAMPLES)))
    found = {
        "distance": float(np.minimum(distance, CLIP).mean()),
        "reconstruction_error": float(np.minimum(errors[0], CLIP).mean()),
        "auc": max(auc(-densities[0], -densities[1]), auc(errors[0], errors[1])),
        "density_share": float(np.isfinite(densities[0]).mean()),
        "nll_excess": float(np.nanmean(logsumexp(truth, axis=1) - np.log(truth.shape[1]) - densities[0])),
    }
    if judged.conditional:
        observed = polynomial_surface(random, np.zeros(OBSERVED))
        posterior = posterior_draws(random, judged.log_densities(observed, THETAS))
        found["posterior_mmd"] = squared_mmd(posterior, posterior_draws(random, true_log_densities(observed, THETAS)))
    return found


def true_log_densities(points: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """Log density of points (N, 3) given each θ (b,), (N, b)."""
    rows = np.repeat(points, len(thetas), axis=0)
    return polynomial_log_density(rows, np.tile(thetas, len(points))).reshape(len(points), -1)


def posterior_draws(random: np.random.Generator, log_densities: np.ndarray) -> np.ndarray:
    """Independent draws (DRAWS, 1) of θ, uniform a priori, given log p(x | θ) (N, THETAS) of N independent points.

    By inversion of the distribution on the grid: exact where the authors' chains of 5,000 steps add noise.
    """
    logs = np.nansum(log_densities, axis=0)
    cumulative = np.cumsum(np.exp(logs - logs.max()))
    cumulative = np.concatenate([[0.0], (cumulative[1:] + cumulative[:-1]) / 2 - cumulative[0] / 2])
    return np.interp(random.random(DRAWS), cumulative / cumulative[-1], THETAS)[:, None]


def _ebim(key, points, thetas, steps) -> ConditionalCandidate:
    model = fit(key, points, 1, EBIM).model
    conditional, _ = fit_conditional(jax.random.fold_in(key, 1), model, points, thetas)
    return ConditionalCandidate(
        lambda key, count: sample_given(key, conditional, count, np.zeros(1)),
        lambda points, at: log_density_given(conditional, points, at[:, None])[0],
        lambda points: nearest_points(model, points).points,
    )


def _free_form(key, points, thetas, steps) -> ConditionalCandidate:
    found = baselines.fit_free_form_flow(key, points, 2, FreeFormConfig(num_steps=steps)).model
    return ConditionalCandidate(
        lambda key, count: baselines.sample(key, found, count),
        lambda points, at: np.repeat(baselines.log_density(found, points).log_density[:, None], len(at), axis=1),
        lambda points: baselines.reconstruct(found, points).points,
        conditional=False,
    )


def _judged(found: PushforwardFit) -> ConditionalCandidate:
    def log_densities(points, at):
        rows, contexts = np.repeat(points, len(at), axis=0), np.tile(at, len(points))[:, None]
        return baselines.log_density(found.model, rows, contexts).log_density.reshape(len(points), -1)

    return ConditionalCandidate(
        lambda key, count: baselines.sample(key, found.model, count, np.zeros(1)),
        log_densities,
        lambda points: baselines.reconstruct(found.model, points).points,
    )


def _flow(fit_model: Callable, *size: int, **settings: Any) -> Callable:
    """How a flow is fitted: `size` is the manifold's dimension where the model is told it.

    A larger batch has as many fewer steps.
    """

    def fitted(key, points, thetas, steps) -> ConditionalCandidate:
        config = replace(FLOW, **settings)
        config = replace(config, num_steps=steps * FLOW.batch_size // config.batch_size)
        return _judged(fit_model(key, points, *size, config, thetas))

    return fitted


FITS: dict[str, Callable] = {
    "ebim": _ebim,
    "ambient_flow": _flow(baselines.fit_ambient_flow),
    "pie": _flow(baselines.fit_inflated_flow, 2, inflation=0.01),
    "m_flow": _flow(baselines.fit_manifold_flow, 2),
    "m_flow_sequential": _flow(baselines.fit_manifold_flow, 2, schedule="sequential"),
    "m_flow_transport": _flow(baselines.fit_manifold_flow, 2, schedule="transport", batch_size=500),
    "m_e_flow": _flow(baselines.fit_manifold_flow, 2, schedule="sequential", encoder=True),
    "fif": _free_form,
}
assert set(FITS) == set(get_args(Model))


if __name__ == "__main__":
    main(run_cell, PolynomialOptions)
