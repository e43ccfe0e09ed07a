"""MNIST and Fashion-MNIST: grey images of 28 x 28 pixels as points of R^784, by tensorflow-datasets (no TensorFlow)."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..choices import check_choice
from ..errors import DataUnavailable
from .download import VARIABLE, user_folder

ImageData = Literal["mnist", "fashion_mnist"]
Split = Literal["train", "test"]
PREPARED = "tfds/array_record"
"""Where prepared data sets lie in the folder of `VARIABLE`; else they lie where tensorflow-datasets puts them."""


def load_images(name: ImageData, split: Split = "train", count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 784) float32 in [0, 1], rows of pixels from the top, and labels (N,) uint8; N is 60,000 or 10,000.

    In the order of tensorflow-datasets, a fixed shuffle, the first `count` if given. Raises InputError for another
    name, DataUnavailable where the images cannot be had. Sources: LeCun et al. 1998; Xiao et al. 2017.
    """
    check_choice("the data set", name, ImageData)
    check_choice("the part", split, Split)
    pixels, labels = _decoded(name, split, count, user_folder())
    return pixels.astype(np.float32) / 255, labels.copy()


@lru_cache(maxsize=8)  # half a millisecond an image
def _decoded(name: str, split: str, count: int | None, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    source = _source(name, folder)[split]
    rows = source.__getitems__(range(len(source))[:count])
    pixels = np.stack([row["image"] for row in rows]).reshape(len(rows), -1)
    return pixels, np.asarray([row["label"] for row in rows], np.uint8)


def _source(name: str, folder: Path | None) -> Any:
    """The parts of a prepared data set by name; prepared first where there is none, which takes TensorFlow, once."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataUnavailable("images need tensorflow-datasets; pip install 'implicit-manifolds[images]'") from error
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
