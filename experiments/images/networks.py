"""Networks of the image models at each scale, not trained, and those of an EBIM from its files."""

from pathlib import Path
from zipfile import BadZipFile

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.images.scales import Settings
from implicit_manifolds._random import derived_keys
from implicit_manifolds.baselines.autoencoders import (
    Network,
    perceptrons,
)
from implicit_manifolds.errors import InputError
from implicit_manifolds.networks.images import ImageDecoder, ImageEncoder, ImageEnergy, UNet
from implicit_manifolds.networks.mlp import MLP, EnergyMLP
from implicit_manifolds.networks.patches import PatchDecoder, PatchEncoder, PatchEnergy, PatchMixer
from implicit_manifolds.networks.plane import FromPlane
from implicit_manifolds.networks.standardized import Standardized
from implicit_manifolds.training.checkpoint import unflatten


def constraints(key, settings: Settings) -> MLP | UNet | PatchMixer:
    """The network of n - m constraints, 768 of grey images, or of n numbers, at a scale, not trained."""
    if settings.mixer is not None:
        return PatchMixer(settings.shape, **mixer_sizes(settings), rngs=nnx.Rngs(key))
    if settings.hidden is None:
        return UNet(spectral_norm=False, rngs=nnx.Rngs(key))
    return MLP([settings.pixels, *settings.hidden, settings.pixels - settings.latent], rngs=nnx.Rngs(key))


def load_ebim(stem: Path, settings: Settings):
    """F and E of the EBIM whose files begin with `stem`. Raises InputError where there are none, or of another size."""
    key = jax.random.key(0)
    centre = jnp.zeros(settings.pixels)
    flat = FromPlane(constraints(key, settings), jnp.zeros((settings.pixels, settings.latent)), centre)
    loaded = []
    plain = Standardized(image_energy(key, settings), centre, jnp.ones(()))
    for name, network in (("mdf", flat), ("energy", plain)):
        path = stem.parent / f"{stem.name}-{name}.npz"
        if not path.exists():
            raise InputError(f"{path} does not exist; make it with python -m experiments.images.run --model ebim")
        try:
            with np.load(path) as arrays:
                loaded.append(unflatten(network, dict(arrays)))
        except (ValueError, BadZipFile) as error:
            raise InputError(f"{path} is damaged or of another scale; make it anew with --replace") from error
    return tuple(loaded)


def image_energy(key, settings: Settings) -> EnergyMLP | ImageEnergy | PatchEnergy:
    """The energy of images at a scale, not trained."""
    if settings.mixer is not None:
        return PatchEnergy(settings.shape, **mixer_sizes(settings), rngs=nnx.Rngs(key))
    if settings.hidden is None:
        return ImageEnergy(rngs=nnx.Rngs(key))
    return EnergyMLP([settings.pixels, *settings.energy_hidden], rngs=nnx.Rngs(key))


def pair(key, settings: Settings, outputs: int) -> tuple[Network, Network]:
    """An encoder with so many outputs, and a decoder, at a scale, not trained."""
    encoder_key, decoder_key = derived_keys(key, 2)
    if settings.mixer is not None:
        sizes = mixer_sizes(settings)
        encoder = PatchEncoder(settings.shape, outputs, **sizes, rngs=nnx.Rngs(encoder_key))
        return encoder, PatchDecoder(settings.shape, settings.latent, **sizes, rngs=nnx.Rngs(decoder_key))
    if settings.hidden is not None:
        return perceptrons(key, settings.pixels, settings.latent, settings.hidden, outputs)
    return ImageEncoder(outputs, rngs=nnx.Rngs(encoder_key)), ImageDecoder(settings.latent, rngs=nnx.Rngs(decoder_key))


def mixer_sizes(settings: Settings) -> dict[str, int]:
    """Sizes of networks of patches by name."""
    assert settings.mixer is not None
    return dict(zip(("patch", "width", "depth"), settings.mixer, strict=True))
