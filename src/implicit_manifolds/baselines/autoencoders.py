"""Pairs of an encoder and a decoder, one point at a time; all offer `encode` (n,) to (m,) and `decode` (m,) to (n,)."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._loops import over_points
from .._pytree import pytree
from .._random import derived_keys
from .._types import Array, Float, RandomKey, Scalar, Vector
from ..networks.images import ImageDecoder, ImageEncoder
from ..networks.mlp import MLP
from ..networks.patches import PatchDecoder, PatchEncoder
from ..networks.residual import ResidualMLP
from ..scaling import standardization
from ..training.objective import Terms

Code = Float[Array, " m"]
Network = MLP | ResidualMLP | ImageEncoder | ImageDecoder | PatchEncoder | PatchDecoder


@runtime_checkable
class Autoencoder(Protocol):
    """What a pushforward model needs of its maps."""

    def encode(self, x: Vector) -> Code:
        """The code (m,) of a point (n,)."""
        ...

    def decode(self, z: Code) -> Vector:
        """The point (n,) of a code (m,)."""
        ...


@runtime_checkable
class Inflated(Protocol):
    """An autoencoder that has a density of all of R^n, not of its decoder's image alone."""

    def log_off_manifold(self, x: Vector) -> Scalar:
        """What log p(x) in R^n has beside the log density of the code."""
        ...


class NetworkAutoencoder(nnx.Module):
    """Two networks, encoder (n,) to at least (m,) and decoder (m,) to (n,).

    What the encoder gives beyond m is for training alone: log σ of a variational one.
    """

    def __init__(self, encoder: Network, decoder: Network, latent: int):
        self.encoder, self.decoder = encoder, decoder
        self.latent = latent

    def encode(self, x: Vector) -> Code:
        """The code (m,) of a point (n,)."""
        return self.encoder(x)[: self.latent]

    def decode(self, z: Code) -> Vector:
        """The point (n,) of a code (m,)."""
        return self.decoder(z)


def perceptrons(
    key: RandomKey, dimension: int, latent: int, hidden: tuple[int, ...], outputs: int | None = None
) -> tuple[MLP, MLP]:
    """An encoder from (n,) to (m,), or to `outputs` numbers, and a decoder (m,) to (n,) of the same widths."""
    encoder_key, decoder_key = derived_keys(key, 2)
    encoder = MLP([dimension, *hidden, outputs or latent], rngs=nnx.Rngs(encoder_key))
    return encoder, MLP([latent, *reversed(hidden), dimension], rngs=nnx.Rngs(decoder_key))


@pytree
@dataclass(frozen=True, eq=False)
class Identity:
    """No manifold: every point is its own code."""

    dimension: int = field(metadata={"static": True})

    def encode(self, x: Vector) -> Vector:
        """The point itself."""
        return x

    def decode(self, z: Vector) -> Vector:
        """The code itself."""
        return z


@pytree
@dataclass(frozen=True, eq=False)
class Rescaled:
    """An autoencoder with codes (z - shift)/scale in place of z: shift (m,), scale ()."""

    autoencoder: Autoencoder
    shift: Code
    scale: Scalar

    def encode(self, x: Vector) -> Code:
        """The code (m,) of a point (n,)."""
        return (self.autoencoder.encode(x) - self.shift) / self.scale

    def decode(self, z: Code) -> Vector:
        """The point (n,) of a code (m,)."""
        return self.autoencoder.decode(self.shift + self.scale * z)


def log_change(autoencoder: Autoencoder, x: Vector, z: Code) -> Scalar:
    """What to add to the log density of the code z (m,) of x (n,) for that of x.

    By volume in R^n of an `Inflated` one, else by volume of the decoder's image.
    """
    return autoencoder.log_off_manifold(x) if isinstance(autoencoder, Inflated) else -log_volume(autoencoder, z)


def log_volume(autoencoder: Autoencoder, z: Code) -> Scalar:
    """½ log det(JᵀJ), J (n, m) the decoder's Jacobian at z (m,): the log of how much the decoder stretches volume.

    -inf or NaN where J loses rank. By the triangle of a QR, since JᵀJ would square the condition number.
    """
    jacobian = jax.jacfwd(autoencoder.decode)(z)
    triangle = jnp.linalg.qr(jacobian, mode="r")
    return jnp.sum(jnp.log(jnp.abs(jnp.diag(triangle))))


def standardized_codes(autoencoder: Autoencoder, points) -> tuple[Rescaled, jax.Array]:
    """The autoencoder with codes of zero mean and unit root mean square on points (N, n), and those codes (N, m).

    Energies, kernels and chains have lengths in standard units, and a code has any.
    """
    units, codes, _ = standardization(codes_of(autoencoder, points))
    return Rescaled(autoencoder, jnp.asarray(units.shift, float), jnp.asarray(units.scale, float)), codes


def codes_of(autoencoder: Autoencoder, points) -> np.ndarray:
    """The codes (N, m) of points (N, n)."""
    return over_points(_encoded, autoencoder, points)


def _encoded(autoencoder, x):
    return autoencoder.encode(x)


def reconstruction(key: RandomKey, model: Autoencoder, points: Float[Array, "batch n"]) -> Terms:
    """Mean over points of the mean square of x - g(e(x)); the key is not used. Returns the loss and its terms."""
    codes = jax.vmap(model.encode)(points)
    terms = {"reconstruction": jnp.mean((points - jax.vmap(model.decode)(codes)) ** 2), "codes": jnp.mean(codes**2)}
    return terms["reconstruction"], terms
