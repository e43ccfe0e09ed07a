"""All runs on images that are missing: `python -m experiments.pages --only images --run`.

Goes on where it was stopped, since each run writes files of its own and long trainings have checkpoints.
"""

from itertools import product
from pathlib import Path
from typing import get_args

from experiments.images import arithmetic, chains, denoisers, detection, dimensions, isometry, known, run
from experiments.images.families import FAMILIES
from experiments.images.lenet import IMAGES
from experiments.images.models import Model
from experiments.images.scales import Scale
from experiments.images.tables import GREY, SCALE
from implicit_manifolds.datasets.images import ImageData

COLOUR: ImageData = "cifar10_jpeg"
"""The part of CIFAR-10 that is run where its true files are not at hand, with one seed."""
SEEDS = 3
CHECKPOINTS = Path("runs/images")
"""Where stopped runs go on from."""


def run_missing(scale: Scale = SCALE, seeds: int = SEEDS, runs: Path = IMAGES, checkpoints: Path = CHECKPOINTS) -> None:
    """Run what is missing, the most telling first; each run writes files of its own.

    A run that diverges stops no others; raises ArithmeticError at the end where there were any.
    """
    diverged = []
    sets = [(seed, data) for seed in range(seeds) for data in (*GREY, COLOUR) if data in GREY or seed == 0]
    for (seed, data), model in product(sets, get_args(Model)):
        options = run.ImageOptions(data, model, scale, seed, runs, checkpoints)
        if not (runs / f"{run.stem(options)}.json").exists():
            try:
                run.run_images(options)
            except ArithmeticError as error:
                diverged.append(f"{run.stem(options)}: {error}")
    for seed, data in sets:
        stem = run.stem(run.ImageOptions(data, "ebim", scale, seed))
        if not (runs / f"{stem}.json").exists():
            continue
        if not (runs / f"{stem}-ood.json").exists():
            detection.run_ood(detection.OodOptions(data, scale, seed, runs))
        if seed == 0 and not (runs / f"{stem}-chains.json").exists():
            chains.run_chains(chains.ChainOptions(data, scale, seed, runs))
    if seeds and not (runs / f"arithmetic-{scale}-seed0.json").exists():
        arithmetic.run_arithmetic(arithmetic.ArithmeticOptions(scale, 0, runs, checkpoints=checkpoints))
    for data in ("mnist", COLOUR) if seeds else ():
        if not (runs / f"{data}-isometry-seed0.json").exists():
            isometry.run_isometry(isometry.IsometryOptions(data, out=runs))
    if seeds and not (runs / "dimensions.json").exists():
        dimensions.run_dimensions(dimensions.DimensionOptions(out=runs))
    for data in GREY if seeds else ():
        judged = denoisers.DenoiserOptions(data, scale, out=runs, checkpoints=checkpoints / f"denoiser-{data}-{scale}")
        if not denoisers.path_of(judged).exists():
            denoisers.run_denoisers(judged)
    for seed, family in product(range(seeds), FAMILIES):
        if not (runs / f"known-{family}-seed{seed}.json").exists():
            known.run_known(known.KnownOptions(family, seed, runs))
    if diverged:
        raise ArithmeticError("; ".join(diverged))
