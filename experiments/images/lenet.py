"""Train the classifier whose features `frechet_lenet` compares: `python -m experiments.images.lenet --data mnist`.

Writes its weights, 240 kB, under experiments/results/images; they are committed, so that distances can be compared.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.tree_util import Partial

from experiments.common.command import main
from experiments.common.places import RESULTS
from experiments.images.lenet_network import LeNet
from implicit_manifolds._loops import in_blocks
from implicit_manifolds.datasets.images import SHAPES, ImageData, load_images
from implicit_manifolds.training.checkpoint import flatten, unflatten
from implicit_manifolds.training.config import TrainingConfig
from implicit_manifolds.training.loop import train_afresh
from implicit_manifolds.training.objective import LossObjective

IMAGES = RESULTS / "images"
BLOCK = 1000


@dataclass(frozen=True, kw_only=True)
class LeNetOptions(TrainingConfig):
    """data: which images. out: directory of the weights. num_steps and the rest: of Adam."""

    data: ImageData = "mnist"
    out: Path = IMAGES
    num_steps: int = 2000
    learning_rate: float = 0.002
    seed: int = 0


def train_lenet(options: LeNetOptions) -> float:
    """Train, write lenet-DATA.npz, and return the accuracy on the test images."""
    images, labels = load_images(options.data)
    network, key = LeNet(SHAPES[options.data], rngs=nnx.Rngs(options.seed)), jax.random.key(options.seed)
    data, objective = (jnp.asarray(images), jnp.asarray(labels, int)), LossObjective(Partial(_cross_entropy))
    state, _ = train_afresh("lenet", key, network, objective, data, options, progress=True)
    options.out.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = flatten(state.model)
    np.savez(options.out / f"lenet-{options.data}.npz", **arrays)
    images, labels = load_images(options.data, "test")
    accuracy = float((lenet_classes(state.model, images) == labels).mean())
    print(f"accuracy on test images: {accuracy:.4f}")
    return accuracy


def load_lenet(data: ImageData, directory: Path = IMAGES) -> LeNet:
    """The network that `train_lenet` wrote."""
    with np.load(directory / f"lenet-{data}.npz") as arrays:
        return unflatten(LeNet(SHAPES[data], rngs=nnx.Rngs(0)), dict(arrays))


def lenet_classes(network: LeNet, images: np.ndarray) -> np.ndarray:
    """The likeliest class of each image (N, n), (N,), clipped as for `lenet_features`."""
    return in_blocks(lambda rows: _logits(network, rows), pixels(images), BLOCK).argmax(axis=1)


def lenet_features(network: LeNet, images: np.ndarray) -> np.ndarray:
    """Features (N, 84) of images (N, n), clipped to [0, 1] as pixels are."""
    return in_blocks(lambda rows: _features(network, rows), pixels(images), BLOCK)


def pixels(images) -> np.ndarray:
    """Images clipped to [0, 1]; raises ArithmeticError for what is not finite, which a maximum would hide."""
    if not np.isfinite(images).all():
        raise ArithmeticError("an image has pixels that are not finite; leave it out and count it")
    return np.clip(images, 0, 1).astype(np.float32)


def _cross_entropy(key, network, batch):
    images, labels = batch
    loss = optax.losses.softmax_cross_entropy_with_integer_labels(jax.vmap(network)(images), labels).mean()
    return loss, {"cross_entropy": loss}


@jax.jit
def _logits(network, images):
    return jax.vmap(network)(images)


@jax.jit
def _features(network, images):
    return jax.vmap(network.features)(images)


if __name__ == "__main__":
    main(train_lenet, LeNetOptions)
