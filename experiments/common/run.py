"""What every low-dimensional experiment does: fit, sample, judge, draw, and write it all down."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import jax

from experiments.common.command import STARTED, claim, main
from experiments.common.judging import candidate_of, metrics
from experiments.common.problem import Problem
from implicit_manifolds import EBIM, FitConfig, describe, fit, sample, save, topology, volume
from implicit_manifolds.ebim.config import EnergyLoss
from implicit_manifolds.ebim.verbs import Method, Samples
from implicit_manifolds.errors import InputError
from implicit_manifolds.plot import plot_history
from implicit_manifolds.volumes.lines import uniform_pool

NUM_SAMPLES = 10_000
VOLUME_LINES = 100_000


@dataclass(frozen=True)
class Options:
    """Options of every experiment.

    seed: of data, split and training. out: directory to write, runs/NAME-PRESET-seedS unless given. preset: our
    defaults, or the paper's hyperparameters with their meaning (chains at the temperature noise_scale²/drift_scale).
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


def run_problem(problem: Problem, options: Options) -> dict[str, Any]:
    """Fit, sample, judge; write metrics.json, figures and the model under the output directory."""
    out = claim(output_directory(problem.name, options), options.replace)
    config = options.chosen(problem.presets)
    started, cpu_started = time.perf_counter(), time.process_time()
    result = fit(jax.random.key(options.seed), problem.train, problem.codimension, config, progress=True)
    sampling_started = time.perf_counter()
    drawn = sample(jax.random.key(options.seed + 1), result.model, NUM_SAMPLES, method=method_of(config), progress=True)
    ended, cpu_ended = time.perf_counter(), time.process_time()
    found = identity(problem.name, options, config, result.model)
    found |= judged(problem, result.model, drawn, options.seed) | problem.baselines()
    found |= {
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
    write_metrics(out, found)
    return found


def judged(problem: Problem, model: EBIM, drawn: Samples, seed: int) -> dict[str, Any]:
    """What every model is judged by, and what only an EBIM tells of itself."""
    candidate = candidate_of(model)._replace(sample=lambda key, count: drawn.points)
    if temperature(model) != 1:
        candidate = candidate._replace(log_density=None)  # chains do not sample exp(-E) then
    manifold = model.manifold
    pool = uniform_pool(jax.random.key(0), manifold, VOLUME_LINES)
    size = volume(pool).value * float(model.scaling.scale) ** manifold.dimension
    found = metrics(candidate, problem, jax.random.key(seed), seed, len(drawn.points)) | {
        "residual_max": float(drawn.distance.max()),
        "on_manifold_fraction": float(drawn.on_manifold.mean()),
        "method": drawn.method,
        "effective_size": drawn.effective_size,
        "steps_taken_fraction": drawn.taken_fraction,
        "topology": describe(topology(manifold)),
        "volume": size,
    }
    if problem.volume is not None:
        found["volume_ratio"] = size / problem.volume
    if model.log_normalizer is not None:
        value, error = model.log_normalizer
        found |= {"log_normalizer": float(value), "log_normalizer_standard_error": float(error)}
    return found


def identity(name: str, options: Options, config: FitConfig, model: EBIM) -> dict[str, Any]:
    """What was run, for the head of its metrics."""
    return {
        "experiment": name,
        "preset": options.preset,
        "seed": options.seed,
        "version": version("implicit-manifolds"),
        "energy_loss": config.energy_loss or "likelihood",
        "temperature": temperature(model) if config.energy_loss == "contrastive" else 1.0,
    }


def method_of(config: FitConfig) -> Method | None:
    """Contrastive energies are judged by chains, as the paper does: with α ≠ ε² those have another temperature."""
    return "chains" if config.energy_loss == "contrastive" else None


def output_directory(name: str, options: Options) -> Path:
    """Where an experiment writes unless told otherwise."""
    return options.out or Path("runs") / f"{name}-{options.preset}-seed{options.seed}"


def write_metrics(out: Path, found: dict[str, Any]) -> None:
    """Write metrics.json and print the table of it."""
    (out / "metrics.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / STARTED).unlink()
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name:<{width}}  {value:.4g}" if isinstance(value, float) else f"{name:<{width}}  {value}")
    print(f"figures, model and metrics.json are in {out}")


def temperature(model: EBIM) -> float:
    """The temperature ε²/α at which the model's chains sample exp(-E/temperature): 1 when α = ε²."""
    noise_scale, drift_scale = model.chains
    return 1.0 if drift_scale is None else float(noise_scale) ** 2 / float(drift_scale)


def command(problem_of: Callable[[Any], Problem], options: type[Options] = Options) -> None:
    """Entry point of an experiment's file."""
    main(lambda chosen: run_problem(problem_of(chosen), chosen), options)
