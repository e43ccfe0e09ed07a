"""Images as points of R^n: MNIST, Fashion-MNIST and CIFAR-10, by tensorflow-datasets (no TensorFlow) or from JPEGs."""

import io
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..choices import check_choice
from ..errors import DataUnavailable
from .download import VARIABLE, fetch, user_folder

ImageData = Literal["mnist", "fashion_mnist", "cifar10", "cifar10_jpeg"]
Split = Literal["train", "test"]
SHAPES = {
    "mnist": (28, 28, 1),
    "fashion_mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "cifar10_jpeg": (32, 32, 3),
}
"""Rows, columns and channels of each data set's images."""
PREPARED = "tfds/array_record"
"""Where prepared data sets lie in the folder of `VARIABLE`; else they lie where tensorflow-datasets puts them."""
SUBSET = "cifar10_jpeg/cifar10_jpeg_subset.npz"
HINT = "pip install 'implicit-manifolds[images]'"


def load_images(name: ImageData, split: Split = "train", count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, n) float32 in [0, 1], pixels row by row from the top, of colours red, green, blue; labels (N,) uint8.

    n is 784, grey, for "mnist" and "fashion_mnist", 3,072 for "cifar10"; N is 60,000 (CIFAR-10: 50,000) or 10,000.
    "cifar10_jpeg" is a part of CIFAR-10, 10,000 and 2,000 images re-encoded with loss: for trying things, not for
    numbers to stand beside published ones. In a fixed shuffled order, the first `count` if given. Raises InputError for
    another name, DataUnavailable where the images cannot be had. Sources: LeCun et al. 1998; Xiao et al. 2017;
    Krizhevsky 2009.
    """
    check_choice("the data set", name, ImageData)
    check_choice("the part", split, Split)
    pixels, labels = _decoded(name, split, count, user_folder())
    return pixels.astype(np.float32) / 255, labels.copy()


@lru_cache(maxsize=8)  # half a millisecond an image
def _decoded(name: str, split: str, count: int | None, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    if name == "cifar10_jpeg":
        return _of_jpeg(split, count)
    source = _source(name, folder)[split]
    rows = source.__getitems__(range(len(source))[:count])
    pixels = np.stack([row["image"] for row in rows]).reshape(len(rows), -1)
    return pixels, np.asarray([row["label"] for row in rows], np.uint8)


def _of_jpeg(split: str, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The first images of a fixed shuffle: in the file they are grouped by class."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DataUnavailable(f"images need pillow; {HINT}") from error
    with np.load(fetch(SUBSET)) as file:
        data, offsets, labels = (file[f"{split}_{kind}"] for kind in ("jpeg", "offsets", "label"))
    chosen = np.random.default_rng(0).permutation(len(labels))[:count]
    files = [io.BytesIO(data[offsets[row] : offsets[row + 1]].tobytes()) for row in chosen]
    pixels = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return np.stack(pixels).reshape(len(chosen), -1), labels[chosen]


def _source(name: str, folder: Path | None) -> Any:
    """The parts of a prepared data set by name; prepared first where there is none, which takes TensorFlow, once."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataUnavailable(f"images need tensorflow-datasets; {HINT}") from error
    logging.getLogger("absl").setLevel(logging.ERROR)  # it would praise OpenCV
    prepared = None if folder is None else folder / PREPARED
    here = prepared is not None and (prepared / name).is_dir()
    try:
        return tfds.data_source(name, data_dir=prepared if here else None, download=not here)
    except Exception as error:  # of many kinds: no network, no TensorFlow to prepare with, files of another kind
        raise DataUnavailable(
            f"{name} could not be prepared ({type(error).__name__}); set {VARIABLE} to a folder that holds it under "
            f"{PREPARED}, or install TensorFlow and let tfds.builder({name!r}, file_format='array_record') download it"
        ) from error
