"""The models of images: how each is trained, and how fresh samples are drawn from noise."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from experiments.image_scales import LATENT, TOLERANCE, Settings
from implicit_manifolds._loops import in_blocks
from implicit_manifolds._random import derived_keys, host_generator, uniform_in_box
from implicit_manifolds.fit import box_around
from implicit_manifolds.fit_energy import fit_contrastive
from implicit_manifolds.losses.score_matching import score_matching_loss
from implicit_manifolds.manifold.projection import project
from implicit_manifolds.mcmc import Langevin, run
from implicit_manifolds.models.images import ImageDecoder, ImageEncoder, ImageEnergy, UNet
from implicit_manifolds.models.mlp import MLP, EnergyMLP
from implicit_manifolds.models.plane import FromPlane, start_as_plane
from implicit_manifolds.pushforward.autoencoders import Network, NetworkAutoencoder, perceptrons
from implicit_manifolds.pushforward.fit import standardized_codes, train_networks
from implicit_manifolds.pushforward.normalized_autoencoder import (
    BoundedAutoencoder,
    NormalizedObjective,
    ReconstructionEnergy,
)
from implicit_manifolds.training.loop import History, train_afresh
from implicit_manifolds.training.objectives import ContrastiveObjective, LossObjective, ManifoldObjective

Model = Literal["ebim", "ebim_score_matching", "im", "ae_ebm", "vae_ebm", "nae"]
PIXELS = 784
CHAINS, BLOCK = 500, 64
WIDE = 2.0
"""Chains on a manifold may leave [0, 1] by this much, since a blurred digit has pixels below zero."""
KL_WEIGHT = 1e-3


class Drawn(NamedTuple):
    """images (N, 784); report: what the chains that ended in them say of themselves."""

    images: np.ndarray
    report: dict[str, float]


class ImageModel(NamedTuple):
    """A trained model: draw(key, count) gives fresh samples. networks: all of it. mdf: F, of models that have one."""

    draw: Callable[[Any, int], Drawn]
    histories: dict[str, History]
    networks: Any
    mdf: Any = None


def fit_image_model(
    name: Model, key, images: np.ndarray, settings: Settings, checkpoint_dir: Path | None = None, progress: bool = False
) -> ImageModel:
    """Train on images (N, 784) in [0, 1]; goes on from a checkpoint where there is one."""
    options = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    return _FITS[name](key, jnp.asarray(images), settings, options)


def fit_image_manifold(key, images, settings: Settings, options: dict[str, Any]):
    """Step 1: F from (784,) to (768,), which starts as a plane; and its history."""
    network_key, train_key = derived_keys(key, 2)
    objective = ManifoldObjective(jnp.zeros(PIXELS), jnp.ones(PIXELS), settings.manifold)
    mdf = start_as_plane(constraints(network_key, settings), np.asarray(images))
    state, history = train_afresh("manifold", train_key, mdf, objective, images, settings.manifold, **options)
    return state.model, history


def fit_ebim(loss: Literal["contrastive", "score-matching"], key, images, settings: Settings, options) -> ImageModel:
    """Step 1, then an energy on {F = 0}; samples end constrained chains. Both losses have the same {F = 0}."""
    manifold_key, start_key, model_key, train_key = derived_keys(key, 4)
    mdf, history = fit_image_manifold(manifold_key, images, settings, options)
    noise = gaussian_noise(images)
    starts = on_manifold(mdf, noise(start_key, settings.energy.starts))[0]
    box = (jnp.full(PIXELS, -WIDE), jnp.full(PIXELS, 1 + WIDE))
    objective = ContrastiveObjective(mdf, jnp.asarray(starts), *box, settings.energy)
    energy = image_energy(model_key, settings)
    if loss == "contrastive":
        state, energy_history = train_afresh("energy", train_key, energy, objective, images, settings.energy, **options)
    else:
        points = jnp.asarray(on_manifold(mdf, images[: settings.scored])[0])
        matching, config = LossObjective(Partial(Partial(_score_matching), mdf)), settings.energy
        state, energy_history = train_afresh("energy", train_key, energy, matching, points, config, **options)
    sampler = objective.sampler(state.model)

    def draw(key, count):
        start_key, chain_key = derived_keys(key, 2)
        starts, lost = on_manifold(mdf, noise(start_key, count))
        drawn = chain_ends(sampler, chain_key, starts, settings.chain_steps)
        more = {"starts_lost": lost, "residual_max": float(residuals(mdf, drawn.images).max())}
        return drawn._replace(report=drawn.report | more)

    histories = {"manifold": history, "energy": energy_history}
    return ImageModel(draw, histories, (mdf, state.model), mdf)


def fit_im(key, images, settings: Settings, options) -> ImageModel:
    """Step 1 alone; samples are ends of ambient chains on ‖F‖ from uniform noise, as training has them, projected."""
    mdf, history = fit_image_manifold(derived_keys(key, 1)[0], images, settings, options)
    config = replace(settings.manifold, replay_fraction=0.0, langevin_steps=settings.chain_steps)
    objective = ManifoldObjective(jnp.zeros(PIXELS), jnp.ones(PIXELS), config)

    def draw(key, count):
        ends = _negatives(objective, key, mdf, jnp.zeros((1, PIXELS)), count)
        drawn, lost = on_manifold(mdf, ends)
        return Drawn(drawn, {"starts_lost": lost, "residual_max": float(residuals(mdf, drawn).max())})

    return ImageModel(draw, {"manifold": history}, mdf, mdf)


def fit_autoencoder_energy(kl_weight: float | None, key, images, settings: Settings, options) -> ImageModel:
    """A (variational) autoencoder, then an energy of its codes by contrastive divergence."""
    network_key, train_key, energy_key = derived_keys(key, 3)
    training = replace(settings.autoencoder, kl_weight=kl_weight)
    outputs = LATENT if kl_weight is None else 2 * LATENT
    networks = NetworkAutoencoder(*_pair(network_key, settings, outputs), LATENT)
    networks, history = train_networks(train_key, networks, images, training, **options)
    autoencoder, codes = standardized_codes(networks, images)
    box = box_around(codes, 0.25)
    starts = jnp.asarray(uniform_in_box(host_generator(energy_key), box, settings.code_energy.starts))
    config = replace(settings.code_energy, hidden=settings.energy_hidden)
    energy, energy_history = fit_contrastive(energy_key, None, codes, starts, box, config, **options)
    sampler = Langevin(energy, config.noise_scale, config.step_size, config.gradient_clip)

    def draw(key, count):
        starts = uniform_in_box(host_generator(key), box, count)
        codes = chain_ends(sampler, key, starts, settings.chain_steps)
        return Drawn(in_blocks(lambda rows: _decoded(autoencoder, rows), codes.images, CHAINS), codes.report)

    histories = {"autoencoder": history, "energy": energy_history}
    return ImageModel(draw, histories, (autoencoder, energy))


def fit_normalized(key, images, settings: Settings, options) -> ImageModel:
    """An autoencoder, then its reconstruction error as an energy; samples end chains of codes, then of images."""
    network_key, pretrain_key, train_key = derived_keys(key, 3)
    networks = BoundedAutoencoder(*_pair(network_key, settings, LATENT), LATENT)
    networks, history = train_networks(pretrain_key, networks, images, settings.autoencoder, **options)
    # In units of the mean square error of one image, which temperature must not be far from.
    error = float(np.mean(in_blocks(lambda rows: _errors(networks, rows), images, CHAINS)))
    energy = ReconstructionEnergy(networks, error)
    objective = NormalizedObjective(jnp.zeros(PIXELS), jnp.ones(PIXELS), settings.normalized)
    state, energy_history = train_afresh("energy", train_key, energy, objective, images, settings.normalized, **options)
    config = replace(settings.normalized, replay_fraction=0.0, latent_steps=settings.chain_steps)
    fresh = NormalizedObjective(jnp.zeros(PIXELS), jnp.ones(PIXELS), config)

    def draw(key, count):
        return Drawn(_negatives(fresh, key, state.model, jnp.zeros((1, LATENT)), count), {})

    return ImageModel(draw, {"autoencoder": history, "energy": energy_history}, state.model)


def gaussian_noise(images):
    """noise(key, count): normal images with mean and covariance of the data, (count, 784)."""
    images = np.asarray(images, np.float64)
    mean = images.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(images, rowvar=False))
    root = vectors * np.sqrt(np.maximum(values, 0))

    def noise(key, count):
        return (mean + host_generator(key).normal(size=(count, PIXELS)) @ root.T).astype(np.float32)

    return noise


def on_manifold(mdf, points) -> tuple[np.ndarray, float]:
    """Zeros near the points (N, 784), those that were not reached replaced by others, and the share of these."""
    found = in_blocks(lambda rows: _projected(mdf, rows), np.asarray(points), BLOCK)
    reached = np.flatnonzero(found.converged)
    if not len(reached):
        raise ArithmeticError("no start could be projected onto the learned manifold; train longer")
    rows = np.where(found.converged, np.arange(len(found.converged)), reached[np.arange(len(points)) % len(reached)])
    return found.position[rows], float(1 - found.converged.mean())


def residuals(mdf, points) -> np.ndarray:
    """‖F‖ at points (N, 784), (N,)."""
    return in_blocks(lambda rows: _residuals(mdf, rows), np.asarray(points), BLOCK)


def chain_ends(sampler, key, starts, steps: int) -> Drawn:
    """Where chains from `starts` (N, ·) are after `steps` steps, and what became of their steps, by share."""
    chains = [
        run(sampler, jax.random.fold_in(key, first), starts[first : first + CHAINS], 1, steps)
        for first in range(0, len(starts), CHAINS)
    ]
    report = {}
    if hasattr(chains[0].info, "reason"):
        shares = np.concatenate([chain.info.reason for chain in chains]).mean(axis=0)
        report = {"accepted": float(shares[0]), "not_converged": float(shares[2]), "out_of_bounds": float(shares[5])}
        report["iterations"] = float(np.concatenate([chain.info.iterations for chain in chains]).mean())
    return Drawn(np.concatenate([chain.positions[0] for chain in chains]), report)


def constraints(key, settings: Settings) -> MLP | UNet:
    """The network of 768 constraints at a scale, not trained."""
    if settings.hidden is None:
        return UNet(spectral_norm=False, rngs=nnx.Rngs(key))
    return MLP([PIXELS, *settings.hidden, PIXELS - LATENT], rngs=nnx.Rngs(key))


def untrained_ebim(settings: Settings):
    """MDF and energy of the right shapes, to be filled with what was trained."""
    key = jax.random.key(0)
    flat = FromPlane(constraints(key, settings), jnp.zeros((PIXELS - LATENT, PIXELS)), jnp.zeros(PIXELS))
    return flat, image_energy(key, settings)


def image_energy(key, settings: Settings) -> EnergyMLP | ImageEnergy:
    """The energy of images at a scale, not trained."""
    if settings.hidden is None:
        return ImageEnergy(rngs=nnx.Rngs(key))
    return EnergyMLP([PIXELS, *settings.energy_hidden], rngs=nnx.Rngs(key))


def _pair(key, settings: Settings, outputs: int) -> tuple[Network, Network]:
    if settings.hidden is not None:
        return perceptrons(key, PIXELS, LATENT, settings.hidden, outputs)
    encoder_key, decoder_key = derived_keys(key, 2)
    return ImageEncoder(outputs, rngs=nnx.Rngs(encoder_key)), ImageDecoder(LATENT, rngs=nnx.Rngs(decoder_key))


def _negatives(objective, key, model, memory, count: int) -> np.ndarray:
    """`count` negatives of an objective that replays nothing, in blocks."""
    blocks = range(0, count, CHAINS)
    drawn = [_block_of_negatives(objective, jax.random.fold_in(key, first), model, memory) for first in blocks]
    return np.concatenate([np.asarray(rows) for rows in drawn])[:count]


@jax.jit
def _block_of_negatives(objective, key, model, memory):
    return objective.sample(key, model, memory, CHAINS)[0]


@jax.jit
def _projected(mdf, points):
    return jax.vmap(lambda x: project(mdf, x, TOLERANCE))(points)


@jax.jit
def _residuals(mdf, points):
    return jax.vmap(lambda x: jnp.linalg.norm(mdf(x)))(points)


@jax.jit
def _decoded(autoencoder, codes):
    return jax.vmap(autoencoder.decode)(codes)


@jax.jit
def _errors(autoencoder, points):
    return jax.vmap(lambda x: jnp.sum((x - autoencoder.decode(autoencoder.encode(x))) ** 2))(points)


def _score_matching(mdf, key, energy, batch):
    return score_matching_loss(key, mdf, energy, batch)


_FITS: dict[Model, Callable[..., ImageModel]] = {
    "ebim": partial(fit_ebim, "contrastive"),
    "ebim_score_matching": partial(fit_ebim, "score-matching"),
    "im": fit_im,
    "ae_ebm": partial(fit_autoencoder_energy, None),
    "vae_ebm": partial(fit_autoencoder_energy, KL_WEIGHT),
    "nae": fit_normalized,
}
