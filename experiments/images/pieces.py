"""Runs on images in pieces: `python -m experiments.images.pieces --minutes 8` goes on with the first that is not done.

The same command again goes on from what is on disk, to the same bits; `--left` says what there is and what is left, and
runs nothing. Only what it lists under "to carry" need be taken along to another machine: zeros of training images and
results are made again, or are done.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

from experiments.common.command import main
from experiments.images.lenet import IMAGES
from experiments.images.models import Model
from experiments.images.run import ImageOptions, run_images, stem
from experiments.images.runs import CHECKPOINTS
from experiments.images.scales import Scale, settings_of
from implicit_manifolds.datasets.images import ImageData
from implicit_manifolds.errors import Paused
from implicit_manifolds.training.loop import MAX_BATCHES_PER_ROUND
from implicit_manifolds.training.pause import stopping_after

TRAININGS: dict[Model, dict[str, str]] = {
    "ebim": {"manifold": "manifold", "ebim/energy": "energy"},
    "ebim_score_matching": {"manifold": "manifold", "ebim_score_matching/energy": "energy"},
    "im": {"manifold": "manifold"},
    "ae_ebm": {"ae_ebm/autoencoder": "autoencoder", "ae_ebm/energy": "energy"},
    "vae_ebm": {"vae_ebm/autoencoder": "autoencoder", "vae_ebm/energy": "energy"},
    "nae": {"nae/autoencoder": "autoencoder", "nae/energy": "normalized"},
    "fif": {"fif/free-form flow": "free_form"},
}
"""Where a model's trainings are among the checkpoints of its data, and what their settings are called."""


@dataclass(frozen=True)
class PieceOptions:
    """data, models, scale, seed: what to run, the first model of all data first. minutes: after which to stop.

    The piece ends a little later: where its state is next saved. left: say what is left, and run nothing. out,
    checkpoints: as of a run.
    """

    data: tuple[ImageData, ...] = ("mnist", "fashion_mnist", "cifar10")
    models: tuple[Model, ...] = get_args(Model)
    scale: Scale = "paper"
    seed: int = 0
    minutes: float = 8.0
    left: bool = False
    out: Path = IMAGES
    checkpoints: Path = CHECKPOINTS


def run_piece(options: PieceOptions) -> list[ImageOptions]:
    """Go on for some minutes; prints and returns what is left."""
    if not options.left:
        try:
            with stopping_after(60 * options.minutes):
                for run in unfinished(options):
                    run_images(run)
        except Paused:
            pass
    left = unfinished(options)
    for run in left:
        print(f"{stem(run)}: {', '.join(progress(run))}; to carry {carried(run) / 1e6:.0f} MB")
    print(f"{len(left)} of {len(options.models) * len(options.data)} runs left")
    return left


def unfinished(options: PieceOptions) -> list[ImageOptions]:
    """Runs that have no result, in the order in which they are made."""
    runs = [
        ImageOptions(data, model, options.scale, options.seed, options.out, options.checkpoints)
        for model, data in product(options.models, options.data)
    ]
    return [run for run in runs if not (run.out / f"{stem(run)}.json").exists()]


def progress(run: ImageOptions) -> list[str]:
    """Each of a run's trainings, in words: updates made and in all; and its samples, where there are some."""
    directory, settings = _directory(run), settings_of(run.data, run.scale)
    words = []
    for place, name in TRAININGS[run.model].items():
        count = getattr(settings, name).num_steps
        rounds = max((int(path.name) for path in (directory / place).glob("[0-9]*")), default=0)
        made = min(count, rounds * min(MAX_BATCHES_PER_ROUND, count))
        words.append(f"{place.split('/')[-1]} {made:,} of {count:,} updates")
    blocks = len(list((directory / run.model / "samples").rglob("*.npz")))
    return words + [f"{blocks} blocks of samples"] * bool(blocks)


def carried(run: ImageOptions) -> int:
    """Bytes on disk that a run goes on from elsewhere."""
    directory = _directory(run)
    places = [*(directory / place for place in TRAININGS[run.model]), directory / run.model]
    files = {path for place in places for path in place.rglob("*") if path.is_file()}
    return sum(path.stat().st_size for path in files)


def _directory(run: ImageOptions) -> Path:
    assert run.checkpoints is not None
    return run.checkpoints / f"{run.data}-{run.scale}-seed{run.seed}"


if __name__ == "__main__":
    main(run_piece, PieceOptions)
