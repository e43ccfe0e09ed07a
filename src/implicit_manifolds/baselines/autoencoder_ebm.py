"""Pushforward EBM: a (variational) autoencoder, then an energy of its codes; and an EBM of R^n itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from .._random import derived_keys
from .._types import Array, Float, Number, RandomKey
from ..training.config import TrainingConfig
from ..training.loop import History, train_afresh
from ..training.objective import LossObjective, Terms
from .autoencoders import Autoencoder, Identity, NetworkAutoencoder, perceptrons, reconstruction, standardized_codes
from .latent_energy import LatentEnergyConfig, fit_latent_energy
from .model import Pushforward, PushforwardFit, standardized_points

Trained = TypeVar("Trained", bound=Autoencoder)


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig(TrainingConfig):
    """Two perceptrons trained to reconstruct, by Adam."""

    hidden: tuple[int, ...] = (64, 64, 64)
    num_steps: int = 8000
    clip_norm: float | None = 1.0
    kl_weight: float | None = None  # of a variational autoencoder; None is a plain one


def variational_loss(
    key: RandomKey, encode: Callable, decode: Callable, points: Float[Array, "batch n"], kl_weight: Number
) -> Terms:
    """Mean square of x - g(z), z ~ N(μ(x), σ(x)² I), plus `kl_weight` times KL(N(μ, σ²) ‖ N(0, I)), means of a batch.

    encode (n,) to (2m,), μ and log σ (Kingma & Welling 2014, with a weight as in Ross et al. 2023, fig. 10). Returns
    the loss and its unweighted terms.
    """
    means, log_scales = jnp.split(jax.vmap(encode)(points), 2, axis=1)
    codes = means + jnp.exp(log_scales) * jax.random.normal(key, means.shape, means.dtype)
    divergence = 0.5 * jnp.sum(means**2 + jnp.exp(2 * log_scales) - 1 - 2 * log_scales, axis=1)
    terms = {
        "reconstruction": jnp.mean((points - jax.vmap(decode)(codes)) ** 2),
        "divergence": jnp.mean(divergence),
    }
    return terms["reconstruction"] + kl_weight * terms["divergence"], terms


def fit_autoencoder_ebm(
    key: RandomKey,
    points,
    latent: int,
    config: AutoencoderConfig = AutoencoderConfig(),
    energy: LatentEnergyConfig = LatentEnergyConfig(),
    *,
    progress: bool = False,
) -> PushforwardFit:
    """Pushforward EBM: a (variational) autoencoder of points, then an energy of their codes (Ross et al. 2023, §5).

    Raises InputError and TrainingDiverged.

    Arguments:
        key: a `jax.random` key.
        points: (N, n), in any units.
        latent: m, the number of coordinates of a code.
        config: of the autoencoder.
        energy: of the law of codes.
        progress: show a bar.

    Returns:
        `PushforwardFit`: the model, and the history of each of its trainings by name.

    >>> quick = baselines.AutoencoderConfig(hidden=(8,), num_steps=2)
    >>> fitted = baselines.fit_autoencoder_ebm(jax.random.key(0), points, 1, quick, brief)
    >>> sorted(fitted.histories)
    ['autoencoder', 'energy']
    """
    map_key, energy_key = derived_keys(key, 2)
    train_key = derived_keys(map_key, 3)[2]
    scaling, standard, _ = standardized_points(points, latent)
    outputs = latent if config.kl_weight is None else 2 * latent
    pair = perceptrons(map_key, standard.shape[1], latent, config.hidden, outputs)
    networks = NetworkAutoencoder(*pair, latent)
    networks, history = train_networks(train_key, networks, standard, config, progress=progress)
    autoencoder, codes = standardized_codes(networks, standard)
    law, law_history = fit_latent_energy(energy_key, codes, energy, progress=progress)
    return PushforwardFit(Pushforward(autoencoder, law, scaling), {"autoencoder": history, "energy": law_history})


def fit_ambient_ebm(
    key: RandomKey, points, energy: LatentEnergyConfig = LatentEnergyConfig(), *, progress: bool = False
) -> PushforwardFit:
    """Energy-based model of R^n itself, no manifold. Raises InputError and TrainingDiverged.

    Arguments:
        key: a `jax.random` key.
        points: (N, n), in any units.
        energy: its networks, loss and box.
        progress: show a bar.

    Returns:
        `PushforwardFit`: the model, and the history of each of its trainings by name.

    >>> fitted = baselines.fit_ambient_ebm(jax.random.key(0), points, brief)
    >>> sorted(fitted.histories)
    ['energy']
    """
    scaling, standard, _ = standardized_points(points, 1)
    law, history = fit_latent_energy(key, standard, energy, progress=progress)
    return PushforwardFit(Pushforward(Identity(standard.shape[1]), law, scaling), {"energy": history})


def train_networks(
    key: RandomKey,
    networks: Trained,
    points,
    config: AutoencoderConfig,
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[Trained, History]:
    """Any autoencoder trained to reconstruct points (N, n), with a `kl_weight` variationally; `hidden` is not used.

    A variational one is a `NetworkAutoencoder` whose encoder has 2 m outputs. Raises TrainingDiverged.
    """
    loss = Partial(reconstruction) if config.kl_weight is None else Partial(_variational, config.kl_weight)
    objective = LossObjective(loss)
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    state, history = train_afresh("autoencoder", key, networks, objective, points, config, **options)
    return state.model, history


def _variational(kl_weight, key, model, batch):
    return variational_loss(key, model.encoder, model.decode, batch, kl_weight)
