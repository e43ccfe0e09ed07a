"""What does not belong on a learned manifold of images: `python -m experiments.images.detection --data fashion_mnist`.

Takes a model that `python -m experiments.images` wrote, and scores test images of its data against other images: the
other data sets, turned, noisy and blurred ones. A score is good where images that do not belong have more of it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter

from experiments.common.command import main
from experiments.images.lenet import IMAGES
from experiments.images.networks import load_ebim
from experiments.images.run import ImageOptions, made_by_images, stem
from experiments.images.scales import TOLERANCE, Scale, settings_of
from experiments.images.zeros import BLOCK
from implicit_manifolds._loops import in_blocks
from implicit_manifolds.datasets.images import SHAPES, ImageData, load_images
from implicit_manifolds.manifold.projection import project, sampson_distance
from implicit_manifolds.manifold.tangent import linearize, tangent_projection
from implicit_manifolds.mcmc.constrained_langevin import ROUGHLY
from implicit_manifolds.metrics.detection import auc

NOISE = 0.3
"""Standard deviation of pixels of noisy images, which are then clipped to [0, 1]."""
BLUR = 1.0
"""Standard deviation in pixels of the normal law that blurred images are averaged by."""
GREY_SETS: tuple[ImageData, ...] = ("mnist", "fashion_mnist")
DESCENTS = 10
"""Steps from that zero towards the nearest one, each along the tangent space and back to the manifold."""


@dataclass(frozen=True)
class OodOptions:
    """data, scale, seed: of the EBIM. runs: where it is, and where its numbers go. count: test images of each kind."""

    data: ImageData = "fashion_mnist"
    scale: Scale = "reduced"
    seed: int = 0
    runs: Path = IMAGES
    count: int = 500


def run_ood(options: OodOptions) -> dict[str, Any]:
    """The AUC of every score against every kind of image, written to a JSON file beside the model's."""
    name = stem(ImageOptions(options.data, "ebim", options.scale, options.seed))
    mdf, energy = load_ebim(options.runs / name, settings_of(options.data, options.scale))
    images = load_images(options.data, count=options.count)[0]
    typical = scores(mdf, energy, images)
    inside, *others = kinds(options)
    found = {kind: combined(scores(mdf, energy, points), typical) for kind, points in [inside, *others]}
    table: dict[str, Any] = {
        kind: {score: auc(found["inside"][score], values) for score, values in found[kind].items()}
        for kind, _ in others
    }
    table |= {"lost": {kind: float(np.mean(~np.isfinite(values["distance"]))) for kind, values in found.items()}}
    (options.runs / f"{name}-ood.json").write_text(json.dumps(table | made_by_images(), indent=1) + "\n")
    print(json.dumps(table, indent=1))
    return table


def kinds(options: OodOptions) -> list[tuple[str, np.ndarray]]:
    """Named sets of images (count, n), first those that belong."""
    shape, random = SHAPES[options.data], np.random.default_rng(options.seed)
    inside = load_images(options.data, "test", options.count)[0]
    others = [name for name in GREY_SETS if name != options.data]
    sets: list[tuple[str, Any]] = [
        (name, in_shape(load_images(name, "test", options.count)[0], shape)) for name in others
    ]
    grid = inside.reshape(-1, *shape)
    noisy = np.clip(inside + NOISE * random.normal(size=inside.shape), 0, 1)
    blurred = gaussian_filter(grid, (0, BLUR, BLUR, 0))
    sets += [("turned", np.rot90(grid, axes=(1, 2))), ("noisy", noisy), ("blurred", blurred)]
    return [("inside", inside)] + [(name, rows.reshape(inside.shape).astype(np.float32)) for name, rows in sets]


def in_shape(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Grey images (N, 784) amid a black rim and in as many equal colours as a shape has, (N, n)."""
    rim = (shape[0] - 28) // 2
    framed = np.pad(images.reshape(-1, 28, 28, 1), ((0, 0), (rim, rim), (rim, rim), (0, 0)))
    return np.repeat(framed, shape[2], axis=3).reshape(len(images), -1)


def scores(mdf, energy, points: np.ndarray) -> dict[str, np.ndarray]:
    """Of each image ‖F‖, the Sampson distance, and the distance to the zero it is projected to and the energy there.

    "nearest" is the distance to the nearest zero, as far as a few steps come.
    """
    found = in_blocks(lambda rows: _scores(mdf, energy, rows), np.ascontiguousarray(points), BLOCK)
    return dict(zip(("residual", "sampson", "distance", "nearest", "energy"), found, strict=True))


def combined(found: dict[str, np.ndarray], typical: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The scores, and sums of energy and a distance, each less its median on training images, by its spread there.

    An image that no zero is found for has an infinite distance, which is as far from typical as can be.
    """

    def standard(name):
        values = typical[name][np.isfinite(typical[name])]
        return (found[name] - np.median(values)) / np.ptp(np.quantile(values, [0.25, 0.75]))

    pairs = {f"energy + {name}": standard("energy") + standard(name) for name in ("sampson", "distance", "nearest")}
    # Both ways: an image simpler than all of the data lies close to its manifold, which is as telling.
    atypical = {f"atypical {name}": np.abs(standard(name)) for name in ("distance", "energy")}
    both = {"atypical energy and distance": np.hypot(standard("energy"), standard("distance"))}
    return found | pairs | atypical | both


@jax.jit
def _scores(mdf, energy, points):
    def one(x):
        zero = project(mdf, x, TOLERANCE)
        distances = [jnp.linalg.norm(y - x) for y in (zero.position, nearer(mdf, x, zero.position))]
        reached = [jnp.where(zero.converged, distance, jnp.inf) for distance in distances]
        return jnp.linalg.norm(mdf(x)), sampson_distance(mdf, x), *reached, energy(zero.position)

    return jax.vmap(one)(points)


def nearer(mdf, x, zero):
    """A zero nearer to x (n,), by steps that ignore the curvature of {F = 0}, shortened where they do not lead nearer.

    `nearest_point` would use its second derivatives, which cost far more.
    """

    def step(_, carry):
        y, share = carry
        along = tangent_projection(mdf, linearize(mdf, y), x - y, ROUGHLY)
        trial = project(mdf, y + share * along, TOLERANCE)
        shorter = trial.converged & (jnp.linalg.norm(trial.position - x) < jnp.linalg.norm(y - x))
        return jnp.where(shorter, trial.position, y), jnp.where(shorter, share, share / 4)

    return jax.lax.fori_loop(0, DESCENTS, step, (zero, 1.0))[0]


if __name__ == "__main__":
    main(run_ood, OodOptions)
