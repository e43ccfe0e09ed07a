"""FID, for those who have the weights of Inception-v3 that define it; they are not ours to ship.

By torch-fidelity, whose features are those of the original TensorFlow network; the extra `fid` installs it.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from implicit_manifolds.errors import InputError

SIDE = 28


def fid(drawn: np.ndarray, images: np.ndarray, weights: Path) -> float:
    """Fréchet distance of Inception-v3 features of samples (N, 784) from those of images (M, 784), grey as RGB.

    The number depends on N: published ones are mostly for 50,000 samples against all training images (Heusel et al.
    2017). Raises InputError as `check_weights` does.
    """
    check_weights(weights)
    if images.shape[1] != SIDE**2:
        raise InputError("fid is of grey images of 28 x 28 so far; leave --fid-weights away")
    import torch
    from torch.utils.data import Subset
    from torch_fidelity import calculate_metrics

    pixels: list[Any] = [torch.from_numpy(as_rgb(rows)) for rows in (drawn, images)]
    first, second = (Subset(rows, range(len(rows))) for rows in pixels)
    options: dict[str, Any] = {"fid": True, "cuda": torch.cuda.is_available(), "verbose": False, "cache": False}
    options["save_cpu_ram"] = True  # no workers: forks of a process that runs JAX may hang
    found = calculate_metrics(input1=first, input2=second, feature_extractor_weights_path=str(weights), **options)
    return float(found["frechet_inception_distance"])


def check_weights(weights: Path) -> None:
    """Raises InputError where the file of torch-fidelity's `inceptionv3` weights, or the package, is missing."""
    if not weights.is_file():
        raise InputError(f"{weights} does not exist; fid needs torch-fidelity's file of the weights of Inception-v3")
    if importlib.util.find_spec("torch_fidelity") is None:
        raise InputError("fid needs torch-fidelity; pip install 'implicit-manifolds[fid]'")


def as_rgb(images: np.ndarray) -> np.ndarray:
    """Images (N, 784) as bytes (N, 3, 28, 28); what lies outside [0, 1] is clipped."""
    grey = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return np.repeat(grey.reshape(-1, 1, SIDE, SIDE), 3, axis=1)
