"""Arithmetic of learned digit manifolds: `python -m experiments.images.arithmetic` learns {1, 4} and {4, 7} apart.

Their union is a mixture of samples. Their intersection has 1,536 constraints in 784 dimensions, hence no exact zeros:
ambient Langevin chains on ‖F₁‖² + ‖F₂‖² end where both residuals are small, and what is left is reported (Ross et al.
2023).
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from experiments.common.command import claim_file, main
from experiments.images.lenet import IMAGES, lenet_classes, load_lenet
from experiments.images.models import chain_ends, fit_image_manifold
from experiments.images.noise import normal_noise
from experiments.images.run import made_by_images
from experiments.images.scales import SETTINGS, Scale
from experiments.images.zeros import residuals
from implicit_manifolds._random import derived_keys
from implicit_manifolds.datasets.images import load_images
from implicit_manifolds.mcmc import Langevin
from implicit_manifolds.plot.images import plot_images
from implicit_manifolds.training import checkpoint

PAIRS = ((1, 4), (4, 7))
NOISE_SCALE, STEP_SIZE = 0.003, 0.2
"""Singular values are near one, so the sum's Hessian is at most about four, and this step stable; it is far colder than
exp(-E), or the noise of 784 pixels would drown what is sought."""
STEPS = 400
SHOWN = 20


@dataclass(frozen=True)
class ArithmeticOptions:
    """scale, seed: of both manifolds. out: directory of results. samples: of each set.

    checkpoints: where a stopped run goes on from. replace: results of an earlier run may be replaced.
    """

    scale: Scale = "reduced"
    seed: int = 0
    out: Path = IMAGES
    samples: int = 500
    checkpoints: Path | None = None
    replace: bool = False


def run_arithmetic(options: ArithmeticOptions) -> dict[str, Any]:
    """Learn both manifolds, sample each, their union and their intersection, and say which digits come out."""
    stem = f"arithmetic-{options.scale}-seed{options.seed}"
    path = options.out / f"{stem}.json"
    claim_file(path, options.replace)
    settings, key = SETTINGS[options.scale], jax.random.key(options.seed)
    images, labels = load_images("mnist", count=settings.images)
    sets = [images[np.isin(labels, pair)] for pair in PAIRS]
    fit_keys, draw_keys = derived_keys(key, 2), derived_keys(jax.random.fold_in(key, 2), 3)
    mdfs = []
    for pair, fit_key, points in zip(PAIRS, fit_keys, sets, strict=True):
        # As many epochs as a manifold of all digits has.
        steps = settings.manifold.num_steps * len(points) // len(images)
        fitted = replace(settings, manifold=replace(settings.manifold, num_steps=steps))
        directory = None if options.checkpoints is None else options.checkpoints / f"{stem}-{_name(pair)}"
        if directory is not None:
            checkpoint.claim(directory, fit_key, points, repr(fitted))
        training: dict[str, Any] = {"progress": True, "checkpoint_dir": directory}
        mdfs.append(fit_image_manifold(fit_key, jnp.asarray(points), fitted, training)[0])
    drawn = {
        _name(pair): near_zeros(draw_key, [mdf], points, options.samples)
        for pair, draw_key, mdf, points in zip(PAIRS, draw_keys, mdfs, sets, strict=False)
    }
    halves = [points[: options.samples // 2] for points in drawn.values()]
    drawn["union"] = np.random.default_rng(options.seed).permutation(np.concatenate(halves))
    drawn["intersection"] = near_zeros(draw_keys[2], mdfs, images[np.isin(labels, PAIRS)], options.samples)
    network = load_lenet("mnist")
    metrics: dict[str, Any] = {"scale": options.scale, "seed": options.seed, **made_by_images()}
    for name, points in drawn.items():
        shares = np.bincount(lenet_classes(network, points), minlength=10) / len(points)
        sizes = {_name(pair): float(residuals(mdf, points).mean()) for pair, mdf in zip(PAIRS, mdfs, strict=True)}
        metrics[name] = {"digits": [float(share) for share in shares], "residual": sizes}
    for digit in (1, 4, 7):
        points = images[labels == digit][: options.samples]
        sizes = {_name(pair): float(residuals(mdf, points).mean()) for pair, mdf in zip(PAIRS, mdfs, strict=True)}
        metrics[f"data of digit {digit}"] = {"residual": sizes}
    options.out.mkdir(parents=True, exist_ok=True)
    grid = np.concatenate([points[:SHOWN] for points in drawn.values()])
    plot_images(grid, SHOWN, list(drawn)).savefig(options.out / f"{stem}.png")
    path.write_text(json.dumps(metrics, indent=1) + "\n")
    print(json.dumps(metrics, indent=1))
    return metrics


def near_zeros(key, mdfs: list[Any], data: np.ndarray, count: int) -> np.ndarray:
    """Ends of ambient chains on the sum of ‖F‖² (count, 784), from normal noise."""
    sampler = Langevin(Partial(Partial(_squares), tuple(mdfs)), NOISE_SCALE, STEP_SIZE)
    start_key, chain_key = derived_keys(key, 2)
    return chain_ends(sampler, chain_key, normal_noise(data)(start_key, count), STEPS).images


def _squares(mdfs, x):
    return sum(jnp.sum(mdf(x) ** 2) for mdf in mdfs)


def _name(pair: tuple[int, ...]) -> str:
    return " and ".join(map(str, pair))


if __name__ == "__main__":
    main(run_arithmetic, ArithmeticOptions)
