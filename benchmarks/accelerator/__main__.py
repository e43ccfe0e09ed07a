"""The library on whatever device JAX finds: `python -m benchmarks.accelerator --minutes 9 --out DIR`.

Bandwidth; exact laws, by the precision of products; constrained Langevin and HMC chains with the bytes that they
move; BlackJAX's HMC in a chart and with a soft constraint beside them; a fit; updates of the paper's image models,
and a short training of them with a grid of samples. Every figure is written when it is had, and a second run takes
those that are missing, in at most so many minutes, of which each part has a share. On a CPU sizes are small.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import jax
import tyro

from benchmarks.accelerator import chains, fit, images
from benchmarks.accelerator.figures import Figures

PARTS = {
    "info": (chains.bandwidth, 0.05),
    "laws": (chains.laws, 0.15),
    "clmc": (chains.langevin, 0.15),
    "hmc": (chains.leapfrogs, 0.15),
    "rivals": (chains.rivals, 0.05),
    "fit": (fit.fits, 0.1),
    "images": (images.updates, 0.1),
    "training": (images.training, 0.25),
}
"""What takes the figures of a part, and its share of the time; what one leaves is for those after it."""


@dataclass(frozen=True)
class Options:
    """minutes: after which nothing more is begun. out: directory of figures.jsonl. parts: which, in this order."""

    minutes: float = 9.0
    out: Path = Path("runs/accelerator")
    parts: tuple[str, ...] = tuple(PARTS)


def main(options: Options) -> None:
    """Take the figures that are missing."""
    # Products keep ten bits on a GPU otherwise, and zeros of F cannot be reached to the tolerance of float32.
    jax.config.update("jax_default_matmul_precision", "highest")
    figures, started, allotted = Figures(options.out / "figures.jsonl"), time.time(), 0.0
    whole = sum(PARTS[part][1] for part in options.parts)
    for part in options.parts:
        take, share = PARTS[part]
        allotted += share / whole
        figures.fill(part, take(jax.default_backend() != "cpu"), started + 60 * options.minutes * allotted)


if __name__ == "__main__":
    main(tyro.cli(Options))
