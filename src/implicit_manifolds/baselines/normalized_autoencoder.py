"""Normalised autoencoder: the reconstruction error as the energy of a density of R^n (Yoon et al. 2021)."""

from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from .._pytree import pytree
from .._random import derived_keys, host_generator
from .._types import Array, Float, RandomKey, Scalar, Vector
from ..box import Box, box_around, uniform_in_box
from ..ebim.contrastive import contrastive_loss
from ..ebim.kernels import kernel_source
from ..mcmc.chains import advance
from ..mcmc.langevin import Langevin
from ..training import replay_buffer
from ..training.config import TrainingConfig
from ..training.loop import train_afresh
from ..training.objective import LossObjective, Objective
from ..volumes.importance import log_normalizer
from .autoencoder_ebm import AutoencoderConfig
from .autoencoders import Code, Identity, Network, perceptrons, reconstruction
from .latent_energy import kernel_near
from .latents import EnergyLatent
from .model import Pushforward, PushforwardFit, standardized_points

NORMALIZER_ERROR = 0.01
"""Of log Z: the error of a density that is spread over all of a decoder's image is dear to lower."""


@dataclass(frozen=True, kw_only=True)
class NormalizedAutoencoderConfig(TrainingConfig):
    """Normalised autoencoder: training of the reconstruction error as an energy, after that of the autoencoder."""

    temperature: float = 0.02
    num_steps: int = 3000
    learning_rate: float = 0.0003
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


class BoundedAutoencoder(nnx.Module):
    """Two networks; codes (m,) are bounded to [-1, 1] by a tanh, so that all of their space can be searched."""

    def __init__(self, encoder: Network, decoder: Network, latent: int):
        self.encoder, self.decoder = encoder, decoder
        self.latent = latent

    def encode(self, x: Vector) -> Code:
        """The code (m,) of a point (n,)."""
        return jnp.tanh(self.encoder(x))

    def decode(self, z: Code) -> Vector:
        """The point (n,) of a code (m,)."""
        return self.decoder(z)


@pytree
@dataclass(frozen=True, eq=False)
class ReconstructionEnergy:
    """‖x - g(e(x))‖² / temperature of one point (n,)."""

    autoencoder: BoundedAutoencoder
    temperature: float = field(metadata={"static": True})

    def __call__(self, x: Vector) -> Scalar:
        """One point, (n,) to ()."""
        return jnp.sum((x - self.autoencoder.decode(self.autoencoder.encode(x))) ** 2) / self.temperature


@pytree
@dataclass(frozen=True, eq=False)
class NormalizedObjective(Objective):
    """Contrastive divergence whose chains start on the decoder's image, found by a chain of codes.

    Finished chains are clipped to the box. The memory is the replay buffer of codes (size, m).
    """

    box: Box
    config: NormalizedAutoencoderConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model: ReconstructionEnergy) -> Float[Array, "size m"]:
        """Uniform codes."""
        edge = jnp.ones(model.autoencoder.latent)
        return jnp.asarray(uniform_in_box(host_generator(key), Box(-edge, edge), self.config.buffer_size))

    def sample(self, key: RandomKey, model: ReconstructionEnergy, memory, batch_size: int):
        """Negatives (batch, n), and the buffer with their codes pushed."""
        config = self.config
        fresh_key, pick_key, draw_key, code_key, chain_key = jax.random.split(key, 5)
        shape = (batch_size, config.candidates, memory.shape[1])
        candidates = jax.random.uniform(fresh_key, shape, memory.dtype, -1.0, 1.0)
        fresh = jax.vmap(partial(_favoured, model))(jax.random.split(pick_key, batch_size), candidates)
        start = replay_buffer.draw(draw_key, memory, fresh, config.replay_fraction)
        of_codes = Langevin(Partial(energy_of_code, model), config.latent_noise, gradient_clip=config.gradient_clip)
        codes = _chain_ends(of_codes, code_key, start, config.latent_steps)
        codes = jnp.clip(codes, -1.0, 1.0)
        points = jax.vmap(model.autoencoder.decode)(codes)
        of_points = Langevin(model, config.noise_scale, gradient_clip=config.gradient_clip)
        finished = _chain_ends(of_points, chain_key, points, config.langevin_steps)
        return self.box.clip(finished), replay_buffer.push(memory, codes)

    def loss(self, key: RandomKey, model, batch, negatives):
        """`contrastive_loss` with this objective's penalty."""
        return contrastive_loss(model, batch, negatives, square_weight=self.config.square_weight)


def fit_normalized_autoencoder(
    key: RandomKey,
    points,
    latent: int,
    config: NormalizedAutoencoderConfig = NormalizedAutoencoderConfig(),
    pretraining: AutoencoderConfig = AutoencoderConfig(num_steps=4000),
    *,
    progress: bool = False,
) -> PushforwardFit:
    """NAE: an autoencoder, then its reconstruction error as an energy in a box (Yoon et al. 2021).

    Chains start on the manifold, as there. The model is an ambient one, normalised in the box around the points; its
    law's energy holds the autoencoder. Raises InputError and TrainingDiverged.

    Arguments:
        key: a `jax.random` key.
        points: (N, n), in any units.
        latent: m, the number of coordinates of a code.
        config: of the energy's training.
        pretraining: of the autoencoder alone, before.
        progress: show a bar.

    Returns:
        `PushforwardFit`: the model, and the history of each of its trainings by name.

    >>> first = baselines.AutoencoderConfig(hidden=(8,), num_steps=2)
    >>> then = baselines.NormalizedAutoencoderConfig(num_steps=2, latent_steps=2, langevin_steps=2)
    >>> fitted = baselines.fit_normalized_autoencoder(jax.random.key(0), points, 1, then, first)
    >>> sorted(fitted.histories)
    ['autoencoder', 'energy']
    """
    model_key, pretrain_key, train_key, data_key, normalizer_key = derived_keys(key, 5)
    scaling, standard, _ = standardized_points(points, latent)
    box = box_around(standard, config.box_margin)
    autoencoder = BoundedAutoencoder(*perceptrons(model_key, standard.shape[1], latent, pretraining.hidden), latent)
    objective = LossObjective(Partial(reconstruction))
    state, first = train_afresh(
        "autoencoder", pretrain_key, autoencoder, objective, standard, pretraining, progress=progress
    )
    energy = ReconstructionEnergy(state.model, config.temperature)
    state, history = train_afresh(
        "energy", train_key, energy, NormalizedObjective(box, config), standard, config, progress=progress
    )
    _, kernel, _ = kernel_near(data_key, np.asarray(standard), box)
    # exp(-E) is this thick across the manifold, where the data may be much thinner.
    thickness = (config.temperature / 2) ** 0.5
    kernel = replace(kernel, bandwidths=jnp.hypot(kernel.bandwidths, thickness))
    normalizer = log_normalizer(normalizer_key, kernel_source(box, kernel), state.model, NORMALIZER_ERROR)
    law = EnergyLatent(state.model, box, normalizer, kernel)
    model = Pushforward(Identity(standard.shape[1]), law, scaling)
    return PushforwardFit(model, {"autoencoder": first, "energy": history})


def energy_of_code(energy: ReconstructionEnergy, z: Code) -> Scalar:
    """The energy, (), of the image of a code (m,)."""
    return energy(energy.autoencoder.decode(z))


def _favoured(energy: ReconstructionEnergy, key, candidates):
    """One of the codes (c, m), by exp(-E) and the volume that its surroundings have on the decoder's image."""
    if len(candidates) == 1:
        return candidates[0]

    def log_weight(z):
        jacobian = jax.jacobian(energy.autoencoder.decode)(z)
        return 0.5 * jnp.linalg.slogdet(jacobian.T @ jacobian)[1] - energy_of_code(energy, z)

    return candidates[jax.random.categorical(key, jax.vmap(log_weight)(candidates))]


def _chain_ends(sampler: Langevin, key, starts, steps: int):
    return advance(key, sampler, jax.vmap(sampler.init)(starts), steps)[0].position
