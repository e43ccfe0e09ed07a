"""What every low-dimensional experiment does: fit, sample, measure, draw, and write it all down."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro
from matplotlib.figure import Figure

from implicit_manifolds import EBIM, FitConfig, log_density, project_points, sample, save
from implicit_manifolds.cli import run_safely
from implicit_manifolds.ebim import fit
from implicit_manifolds.ebim.anchors import points_on_manifold
from implicit_manifolds.ebim.fit import EnergyLoss
from implicit_manifolds.ebim.model import Method, Samples
from implicit_manifolds.errors import DataUnavailable, InputError
from implicit_manifolds.metrics.transport import original_cost, wasserstein1, wasserstein1_floor
from implicit_manifolds.plot import plot_history
from implicit_manifolds.topology.certificate import describe, topology
from implicit_manifolds.volume.importance import energies_at
from implicit_manifolds.volume.lines import uniform_pool
from implicit_manifolds.volume.pools import volume

NUM_SAMPLES = 10_000
LAW_POINTS = 100_000
VOLUME_LINES = 100_000
SPREAD = 4000
"""Points all over a learned manifold, for the authors' metric."""
STARTED = ".experiment"
"""A file that marks a directory as an experiment's until it has metrics: what a stopped one left can be replaced."""


@dataclass(frozen=True)
class Options:
    """Options of every experiment.

    seed: of data, split and training. out: directory to write, runs/NAME-PRESET-seedS unless given. preset: our
    defaults, or the paper's hyperparameters with their meaning (chains at the temperature noise_scale²/step_size).
    energy_loss: instead of the preset's. replace: a directory that an earlier run of an experiment wrote may be
    replaced.
    """

    seed: int = 0
    out: Path | None = None
    preset: Literal["default", "paper"] = "default"
    energy_loss: EnergyLoss | None = None
    replace: bool = False

    def chosen(self, presets: dict[str, FitConfig]) -> FitConfig:
        """The preset, with the energy's loss as asked for."""
        if self.preset not in presets:
            raise InputError(f"this experiment has no preset {self.preset}; it is not in the paper")
        config = presets[self.preset]
        return config if self.energy_loss is None else replace(config, energy_loss=self.energy_loss)


@dataclass(frozen=True)
class OriginalGrid:
    """How the authors' metric is set up: box limits (n, 2), cells an axis, and the truth with its density."""

    limits: np.ndarray
    granularity: int
    truth: np.ndarray
    truth_density: np.ndarray | None = None


@dataclass(frozen=True)
class Law:
    """A law in closed form: draw(random, count) (count, n), and log_density of points (N, n), by volume, (N,)."""

    draw: Callable[[np.random.Generator, int], np.ndarray]
    log_density: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Problem:
    """Data with what is known of their law.

    train (N, n) to fit; test (M, n) to hold samples against; true_pair(i), two disjoint true samples of M points;
    distance, (N, n) to distances from the true manifold (N,). volume and betti numbers of the true manifold.
    original, draw: None where the data are no experiment of their own. baselines: further metrics, of other methods on
    the same split.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    true_pair: Callable[[int], tuple[np.ndarray, np.ndarray]]
    distance: Callable[[np.ndarray], np.ndarray]
    original: OriginalGrid | None
    presets: dict[str, FitConfig]
    draw: Callable[[EBIM, Samples], Figure] | None = field(repr=False)
    codimension: int = 1
    law: Law | None = None
    volume: float | None = None
    betti: tuple[int, ...] | None = None
    baselines: Callable[[], dict[str, float]] = dict


def fresh_data(law: Law, seed: int, count: int) -> dict[str, Any]:
    """Parts of a `Problem` of a known law: `count` points to train, 1,000 to test, pairs of 1,000, each a stream."""

    def true_pair(index):
        random = np.random.default_rng([seed, 2, index])
        return law.draw(random, 1000), law.draw(random, 1000)

    train, test = (law.draw(np.random.default_rng([seed, stream]), size) for stream, size in ((0, count), (1, 1000)))
    return {"train": train, "test": test, "true_pair": true_pair, "law": law}


def claim(out: Path, replaceable: bool) -> Path:
    """The output directory, made anew; raises InputError where it exists and may not be replaced."""
    if out.exists():
        ours = any((out / name).is_file() for name in (STARTED, "metrics.json"))
        if not (replaceable and ours):
            raise InputError(f"{out} exists; name another --out, or pass --replace for one that an experiment wrote")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / STARTED).touch()
    return out


def claim_file(path: Path, replaceable: bool) -> None:
    """Raises InputError where a file exists and may not be replaced."""
    if path.exists() and not replaceable:
        raise InputError(f"{path} exists; name another --out, or pass --replace")


def run_problem(problem: Problem, options: Options) -> dict:
    """Fit, sample, measure; write metrics.json, figures and the model under the output directory."""
    out = claim(output_directory(problem.name, options), options.replace)
    config = options.chosen(problem.presets)
    started, cpu_started = time.perf_counter(), time.process_time()
    result = fit(jax.random.key(options.seed), problem.train, problem.codimension, config, progress=True)
    sampling_started = time.perf_counter()
    # Contrastive energies are judged by chains, as the paper does: with α ≠ ε² those have another temperature.
    method: Method | None = "chains" if config.energy_loss == "contrastive" else None
    drawn = sample(jax.random.key(options.seed + 1), result.model, NUM_SAMPLES, method=method, progress=True)
    ended, cpu_ended = time.perf_counter(), time.process_time()
    metrics = {
        "experiment": problem.name,
        "preset": options.preset,
        "seed": options.seed,
        "version": version("implicit-manifolds"),
        "energy_loss": config.energy_loss or "likelihood",
        "temperature": temperature(result.model) if config.energy_loss == "contrastive" else 1.0,
        **sample_metrics(problem, drawn, options.seed),
        **manifold_metrics(problem, result.model),
        **density_metrics(problem, result.model, options.seed),
        **problem.baselines(),
        **grid_cost(problem.original, *spread(jax.random.key(options.seed), result.model, SPREAD)),
        "seconds_manifold": result.seconds_manifold,
        "seconds_energy": result.seconds_energy,
        "seconds_sampling": ended - sampling_started,
        "seconds_total": ended - started,
        "cpu_seconds_total": cpu_ended - cpu_started,
    }
    if problem.draw is not None:
        problem.draw(result.model, drawn).savefig(out / "density.png", dpi=150)
    histories = {"manifold": result.manifold_history, "energy": result.energy_history}
    plot_history(histories).savefig(out / "training.png", dpi=100)
    save(out / "model", result.model, config, options.seed)
    write_metrics(out, metrics)
    return metrics


def output_directory(name: str, options: Options) -> Path:
    """Where an experiment writes unless told otherwise."""
    return options.out or Path("runs") / f"{name}-{options.preset}-seed{options.seed}"


def write_metrics(out: Path, metrics: dict) -> None:
    """Write metrics.json and print the table of it."""
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    (out / STARTED).unlink()
    width = max(map(len, metrics))
    for name, value in metrics.items():
        print(f"{name:<{width}}  {value:.4g}" if isinstance(value, float) else f"{name:<{width}}  {value}")
    print(f"figures, model and metrics.json are in {out}")


def temperature(model: EBIM) -> float:
    """The temperature ε²/α at which the model's chains sample exp(-E/temperature): 1 when α = ε²."""
    return 1.0 if model.step_size is None else float(model.noise_scale) ** 2 / float(model.step_size)


def sample_metrics(problem: Problem, drawn: Samples, seed: int) -> dict[str, Any]:
    """How the samples compare with held-out truth, and how far from the true manifold they lie."""
    count = len(problem.test)
    picked = np.random.default_rng(seed).choice(len(drawn.points), count, replace=False)
    distance = problem.distance(drawn.points)
    return {
        "w1": wasserstein1(drawn.points[picked], problem.test),
        "w1_floor": wasserstein1_floor(problem.true_pair),
        "distance_mean": float(distance.mean()),
        "distance_max": float(distance.max()),
        "residual_max": float(drawn.distance.max()),
        "on_manifold_fraction": float(drawn.on_manifold.mean()),
        "method": drawn.method,
        "effective_size": drawn.effective_size,
        "steps_taken_fraction": drawn.taken_fraction,
    }


def manifold_metrics(problem: Problem, model: EBIM) -> dict[str, Any]:
    """How far held-out points lie from the learned manifold, where the search converged, and its topology."""
    found = project_points(model, problem.test)
    distance = found.distance[found.converged]
    certificate = topology(model.mdf, (model.low, model.high), model.anchors, model.atlas)
    return volume_metrics(problem, model) | {
        "test_distance_mean": float(distance.mean()),
        "test_distance_max": float(distance.max()),
        "converged_fraction": float(found.converged.mean()),
        "betti": list(certificate.betti),
        "topology": describe(certificate),
    }


def volume_metrics(problem: Problem, model: EBIM) -> dict[str, float]:
    """The learned manifold's volume in data units, from random lines, and over the true one where that is known."""
    pool = uniform_pool(jax.random.key(0), model.mdf, (model.low, model.high), VOLUME_LINES)
    found = volume(pool).value * float(model.scaling.scale) ** (len(model.low) - problem.codimension)
    return {"volume": found} if problem.volume is None else {"volume": found, "volume_ratio": found / problem.volume}


def density_metrics(problem: Problem, model: EBIM, seed: int) -> dict[str, float]:
    """Nats: -log p of held-out points (by volume in data units) at their projections, and what is known beside it.

    log_ratio_mean is the mean of log p_true(x) - log p_model(π(x)) over `LAW_POINTS` fresh points of a known law.
    """
    if model.log_normalizer is None:
        return {}
    value, error = model.log_normalizer
    metrics = {
        "nll_test": -_mean_log_density(model, problem.test),
        "log_normalizer": float(value),
        "log_normalizer_standard_error": float(error),
    }
    if problem.law is not None:
        fresh = problem.law.draw(np.random.default_rng([seed, 4]), LAW_POINTS)
        metrics["log_ratio_mean"] = float(problem.law.log_density(fresh).mean()) - _mean_log_density(model, fresh)
    return metrics


def _mean_log_density(model: EBIM, points: np.ndarray) -> float:
    found = log_density(model, points)
    return float(found.log_density[found.converged].mean())


def spread(key, model: EBIM, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise projected to the learned manifold, (count, n) in data units, and -E there."""
    _, points = points_on_manifold(key, model.mdf, model.anchors, (model.low, model.high), count)
    return model.scaling.restore(points), -energies_at(model.energy, points)


def grid_cost(grid: OriginalGrid | None, points: np.ndarray, log_density: np.ndarray) -> dict[str, float]:
    """The authors' metric of points (N, n) all over a learned manifold, weighed by its density there."""
    if grid is None:
        return {}
    density = np.exp(log_density - log_density.max())
    cost = original_cost(points, density, grid.truth, grid.truth_density, grid.limits, grid.granularity)
    return {"original_cost": cost}


def command(problem_of: Callable[[Any], Problem], options: type[Options] = Options) -> None:
    """Entry point of an experiment's file: options from the command line, exit code 2 for what the user can mend."""
    main(lambda chosen: run_problem(problem_of(chosen), chosen), options)


def main(run: Callable[[Any], object], options: type = Options) -> None:
    """Parse the options, run, and exit as the command line does."""

    def call() -> None:
        try:
            # Some accelerators round products to ten bits unless told not to; zeros are then out of reach.
            jax.config.update("jax_default_matmul_precision", "highest")
            run(tyro.cli(options))
        except DataUnavailable as error:
            raise InputError(str(error)) from error

    sys.exit(run_safely(call))
