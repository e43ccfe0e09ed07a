"""Pairs of an encoder and a decoder, one point at a time; all offer `encode` (n,) to (m,) and `decode` (m,) to (n,)."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx

from .._random import derived_keys
from .._types import Array, Float, RandomKey, Scalar, Vector
from ..models.flows import Flow
from ..models.images import ImageDecoder, ImageEncoder
from ..models.mlp import MLP
from ..models.residual import ResidualMLP

Code = Float[Array, " m"]
Network = MLP | ResidualMLP | ImageEncoder | ImageDecoder


@runtime_checkable
class Autoencoder(Protocol):
    """What a pushforward model needs of its maps."""

    def encode(self, x: Vector) -> Code:
        """The code (m,) of a point (n,)."""
        ...

    def decode(self, z: Code) -> Vector:
        """The point (n,) of a code (m,)."""
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


class FlowAutoencoder(nnx.Module):
    """A flow f of R^n whose last n - m coordinates are zero on the manifold: decode(u) = f(u, 0) (M-flow).

    encode drops them from f⁻¹(x), or is a residual network of its own with `encoder` (M_e-flow). (Brehmer & Cranmer
    2020, §2.)
    """

    def __init__(self, flow: Flow, dimension: int, latent: int, encoder: ResidualMLP | None = None):
        self.flow, self.encoder = flow, encoder
        self.dimension, self.latent = dimension, latent

    def encode(self, x: Vector) -> Code:
        """The code (m,) of a point (n,)."""
        if self.encoder is not None:
            return self.encoder(x)
        return self.flow.inverse(x)[0][: self.latent]

    def decode(self, z: Code) -> Vector:
        """The point (n,) of a code (m,)."""
        return self.flow.forward(jnp.pad(z, (0, self.dimension - self.latent)))[0]


class InflatedFlow(FlowAutoencoder):
    """An M-flow's maps, but with a density off the manifold: N(0, ε²) in the coordinates that are dropped (PIE).

    ε is `inflation`, in standardised units (Beitler et al. 2021, as in Brehmer & Cranmer 2020, §2).
    """

    def __init__(self, flow: Flow, dimension: int, latent: int, inflation: float):
        super().__init__(flow, dimension, latent)
        self.inflation = inflation

    def log_off_manifold(self, x: Vector) -> Scalar:
        """What log p(x) in R^n has beside the log density of the code: log N(v; 0, ε² I) and log |det df⁻¹/dx|."""
        codes, log_determinant = self.flow.inverse(x)
        dropped = codes[self.latent :] / self.inflation
        normal = -0.5 * (jnp.vdot(dropped, dropped) + dropped.size * jnp.log(2 * jnp.pi * self.inflation**2))
        return normal + log_determinant


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Identity:
    """No manifold: every point is its own code."""

    dimension: int = field(metadata={"static": True})

    def encode(self, x: Vector) -> Vector:
        """The point itself."""
        return x

    def decode(self, z: Vector) -> Vector:
        """The code itself."""
        return z


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
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

    By volume in R^n of an `InflatedFlow`, else by volume of the decoder's image.
    """
    return autoencoder.log_off_manifold(x) if isinstance(autoencoder, InflatedFlow) else -log_volume(autoencoder, z)


def log_volume(autoencoder: Autoencoder, z: Code) -> Scalar:
    """½ log det(JᵀJ), J (n, m) the decoder's Jacobian at z (m,): the log of how much the decoder stretches volume.

    -inf or NaN where J loses rank. By the triangle of a QR, since JᵀJ would square the condition number.
    """
    jacobian = jax.jacfwd(autoencoder.decode)(z)
    triangle = jnp.linalg.qr(jacobian, mode="r")
    return jnp.sum(jnp.log(jnp.abs(jnp.diag(triangle))))
