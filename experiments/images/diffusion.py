"""A small diffusion model of images: a denoiser at all scales of noise, its samples, spectra of its derivative."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from experiments.images.noise import normal_noise
from experiments.images.zeros import BLOCK
from implicit_manifolds._loops import in_blocks
from implicit_manifolds._random import derived_keys, host_generator
from implicit_manifolds.ebim.manifold import ManifoldConfig
from implicit_manifolds.networks.denoiser import Denoiser, annealed, denoiser_loss, log_density, start_as_normal_law
from implicit_manifolds.training.loop import History, train_afresh
from implicit_manifolds.training.objective import LossObjective

MOST = 2.0
"""Noise at which images of pixels in [0, 1] are taken for a normal law."""
LARGE = 0.5
"""Eigenvalues of a denoiser's derivative above this are counted as tangents: where signal and noise are alike."""


def fit_denoiser(
    key, images: np.ndarray, hidden: tuple[int, ...], noise: tuple[float, float], updates: int, **options: Any
) -> tuple[Denoiser, History]:
    """A perceptron denoiser of images (N, n) at scales of noise, by so many updates of 128."""
    network_key, train_key = derived_keys(key, 2)
    start = start_as_normal_law(images, hidden, rngs=nnx.Rngs(network_key))
    config = ManifoldConfig(num_steps=updates, batch_size=128, learning_rate=0.001)
    objective = LossObjective(Partial(_loss, *(jnp.asarray(scale) for scale in noise)))
    state, history = train_afresh("denoiser", train_key, start, objective, jnp.asarray(images), config, **options)
    return state.model, history


def end_of(history: History) -> float:
    """The loss over the last tenth of training."""
    loss = history.terms["loss"]
    return float(loss[-max(1, len(loss) // 10) :].mean())


def fallen(key, denoiser: Denoiser, noise, count: int, least: float) -> np.ndarray:
    """Points (count, n) that falling noise leads to at `least`, from what `noise(key, count)` draws and noise MOST."""
    begin_key, noise_key = derived_keys(key, 2)
    begin = noise(begin_key, count)
    begin = (begin + MOST * host_generator(noise_key).normal(size=begin.shape)).astype(np.float32)
    return in_blocks(lambda rows: _fallen(denoiser, rows, least), begin, BLOCK)


def diffusion_samples(key, denoiser: Denoiser, images: np.ndarray, count: int, least: float) -> np.ndarray:
    """The model's own samples (count, n): from a normal law with the moments of images down to `least`, then D."""
    ends = fallen(key, denoiser, normal_noise(images), count, least)
    return in_blocks(lambda rows: _denoised(denoiser, rows, least), ends, BLOCK)


def log_densities(key, denoiser: Denoiser, points: np.ndarray, least: float) -> np.ndarray:
    """log p at noise `least` of points (N, n), in nats, (N,)."""
    return in_blocks(lambda rows: _log_densities(denoiser, key, rows, least), np.ascontiguousarray(points), BLOCK)


def spectra(denoiser: Denoiser, points: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (N, n), the largest first, of the symmetric part of D's derivative at points (N, n); asymmetry (N,).

    The latter is the Frobenius norm of the other part over that of the derivative.
    """
    found = []
    for point in points:
        derivative = np.asarray(_derivative(denoiser, jnp.asarray(point), sigma), np.float64)
        other = np.linalg.norm(derivative - derivative.T) / 2 / np.linalg.norm(derivative)
        found.append((np.linalg.eigvalsh((derivative + derivative.T) / 2)[::-1], other))
    values, others = zip(*found, strict=True)
    return np.array(values), np.array(others)


def local_dimensions(values: np.ndarray) -> np.ndarray:
    """How many eigenvalues (N, n) are large, (N,)."""
    return (values > LARGE).sum(axis=1)


def _loss(least, most, key, denoiser, batch):
    return denoiser_loss(key, denoiser, batch, least, most), {}


@jax.jit
def _fallen(denoiser, rows, least):
    return jax.vmap(lambda x: annealed(denoiser, x, MOST, least, 50))(rows)


@jax.jit
def _denoised(denoiser, rows, sigma):
    return jax.vmap(lambda x: denoiser(x, sigma))(rows)


@jax.jit
def _log_densities(denoiser, key, rows, least):
    return jax.vmap(lambda x: log_density(denoiser, key, x, MOST, least))(rows)


@jax.jit
def _derivative(denoiser, x, sigma):
    return jax.jacfwd(lambda y: denoiser(y, sigma))(x)
