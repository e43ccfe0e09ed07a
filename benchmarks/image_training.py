"""Milliseconds of an update on images, compilation apart: `python -m benchmarks.image_training --scale paper`.

One update of the manifold, and of its energy on the manifold that `python -m experiments.images --model ebim` learned,
with 1, 5 and 20 constrained steps for each. The authors report about 3 s for theirs with one (Ross et al. 2023).
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.command import main
from experiments.common.markdown import replace_between_marks, table_header, table_row
from experiments.common.places import DOCS
from experiments.images.lenet import IMAGES
from experiments.images.models import chains, pixel_box
from experiments.images.networks import constraints, image_energy, load_ebim
from experiments.images.noise import normal_noise
from experiments.images.run import ImageOptions, stem
from experiments.images.scales import SETTINGS, Scale
from experiments.images.zeros import start_on
from implicit_manifolds.datasets.images import load_images
from implicit_manifolds.ebim.manifold import ManifoldObjective
from implicit_manifolds.networks.plane import start_as_plane
from implicit_manifolds.networks.standardized import standardized
from implicit_manifolds.training.loop import adam, initial_state, train

CHAIN_STEPS = (1, 5, 20)


@dataclass(frozen=True)
class Options:
    """scale: of networks and batches. updates: that are timed.

    out: the JSON file, named by the scale unless given. page: where the table goes.
    """

    scale: Scale = "paper"
    updates: int = 20
    out: Path | None = None
    page: Path = DOCS / "image_manifolds.md"


def measure(options: Options) -> None:
    """Print the times, write them as JSON, and put their table into the page."""
    settings, key = SETTINGS[options.scale], jax.random.key(0)
    images = load_images("mnist")[0]
    learned = load_ebim(IMAGES / stem(ImageOptions("mnist", "ebim", options.scale)), settings)[0]
    objective = ManifoldObjective(pixel_box(settings), settings.manifold)
    plane = start_as_plane(constraints(key, settings), images)
    found: dict[str, Any] = {"device": jax.devices()[0].device_kind, "scale": options.scale, "energy": {}}
    found["manifold"] = timed(objective, plane, images, settings.manifold, options.updates)
    print(f"manifold: {1e3 * found['manifold']:.0f} ms")
    starts = start_on(learned, normal_noise(images), key, settings.energy.starts)[0]
    for steps in CHAIN_STEPS:
        config = replace(settings.energy, langevin_steps=steps)
        walks = chains(learned, starts, replace(settings, energy=config))
        seconds = timed(walks, standardized(image_energy(key, settings), images), images, config, options.updates)
        found["energy"][str(steps)] = seconds
        print(f"energy, {steps} constrained steps: {1e3 * seconds:.0f} ms", flush=True)
    path = options.out or Path(__file__).parent / "results" / f"image_training-{options.scale}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    replace_between_marks(options.page, "updates", table(found))


def table(found: dict[str, Any]) -> str:
    """Markdown: milliseconds of an update of each kind."""
    names = ("scale", "device", "manifold", *(f"energy, {steps} constrained steps" for steps in found["energy"]))
    times = [f"{1e3 * seconds:.0f}" for seconds in (found["manifold"], *found["energy"].values())]
    return "\n".join([*table_header(*names), table_row(found["scale"], found["device"], *times)])


def timed(objective, model, images: np.ndarray, config, updates: int) -> float:
    """Seconds of an update, after as many that are not timed."""
    optimizer = adam(config.learning_rate)
    data = jnp.asarray(images[: updates * config.batch_size])
    state = initial_state(jax.random.key(1), objective, optimizer, model)
    sizes = {"num_steps": updates, "batch_size": config.batch_size}
    state, _ = train(objective, optimizer, state, data, **sizes)
    jax.block_until_ready(state.model)
    started = time.perf_counter()
    state, _ = train(objective, optimizer, state, data, **sizes)
    jax.block_until_ready(state.model)
    return (time.perf_counter() - started) / updates


if __name__ == "__main__":
    main(measure, Options)
