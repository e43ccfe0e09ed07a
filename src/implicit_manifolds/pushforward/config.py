"""Settings of the pushforward and ambient models; defaults are in standardised units, as in `FitConfig`."""

from dataclasses import dataclass, field
from typing import Literal

from ..config import EnergyConfig, LikelihoodConfig


@dataclass(frozen=True)
class AutoencoderConfig:
    """Two perceptrons trained to reconstruct, by Adam."""

    hidden: tuple[int, ...] = (64, 64, 64)
    num_steps: int = 8000
    batch_size: int = 100
    learning_rate: float = 0.003
    decay: bool = True
    clip_norm: float | None = 1.0
    kl_weight: float | None = None  # of a variational autoencoder; None is a plain one


@dataclass(frozen=True)
class LatentEnergyConfig:
    """An energy of codes in the box around those of the data, by the losses that an EBIM's energy has."""

    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    contrastive: EnergyConfig = field(default_factory=EnergyConfig)
    loss: Literal["likelihood", "contrastive"] = "likelihood"
    box_margin: float = 0.25


@dataclass(frozen=True)
class NormalizedAutoencoderConfig:
    """Normalised autoencoder: training of the reconstruction error as an energy, after that of the autoencoder."""

    temperature: float = 0.02
    num_steps: int = 3000
    batch_size: int = 100
    learning_rate: float = 0.0003
    decay: bool = True
    clip_norm: float | None = 1.0
    square_weight: float = 0.01
    candidates: int = 32  # uniform codes, of which one that exp(-E) favours starts a chain of codes
    latent_steps: int = 10  # of that chain, which finds where on the manifold a chain of points starts
    latent_noise: float = 0.05
    langevin_steps: int = 10
    noise_scale: float = 0.05
    gradient_clip: float | None = 100.0  # of both chains, entrywise: a decoder is steep where there are no data
    replay_fraction: float = 0.5
    buffer_size: int = 10_000
    box_margin: float = 0.25


@dataclass(frozen=True)
class FlowConfig:
    """Spline flows, and how an M-flow is trained."""

    layers: int = 5  # of the outer flow
    inner_layers: int = 5  # of the flow of codes
    bins: int = 10
    bound: float = 4.0
    width: int = 100
    linear: bool = True
    num_steps: int = 10_000
    batch_size: int = 100
    learning_rate: float = 0.003
    decay: bool = True
    clip_norm: float | None = 1.0
    code_weight: float = 0.0
    schedule: Literal["sequential", "alternating", "transport"] = "alternating"
    blur: float = 0.05  # of the transport, a length in standardised units
    inflation: float = 0.05  # ε of a PIE, in standardised units
    encoder: bool = False  # an encoder of its own: the M_e-flow


@dataclass(frozen=True)
class FreeFormConfig:
    """Free-form injective flow."""

    width: int = 128
    blocks: int = 3
    noise: float = 0.01
    reconstruction_weight: float = 100.0  # β; above 1/(2 l), l the least variance of a direction to keep
    on_manifold: bool = False  # the naive loss, which diverges
    num_steps: int = 10_000
    batch_size: int = 200
    learning_rate: float = 0.001
    decay: bool = True
    clip_norm: float | None = 1.0
