"""Fig. 3 of Ross et al. (2023): union and intersection of two shifted copies of a learned sphere."""

import time
from dataclasses import replace
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from matplotlib.figure import Figure

from experiments.common import NUM_SAMPLES, Options, claim, main, output_directory, temperature, write_metrics
from experiments.paper import preset
from implicit_manifolds import EBIM, FitConfig, sample, save
from implicit_manifolds.datasets.synthetic import projected_normal_sphere, projected_normal_sphere_density
from implicit_manifolds.ebim import fit
from implicit_manifolds.ebim.anchors import points_on_manifold
from implicit_manifolds.manifold import intersection, translate
from implicit_manifolds.metrics.transport import wasserstein1, wasserstein1_floor
from implicit_manifolds.plot.style import density_scale

SHIFT = np.array([0.0, 0.0, 0.5])  # the two spheres' centres are at ±SHIFT
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
    step_size=None,
    gradient_clip=0.03,
    energy_buffer=1000,
)
PRESETS = {"default": FitConfig(), "paper": PAPER}


def _shifted_energy(energy, offset, x):
    return energy(x - offset)


def _summed_energy(energies, x):
    return sum(energy(x) for energy in energies)


def shifted(model: EBIM, offset: np.ndarray) -> EBIM:
    """The model moved by `offset` (n,), in data units."""
    step = jnp.asarray(offset / float(model.scaling.scale), model.low.dtype)
    return replace(
        model,
        mdf=translate(model.mdf, step),
        energy=Partial(Partial(_shifted_energy, model.energy), step),
        low=model.low + step,
        high=model.high + step,
        anchors=model.anchors + step,
    )


def intersected(key, first: EBIM, second: EBIM) -> EBIM:
    """Where both vanish, with the product of the densities: energies add (Ross et al. 2023, §3.1)."""
    low, high = jnp.maximum(first.low, second.low), jnp.minimum(first.high, second.high)
    mdf = intersection(first.mdf, second.mdf)
    near = jnp.concatenate([first.anchors, second.anchors])
    anchors, _ = points_on_manifold(key, mdf, near, (low, high), 1)
    energy = Partial(_summed_energy, (first.energy, second.energy))
    return replace(first, mdf=mdf, energy=energy, low=low, high=high, anchors=anchors, log_normalizer=None)


def true_intersection(random: np.random.Generator, count: int) -> np.ndarray:
    """Exact draws of the product density on the circle where the spheres meet, (count, 3), by inversion on a grid."""
    angle = np.linspace(0, 2 * np.pi, 20_001)
    radius = np.sqrt(1 - SHIFT @ SHIFT)
    circle = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros_like(angle)])
    weight = projected_normal_sphere_density(circle - SHIFT) * projected_normal_sphere_density(circle + SHIFT)
    law = np.concatenate([[0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
    drawn = np.interp(random.uniform(0, law[-1], count), law, angle)
    return np.column_stack([radius * np.cos(drawn), radius * np.sin(drawn), np.zeros(count)])


def true_union(random: np.random.Generator, count: int) -> np.ndarray:
    """Exact draws of the equal mixture of the two shifted laws, (count, 3)."""
    side = random.choice([-1.0, 1.0], count)
    return projected_normal_sphere(random, count) + side[:, None] * SHIFT


def distance_to_union(points: np.ndarray) -> np.ndarray:
    """Distance of (N, 3) from the nearer sphere, (N,)."""
    return np.min([np.abs(np.linalg.norm(points - sign * SHIFT, axis=1) - 1) for sign in (-1, 1)], axis=0)


def distance_to_intersection(points: np.ndarray) -> np.ndarray:
    """Distance of (N, 3) from the circle where the spheres meet, (N,)."""
    ring = np.hypot(points[:, 0], points[:, 1]) - np.sqrt(1 - SHIFT @ SHIFT)
    return np.hypot(ring, points[:, 2])


def measure(name: str, points: np.ndarray, truth, distance, seed: int) -> dict[str, float]:
    """Transport to the truth and distances from it, under names that end in the manifold's."""
    random = np.random.default_rng([seed, 3])
    lengths = distance(points)
    return {
        f"w1_{name}": wasserstein1(points[random.permutation(len(points))[:COUNT]], truth(random, COUNT)),
        f"w1_floor_{name}": wasserstein1_floor(lambda _: (truth(random, COUNT), truth(random, COUNT))),
        f"distance_mean_{name}": float(lengths.mean()),
        f"distance_max_{name}": float(lengths.max()),
    }


def draw(panels: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """One 3-D panel of samples each, coloured by exp(-E) relative to its largest value there."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    scale = density_scale(np.ones(1))
    for index, (title, (points, density)) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1, projection="3d")
        axes.scatter(*points.T, c=density / density.max(), s=3, cmap=scale.cmap, norm=scale.norm)
        axes.set(
            title=title, xlabel="x₀", ylabel="x₁", zlabel="x₂", xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), zlim=(-1.5, 1.5)
        )
        axes.set_box_aspect((1, 1, 1))
    figure.colorbar(scale, ax=figure.axes, shrink=0.7, label="learned density, relative to its maximum")
    return figure


def density_at(model: EBIM, points: np.ndarray) -> np.ndarray:
    """exp(-E) at points in data units, (N,)."""
    energy = jax.jit(lambda energy, x: jax.vmap(energy)(x))(model.energy, model.scaling.standardize(points))
    return np.exp(-np.asarray(energy, np.float64))


def run(options: Options) -> dict:
    """Learn one sphere, shift it both ways, and sample the union and the intersection."""
    out = claim(output_directory("manifold_arithmetic", options), options.replace)
    config, seed = options.chosen(PRESETS), options.seed
    started, cpu_started = time.perf_counter(), time.process_time()
    train = projected_normal_sphere(np.random.default_rng([seed, 0]), COUNT)
    result = fit(jax.random.key(seed), train, 1, config, progress=True)
    lower, upper = shifted(result.model, -SHIFT), shifted(result.model, SHIFT)
    meeting = intersected(jax.random.key(seed + 1), lower, upper)
    # A union's J vanishes where the spheres meet: choose the factor first, then sample it alone.
    halves = [sample(jax.random.key(seed + 2), model, NUM_SAMPLES // 2) for model in (lower, upper)]
    union_points = np.concatenate([half.points for half in halves])
    circle = sample(jax.random.key(seed + 3), meeting, NUM_SAMPLES)
    ended, cpu_ended = time.perf_counter(), time.process_time()
    metrics = {
        "experiment": "manifold_arithmetic",
        "preset": options.preset,
        "seed": seed,
        "version": version("implicit-manifolds"),
        "temperature": temperature(result.model),
        **measure("union", union_points, true_union, distance_to_union, seed),
        **measure("intersection", circle.points, true_intersection, distance_to_intersection, seed),
        "residual_max": float(max(drawn.distance.max() for drawn in (*halves, circle))),
        "on_manifold_fraction": float(np.mean([drawn.on_manifold.mean() for drawn in (*halves, circle)])),
        "seconds_manifold": result.seconds_manifold,
        "seconds_energy": result.seconds_energy,
        "seconds_total": ended - started,
        "cpu_seconds_total": cpu_ended - cpu_started,
    }
    shown = slice(None, None, 4)
    panels = {
        "sphere, learned": (train, density_at(result.model, train)),
        "union": (
            union_points[shown],
            np.concatenate([density_at(m, h.points) for m, h in zip((lower, upper), halves, strict=True)])[shown],
        ),
        "intersection": (circle.points[shown], density_at(meeting, circle.points)[shown]),
    }
    draw(panels).savefig(out / "density.png", dpi=130)
    save(out / "model", result.model, config, seed)
    write_metrics(out, metrics)
    return metrics


if __name__ == "__main__":
    main(run)
