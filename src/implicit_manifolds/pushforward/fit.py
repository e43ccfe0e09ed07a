"""Fitting pushforward and ambient models: points in data units in, a `Pushforward` and its histories out."""

from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from .._loops import in_blocks
from .._random import derived_keys
from .._types import RandomKey
from ..ebim import BLOCK
from ..fit import standardization
from ..losses.pushforward import (
    free_form_loss,
    negative_log_likelihood,
    reconstruction_loss,
    transport_loss,
    variational_loss,
)
from ..models.flows import Flow
from ..models.residual import ResidualMLP
from ..training.loop import History, train_afresh
from ..training.objectives import LossObjective
from .autoencoders import (
    Autoencoder,
    FlowAutoencoder,
    Identity,
    InflatedFlow,
    NetworkAutoencoder,
    Rescaled,
    perceptrons,
)
from .config import AutoencoderConfig, FlowConfig, FreeFormConfig, LatentEnergyConfig
from .latent_energy import fit_latent_energy
from .latents import FlowLatent, StandardNormal
from .model import Pushforward, PushforwardFit, standardized_points

Trained = TypeVar("Trained", bound=Autoencoder)


def fit_autoencoder_ebm(
    key: RandomKey,
    points,
    latent: int,
    config: AutoencoderConfig = AutoencoderConfig(),
    energy: LatentEnergyConfig = LatentEnergyConfig(),
    *,
    progress: bool = False,
) -> PushforwardFit:
    """Pushforward EBM: a (variational) autoencoder of `points` (N, n), then an energy of its codes (N, m).

    latent is m, the number of coordinates of a code. Raises InputError and TrainingDiverged (Ross et al. 2023, §5).
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
    """Energy-based model of `points` (N, n) in R^n itself, no manifold. Raises InputError and TrainingDiverged."""
    scaling, standard, _ = standardized_points(points, 1)
    law, history = fit_latent_energy(key, standard, energy, progress=progress)
    return PushforwardFit(Pushforward(Identity(standard.shape[1]), law, scaling), {"energy": history})


def fit_ambient_flow(
    key: RandomKey, points, config: FlowConfig = FlowConfig(), context=None, *, progress: bool = False
) -> PushforwardFit:
    """Normalising flow of `points` (N, n) in R^n by maximum likelihood; it has the layers of both flows of an M-flow.

    context (N, c): what the density depends on, or None. Raises InputError and TrainingDiverged.
    """
    scaling, standard, _ = standardized_points(points, 1)
    layers = config.layers + config.inner_layers
    law, history = _fit_flow_latent(key, standard, layers, config, context, progress)
    return PushforwardFit(Pushforward(Identity(standard.shape[1]), law, scaling), {"flow": history})


def fit_manifold_flow(
    key: RandomKey, points, latent: int, config: FlowConfig = FlowConfig(), context=None, *, progress: bool = False
) -> PushforwardFit:
    """M-flow of `points` (N, n): an outer flow with n - m coordinates at zero, an inner flow of the other m.

    The outer flow is trained to reconstruct, the inner one for the likelihood of the codes: one after the other
    ("sequential") or on each batch in turn ("alternating"), with gradients of the likelihood kept from the outer flow,
    or it would push density off the data; or ("transport") both for the Sinkhorn divergence of samples from the batch,
    which needs the extra `transport`. context (N, c) reaches the inner flow alone. Raises InputError and
    TrainingDiverged (Brehmer & Cranmer 2020, §3).
    """
    outer_key, encoder_key, inner_key, train_key = derived_keys(key, 4)
    scaling, standard, _ = standardized_points(points, latent)
    dimension = standard.shape[1]
    encoder = None
    if config.encoder:
        shape = {"width": config.width, "blocks": 5}
        encoder = ResidualMLP(dimension, latent, **shape, rngs=nnx.Rngs(encoder_key))
    autoencoder = FlowAutoencoder(_flow(outer_key, dimension, config.layers, config), dimension, latent, encoder)
    options = {"progress": progress, "checkpoint_dir": None}
    if config.schedule == "sequential":
        objective = LossObjective(Partial(_reconstruction, config.code_weight))
        state, history = train_afresh("manifold", train_key, autoencoder, objective, standard, config, **options)
        codes = codes_of(state.model, standard)
        law, law_history = _fit_flow_latent(inner_key, codes, config.inner_layers, config, context, progress)
        return PushforwardFit(Pushforward(state.model, law, scaling), {"manifold": history, "density": law_history})
    law = FlowLatent(_flow(inner_key, latent, config.inner_layers, config, context), latent)
    transport = config.schedule == "transport"
    loss = Partial(_transport, config.blur) if transport else Partial(_alternating, config.code_weight)
    objective, data = LossObjective(loss), (standard, _as_float(context))
    state, history = train_afresh("manifold flow", train_key, (autoencoder, law), objective, data, config, **options)
    return PushforwardFit(Pushforward(state.model[0], state.model[1], scaling), {"manifold flow": history})


def fit_inflated_flow(
    key: RandomKey, points, latent: int, config: FlowConfig = FlowConfig(), context=None, *, progress: bool = False
) -> PushforwardFit:
    """PIE of `points` (N, n): the flows of an M-flow trained as one for the likelihood in R^n.

    The n - m coordinates that samples drop are normal with standard deviation `config.inflation`, so the density is not
    that of the samples. context (N, c) reaches the inner flow alone. Raises InputError and TrainingDiverged (Beitler et
    al. 2021).
    """
    outer_key, inner_key, train_key = derived_keys(key, 3)
    scaling, standard, _ = standardized_points(points, latent)
    dimension = standard.shape[1]
    outer = InflatedFlow(_flow(outer_key, dimension, config.layers, config), dimension, latent, config.inflation)
    law = FlowLatent(_flow(inner_key, latent, config.inner_layers, config, context), latent)
    data = (standard, _as_float(context))
    objective = LossObjective(Partial(_inflated))
    options = {"progress": progress, "checkpoint_dir": None}
    state, history = train_afresh("inflated flow", train_key, (outer, law), objective, data, config, **options)
    return PushforwardFit(Pushforward(state.model[0], state.model[1], scaling), {"inflated flow": history})


def fit_free_form_flow(
    key: RandomKey, points, latent: int, config: FreeFormConfig = FreeFormConfig(), *, progress: bool = False
) -> PushforwardFit:
    """Free-form injective flow of `points` (N, n): unconstrained networks, codes standard normal.

    Raises InputError and TrainingDiverged (Sorrenson et al. 2024).
    """
    encoder_key, decoder_key, train_key = derived_keys(key, 3)
    scaling, standard, _ = standardized_points(points, latent)
    shape = {"width": config.width, "blocks": config.blocks}
    encoder = ResidualMLP(standard.shape[1], latent, **shape, rngs=nnx.Rngs(encoder_key))
    decoder = ResidualMLP(latent, standard.shape[1], **shape, rngs=nnx.Rngs(decoder_key))
    model = NetworkAutoencoder(encoder, decoder, latent)
    loss = _free_form_on_manifold if config.on_manifold else _free_form
    objective = LossObjective(Partial(loss, config.noise, config.reconstruction_weight))
    state, history = train_afresh(
        "free-form flow", train_key, model, objective, standard, config, progress=progress, checkpoint_dir=None
    )
    return PushforwardFit(Pushforward(state.model, StandardNormal(latent), scaling), {"free-form flow": history})


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
    loss = Partial(_reconstruction, 0.0) if config.kl_weight is None else Partial(_variational, config.kl_weight)
    objective, options = LossObjective(loss), {"progress": progress, "checkpoint_dir": checkpoint_dir}
    state, history = train_afresh("autoencoder", key, networks, objective, points, config, **options)
    return state.model, history


def _fit_flow_latent(key, codes, layers, config: FlowConfig, context, progress) -> tuple[FlowLatent, History]:
    flow_key, train_key = derived_keys(key, 2)
    law = FlowLatent(_flow(flow_key, codes.shape[1], layers, config, context), codes.shape[1])
    data = (jnp.asarray(codes), _as_float(context))
    state, history = train_afresh(
        "density",
        train_key,
        law,
        LossObjective(Partial(_likelihood)),
        data,
        config,
        progress=progress,
        checkpoint_dir=None,
    )
    return state.model, history


def _flow(key, dimension: int, layers: int, config: FlowConfig, context: Any = None) -> Flow:
    return Flow(
        dimension,
        layers=layers,
        bins=config.bins,
        bound=config.bound,
        width=config.width,
        context=0 if context is None else np.shape(context)[1],
        linear=config.linear,
        rngs=nnx.Rngs(key),
    )


def _as_float(context):
    return None if context is None else jnp.asarray(context, float)


def standardized_codes(autoencoder: Autoencoder, points) -> tuple[Rescaled, jax.Array]:
    """The autoencoder with codes of zero mean and unit root mean square on points (N, n), and those codes (N, m).

    Energies, kernels and chains have lengths in standard units, and a code has any.
    """
    units, codes, _ = standardization(codes_of(autoencoder, points))
    return Rescaled(autoencoder, jnp.asarray(units.shift, float), jnp.asarray(units.scale, float)), codes


def codes_of(autoencoder: Autoencoder, points) -> np.ndarray:
    """The codes (N, m) of points (N, n)."""
    return in_blocks(lambda rows: _encoded(autoencoder, rows), points, BLOCK)


@jax.jit
def _encoded(autoencoder, points):
    return jax.vmap(autoencoder.encode)(points)


# Losses of a batch, as the training loop calls them.


def _reconstruction(code_weight, key, model, batch):
    return reconstruction_loss(model.encode, model.decode, batch, code_weight)


def _variational(kl_weight, key, model, batch):
    return variational_loss(key, model.encoder, model.decode, batch, kl_weight)


def _likelihood(key, model, batch):
    return negative_log_likelihood(model.log_density, *batch)


def _alternating(code_weight, key, model, batch):
    (autoencoder, latent), (points, context) = model, batch
    reconstruction, terms = reconstruction_loss(autoencoder.encode, autoencoder.decode, points, code_weight)
    codes = jax.lax.stop_gradient(jax.vmap(autoencoder.encode)(points))
    likelihood, more = negative_log_likelihood(latent.log_density, codes, context)
    return reconstruction + likelihood, terms | more


def _transport(blur, key, model, batch):
    autoencoder, latent = model

    def draw(key, context):
        base = jax.random.normal(key, (latent.dimension,))
        return autoencoder.decode(latent.flow.forward(base, context)[0])

    return transport_loss(key, draw, *batch, blur=blur)


def _inflated(key, model, batch):
    autoencoder, latent = model

    def log_density(x, context):
        return latent.log_density(autoencoder.encode(x), context) + autoencoder.log_off_manifold(x)

    return negative_log_likelihood(log_density, *batch)


def _free_form(noise, weight, key, model, batch):
    return free_form_loss(key, model.encode, model.decode, batch, noise=noise, reconstruction_weight=weight)


def _free_form_on_manifold(noise, weight, key, model, batch):
    return free_form_loss(
        key, model.encode, model.decode, batch, noise=noise, reconstruction_weight=weight, on_manifold=True
    )
