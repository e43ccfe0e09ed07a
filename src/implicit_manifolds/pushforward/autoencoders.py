"""Pairs of an encoder and a decoder, one point at a time; all offer `encode` (n,) to (m,) and `decode` (m,) to (n,)."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx

from .._types import Array, Float, Scalar, Vector
from ..models.flows import Flow
from ..models.mlp import MLP
from ..models.residual import ResidualMLP

Code = Float[Array, " m"]


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

    def __init__(self, encoder: MLP | ResidualMLP, decoder: MLP | ResidualMLP, latent: int):
        self.encoder, self.decoder = encoder, decoder
        self.latent = latent

    def encode(self, x: Vector) -> Code:
        """The code (m,) of a point (n,)."""
        return self.encoder(x)[: self.latent]

    def decode(self, z: Code) -> Vector:
        """The point (n,) of a code (m,)."""
        return self.decoder(z)


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


def log_volume(autoencoder: Autoencoder, z: Code) -> Scalar:
    """½ log det(JᵀJ), J (n, m) the decoder's Jacobian at z (m,): the log of how much the decoder stretches volume.

    -inf or NaN where J loses rank. By the triangle of a QR, since JᵀJ would square the condition number.
    """
    jacobian = jax.jacfwd(autoencoder.decode)(z)
    triangle = jnp.linalg.qr(jacobian, mode="r")
    return jnp.sum(jnp.log(jnp.abs(jnp.diag(triangle))))
