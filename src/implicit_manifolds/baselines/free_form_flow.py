"""Free-form injective flow: unconstrained networks, codes standard normal (Sorrenson et al. 2024)."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial

from .._random import derived_keys
from .._types import Array, Float, Number, RandomKey
from ..networks.residual import ResidualMLP
from ..training.config import TrainingConfig
from ..training.loop import train_afresh
from ..training.objective import LossObjective, Terms
from .autoencoders import NetworkAutoencoder
from .latents import StandardNormal
from .model import Pushforward, PushforwardFit, standardized_points


@dataclass(frozen=True, kw_only=True)
class FreeFormConfig(TrainingConfig):
    """Free-form injective flow."""

    width: int = 128
    blocks: int = 3
    noise: float = 0.01
    reconstruction_weight: float = 100.0  # β; above 1/(2 l), l the least variance of a direction to keep
    on_manifold: bool = False  # the naive loss, which diverges
    num_steps: int = 10_000
    batch_size: int = 200
    learning_rate: float = 0.001
    clip_norm: float | None = 1.0


def free_form_loss(
    key: RandomKey,
    encode: Callable,
    decode: Callable,
    points: Float[Array, "batch n"],
    *,
    noise: Number,
    reconstruction_weight: Number,
    on_manifold: bool = False,
) -> Terms:
    """β ‖x - g(e(x))‖² + ½‖e(x)‖² - vᵀ e'(x) sg[g'(z) v], v uniform on the sphere of radius √m: FIF's surrogate.

    x are the points with fresh noise N(0, `noise`² I), β is `reconstruction_weight`, and sg stops gradients. The third
    term has the gradient of the change of volume where g' is the pseudo-inverse of e'; its value, about m, means
    nothing (Sorrenson et al. 2024, eq. 13). on_manifold takes e' at g(e(x)) instead of x, the naive loss, which rewards
    curvature of the decoder and diverges. Returns the loss and its terms.
    """
    noise_key, probe_key = jax.random.split(key)
    noisy = points + noise * jax.random.normal(noise_key, points.shape, points.dtype)
    latent = jax.eval_shape(encode, points[0]).shape
    probes = jax.random.normal(probe_key, (len(points), *latent), points.dtype)
    probes *= latent[0] ** 0.5 / jnp.linalg.norm(probes, axis=1, keepdims=True)

    def one(x, v):
        code, pull = jax.vjp(encode, x)
        image, pushed = jax.jvp(decode, (code,), (v,))
        if on_manifold:
            _, pull = jax.vjp(encode, image)
        volume = jnp.vdot(pull(v)[0], jax.lax.stop_gradient(pushed))
        return jnp.sum((x - image) ** 2), 0.5 * jnp.sum(code**2), volume

    reconstruction, prior, volume = (jnp.mean(part) for part in jax.vmap(one)(noisy, probes))
    terms = {"reconstruction": reconstruction, "prior": prior, "volume": volume}
    return reconstruction_weight * reconstruction + prior - volume, terms


def fit_free_form_flow(
    key: RandomKey, points, latent: int, config: FreeFormConfig = FreeFormConfig(), *, progress: bool = False
) -> PushforwardFit:
    """Free-form injective flow: unconstrained networks, codes standard normal (Sorrenson et al. 2024).

    Raises InputError and TrainingDiverged.

    Arguments:
        key: a `jax.random` key.
        points: (N, n), in any units.
        latent: m, the number of coordinates of a code.
        config: networks, noise and weights.
        progress: show a bar.

    Returns:
        `PushforwardFit`: the model, and the history of each of its trainings by name.

    >>> quick = baselines.FreeFormConfig(width=8, blocks=1, num_steps=2)
    >>> fitted = baselines.fit_free_form_flow(jax.random.key(0), points, 1, quick)
    >>> sorted(fitted.histories)
    ['free-form flow']
    """
    encoder_key, decoder_key, train_key = derived_keys(key, 3)
    scaling, standard, _ = standardized_points(points, latent)
    shape = {"width": config.width, "blocks": config.blocks}
    encoder = ResidualMLP(standard.shape[1], latent, **shape, rngs=nnx.Rngs(encoder_key))
    decoder = ResidualMLP(latent, standard.shape[1], **shape, rngs=nnx.Rngs(decoder_key))
    model = NetworkAutoencoder(encoder, decoder, latent)
    objective = free_form_objective(config)
    state, history = train_afresh("free-form flow", train_key, model, objective, standard, config, progress=progress)
    return PushforwardFit(Pushforward(state.model, StandardNormal(latent), scaling), {"free-form flow": history})


def free_form_objective(config: FreeFormConfig) -> LossObjective:
    """What a pair of networks, of any kind, is trained for."""
    loss = _naive if config.on_manifold else _loss
    return LossObjective(Partial(loss, config.noise, config.reconstruction_weight))


def _loss(noise, weight, key, model, batch, on_manifold=False):
    options = {"noise": noise, "reconstruction_weight": weight, "on_manifold": on_manifold}
    return free_form_loss(key, model.encode, model.decode, batch, **options)


def _naive(noise, weight, key, model, batch):
    return _loss(noise, weight, key, model, batch, on_manifold=True)
