"""How many dimensions images have, by estimators of others: `python -m experiments.images.dimensions`.

Maximum likelihood from the distances of k neighbours (Levina & Bickel 2005, averaged as MacKay & Ghahramani 2005 do),
as Pope et al. (2021) take it, and those of scikit-dimension, which the extra `dimension` brings. Writes a JSON file.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from experiments.common.command import claim_file, main
from experiments.images.lenet import IMAGES
from experiments.images.run import made_by_images
from implicit_manifolds.datasets.images import ImageData, load_images
from implicit_manifolds.ebim.dimension import other_estimates

NEIGHBOURS = (3, 5, 10, 20)
SETS: tuple[ImageData, ...] = ("mnist", "fashion_mnist", "cifar10_jpeg")
BLOCK = 500


@dataclass(frozen=True)
class DimensionOptions:
    """data: which images. count: how many of each that neighbours are sought among; few: for scikit-dimension."""

    data: tuple[ImageData, ...] = SETS
    count: int = 10_000
    few: int = 3000
    out: Path = IMAGES
    replace: bool = False


def run_dimensions(options: DimensionOptions) -> list[dict[str, Any]]:
    """A line for each data set, written to a JSON file."""
    path = options.out / "dimensions.json"
    claim_file(path, options.replace)
    lines = []
    for data in options.data:
        images = load_images(data, count=options.count)[0]
        line: dict[str, Any] = {"data": data, "images": len(images), **made_by_images()}
        line |= {f"k = {k}": value for k, value in likelihood_estimates(images).items()}
        line |= {"few": min(options.few, len(images))} | other_estimates(images[: options.few].astype(float))
        print(json.dumps(line), flush=True)
        lines.append(line)
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(lines, indent=1) + "\n")
    return lines


def likelihood_estimates(points: np.ndarray) -> dict[int, float]:
    """The dimension of points (N, n) by maximum likelihood from k neighbours, for each k of NEIGHBOURS.

    1/m is the mean over points and j < k of log(T_k / T_j), T_j the j-th neighbour's distance. Copies are left out.
    """
    most = NEIGHBOURS[-1]
    pieces = []
    for first in range(0, len(points), BLOCK):
        distances = cdist(points[first : first + BLOCK], points)
        pieces.append(np.sort(np.partition(distances, most, axis=1)[:, : most + 1], axis=1)[:, 1:])
    nearest = np.concatenate(pieces)
    logs = np.log(nearest[nearest[:, 0] > 0])
    return {k: float(1 / (logs[:, [k - 1]] - logs[:, : k - 1]).mean()) for k in NEIGHBOURS}


if __name__ == "__main__":
    main(run_dimensions, DimensionOptions)
