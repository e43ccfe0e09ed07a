"""Fig. 3 of Ross et al. (2023): union and intersection of two shifted copies of a learned sphere.

`python -m experiments.paper.fig3_arithmetic --seed 0`
"""

import time
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common.command import claim, main
from experiments.common.judging import Candidate, candidate_of, metrics
from experiments.common.run import NUM_SAMPLES, Options, identity, method_of, output_directory, write_metrics
from experiments.laws import shifted_spheres
from experiments.paper.hyperparameters import preset
from implicit_manifolds import EBIM, FitConfig, fit, intersect, sample, save, translate
from implicit_manifolds.datasets.synthetic import projected_normal_sphere
from implicit_manifolds.plot.style import density_scale
from implicit_manifolds.volumes.importance import energies_at

COUNT = 1000
PAPER = preset(
    box=(1.1, 1.1, 1.03),
    batch_size=100,
    manifold_steps=3000,
    energy_steps=200,
    rank_weight=10.0,
    minimum_singular_value=0.1,
    energy_hidden=(32, 32),
    energy_square_weight=1.0,
    noise_scale=0.3,
    drift_scale=None,
    gradient_clip=0.03,
    energy_buffer=1000,
)
PRESETS = {"default": FitConfig(manifold="zero-set"), "paper": PAPER}


def run(options: Options) -> dict[str, Any]:
    """Learn one sphere, shift it both ways, and sample the union and the intersection."""
    out = claim(output_directory("manifold_arithmetic", options), options.replace)
    config, seed = options.chosen(PRESETS), options.seed
    started, cpu_started = time.perf_counter(), time.process_time()
    train = projected_normal_sphere(np.random.default_rng([seed, 0]), COUNT)
    result = fit(jax.random.key(seed), train, 1, config, progress=True)
    halves = [translate(result.model, sign * shifted_spheres.SHIFT) for sign in (-1, 1)]
    meeting = intersect(jax.random.key(seed + 1), *halves)
    # A union's J vanishes where the spheres meet: choose the factor first, then sample it alone.
    drawn = [
        sample(jax.random.key(seed + 2 + index), model, NUM_SAMPLES // 2, method=method_of(config))
        for index, model in enumerate(halves)
    ]
    union = np.random.default_rng([seed, 3]).permutation(np.concatenate([half.points for half in drawn]))
    circle = sample(jax.random.key(seed + 4), meeting, NUM_SAMPLES, method=method_of(config))
    ended, cpu_ended = time.perf_counter(), time.process_time()
    candidates = {
        "union": (Candidate(lambda key, count: union, None, None), shifted_spheres.union(seed)),
        "intersection": (
            candidate_of(meeting)._replace(sample=lambda key, count: circle.points),
            shifted_spheres.intersection(seed),
        ),
    }
    found = identity("manifold_arithmetic", options, config, result.model)
    for name, (candidate, problem) in candidates.items():
        judged = metrics(candidate, problem, jax.random.key(seed), seed, NUM_SAMPLES)
        found |= {f"{name}_{metric}": value for metric, value in judged.items()}
    found |= {
        "union_method": drawn[0].method,
        "mean_heights_of_halves": [float(half.points[:, 2].mean()) for half in drawn],
        "intersection_method": circle.method,
        "seconds_total": ended - started,
        "cpu_seconds_total": cpu_ended - cpu_started,
    }
    panels = {
        "sphere, learned": (train, [result.model]),
        "union": (union[::4], halves),
        "intersection": (circle.points[::4], [meeting]),
    }
    draw(panels).savefig(out / "density.png", dpi=130)
    save(out / "model", result.model, config, seed)
    write_metrics(out, found)
    return found


def draw(panels: dict[str, tuple[np.ndarray, list[EBIM]]]) -> Figure:
    """One panel of points each, coloured by the density of the model that is nearest to each, over the greatest."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    scale = density_scale(np.ones(1))
    for index, (title, (points, models)) in enumerate(panels.items()):
        density = density_at(points, models)
        axes = figure.add_subplot(1, len(panels), index + 1, projection="3d")
        axes.scatter(*points.T, c=density / density.max(), s=3, cmap=scale.cmap, norm=scale.norm)
        axes.set(title=title, xlabel="x₀", ylabel="x₁", zlabel="x₂")
        axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), zlim=(-1.5, 1.5))
        axes.set_box_aspect((1, 1, 1), zoom=0.85)
    figure.colorbar(scale, ax=figure.axes, shrink=0.7, label="learned density, relative to its maximum")
    return figure


def density_at(points: np.ndarray, models: list[EBIM]) -> np.ndarray:
    """exp(-E) at points (N, 3) on any of the models, each by that whose F is nearest to zero there, (N,)."""
    standard = [model.scaling.standardize(points) for model in models]
    sizes = [np.abs(jax.vmap(m.manifold.mdf)(x)).sum(axis=1) for m, x in zip(models, standard, strict=True)]
    energies = [energies_at(model.energy, x) for model, x in zip(models, standard, strict=True)]
    return np.exp(-np.choose(np.argmin(sizes, axis=0), energies))


if __name__ == "__main__":
    main(run, Options)
