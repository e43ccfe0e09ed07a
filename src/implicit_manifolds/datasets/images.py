"""MNIST and Fashion-MNIST: grey images of 28 x 28 pixels as points of R^784."""

import gzip
import struct
from pathlib import Path
from typing import Literal

import numpy as np

from ..choices import check_choice
from .download import fetch

ImageData = Literal["mnist", "fashion_mnist"]
Split = Literal["train", "test"]
_STEMS = {"train": "train", "test": "t10k"}


def load_images(name: ImageData, split: Split = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 784) float32 in [0, 1], rows of pixels from the top, and labels (N,) uint8; N is 60,000 or 10,000.

    Raises InputError for another name, DataUnavailable as `fetch` does. Sources: LeCun et al. 1998; Xiao et al. 2017.
    """
    check_choice("the data set", name, ImageData)
    check_choice("the part", split, Split)
    images, labels = (
        read_idx(fetch(f"{name}/{_STEMS[split]}-{part}-ubyte.gz")) for part in ("images-idx3", "labels-idx1")
    )
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels


def read_idx(path: Path) -> np.ndarray:
    """The array of bytes in a gzipped idx file: two zeros, type, rank, then sizes as big-endian 32-bit integers."""
    with gzip.open(path, "rb") as file:
        content = file.read()
    rank = content[3]
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
