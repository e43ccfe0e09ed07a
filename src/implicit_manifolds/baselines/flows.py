"""Spline flows: of R^n, of a manifold (M-flow, M_e-flow), and inflated (PIE)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from .._random import derived_keys
from .._types import Array, Float, Number, RandomKey, Scalar, Vector
from ..networks.flows import Flow
from ..networks.residual import ResidualMLP
from ..training.config import TrainingConfig
from ..training.loop import History, train_afresh
from ..training.objective import LossObjective, Terms
from .autoencoders import Code, Identity, codes_of, reconstruction
from .latents import FlowLatent
from .model import Pushforward, PushforwardFit, standardized_points


@dataclass(frozen=True, kw_only=True)
class FlowConfig(TrainingConfig):
    """Spline flows, and how an M-flow is trained."""

    layers: int = 5  # of the outer flow
    inner_layers: int = 5  # of the flow of codes
    bins: int = 10
    bound: float = 4.0
    width: int = 100
    linear: bool = True
    num_steps: int = 10_000
    clip_norm: float | None = 1.0
    schedule: Literal["sequential", "alternating", "transport"] = "alternating"
    blur: float = 0.05  # of the transport, a length in standardised units
    inflation: float = 0.05  # ε of a PIE, in standardised units
    encoder: bool = False  # an encoder of its own: the M_e-flow


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


def negative_log_likelihood(log_density: Callable, points: Float[Array, "batch n"], context: Any = None) -> Terms:
    """Mean of -log p(x), or of -log p(x | θ) with a context θ (batch, c)."""
    axes = (0, None if context is None else 0)
    loss = -jnp.mean(jax.vmap(log_density, axes)(points, context))
    return loss, {"nll": loss}


def transport_loss(
    key: RandomKey,
    draw: Callable,
    points: Float[Array, "batch n"],
    context: Float[Array, "batch c"] | None = None,
    *,
    blur: Number,
) -> Terms:
    """Sinkhorn divergence between `points` and as many samples: half squared distances, entropy of weight `blur`².

    draw(key, θ (c,) or None) to (n,). A context θ stays with its sample and counts in the distance, for the points
    alone would leave free which θ they belong to. Raises ImportError without ott-jax (Genevay et al. 2018; Brehmer &
    Cranmer 2020, §3).
    """
    try:
        from ott.geometry.epsilon_scheduler import Epsilon
        from ott.solvers.linear.acceleration import Momentum
        from ott.tools.sinkhorn_divergence import sinkdiv
    except ImportError as error:
        raise ImportError("training by transport needs ott-jax: pip install 'implicit-manifolds[transport]'") from error
    keys = jax.random.split(key, len(points))
    samples = jax.vmap(draw, (0, None if context is None else 0))(keys, context)
    if context is not None:
        points, samples = (jnp.concatenate([part, context], axis=1) for part in (points, samples))
    # ott-jax counts squared distances, not half of them. Full convergence takes hundreds of iterations; from 40 blurs
    # to one and over-relaxed, 50 bring the gradient close enough (the test of a shift says how close).
    width: Any = Epsilon(target=2 * blur**2, init=40.0**2, decay=0.8)
    solver = {"max_iterations": 50, "momentum": Momentum(start=0, value=1.5)}  # type: ignore[call-arg]
    with jax.numpy_rank_promotion("allow"):  # which ott-jax needs, whatever the caller has set
        found, _ = sinkdiv(samples, points, epsilon=width, solve_kwargs=solver)
    divergence = 0.5 * found
    return divergence, {"divergence": divergence}


def fit_ambient_flow(
    key: RandomKey, points, config: FlowConfig = FlowConfig(), context=None, *, progress: bool = False
) -> PushforwardFit:
    """Normalising flow of R^n by maximum likelihood, with an M-flow's layers. Raises InputError and TrainingDiverged.

    Arguments:
        key: a `jax.random` key.
        points: (N, n), in any units.
        config: layers, and how they are trained.
        context: (N, c), what the density depends on; None for nothing.
        progress: show a bar.

    Returns:
        `PushforwardFit`: the model, and the history of its training.

    >>> quick = baselines.FlowConfig(layers=1, inner_layers=1, bins=4, width=8, num_steps=2)
    >>> fitted = baselines.fit_ambient_flow(jax.random.key(0), points, quick)
    >>> sorted(fitted.histories)
    ['flow']
    """
    scaling, standard, _ = standardized_points(points, 1)
    layers = config.layers + config.inner_layers
    law, history = _fit_flow_latent(key, standard, layers, config, context, progress)
    return PushforwardFit(Pushforward(Identity(standard.shape[1]), law, scaling), {"flow": history})


def fit_manifold_flow(
    key: RandomKey, points, latent: int, config: FlowConfig = FlowConfig(), context=None, *, progress: bool = False
) -> PushforwardFit:
    """M-flow: an outer flow with n - m coordinates at zero, an inner flow of the other m (Brehmer & Cranmer 2020, §3).

    The outer flow is trained to reconstruct, the inner one for the likelihood of the codes: one after the other
    ("sequential") or on each batch in turn ("alternating"), with gradients of the likelihood kept from the outer flow,
    or it would push density off the data; or ("transport") both for the Sinkhorn divergence of samples from the batch,
    which needs the extra `transport`. The context reaches the inner flow alone. Raises InputError and
    TrainingDiverged.

    Arguments:
        key: a `jax.random` key.
        points: (N, n), in any units.
        latent: m, the number of coordinates of a code.
        config: layers, and how they are trained.
        context: (N, c), what the density depends on; None for nothing.
        progress: show a bar.

    Returns:
        `PushforwardFit`: the model, and the history of each of its trainings by name.

    >>> quick = baselines.FlowConfig(layers=1, inner_layers=1, bins=4, width=8, num_steps=2)
    >>> fitted = baselines.fit_manifold_flow(jax.random.key(0), points, 1, quick)
    >>> sorted(fitted.histories)
    ['manifold flow']
    """
    outer_key, encoder_key, inner_key, train_key = derived_keys(key, 4)
    scaling, standard, _ = standardized_points(points, latent)
    dimension = standard.shape[1]
    encoder = None
    if config.encoder:
        shape = {"width": config.width, "blocks": 5}
        encoder = ResidualMLP(dimension, latent, **shape, rngs=nnx.Rngs(encoder_key))
    autoencoder = FlowAutoencoder(_flow(outer_key, dimension, config.layers, config), dimension, latent, encoder)
    if config.schedule == "sequential":
        objective = LossObjective(Partial(reconstruction))
        state, history = train_afresh(
            "manifold", train_key, autoencoder, objective, standard, config, progress=progress
        )
        codes = codes_of(state.model, standard)
        law, law_history = _fit_flow_latent(inner_key, codes, config.inner_layers, config, context, progress)
        return PushforwardFit(Pushforward(state.model, law, scaling), {"manifold": history, "density": law_history})
    law = FlowLatent(_flow(inner_key, latent, config.inner_layers, config, context), latent)
    transport = config.schedule == "transport"
    loss = Partial(_transport, config.blur) if transport else Partial(_alternating)
    objective, data = LossObjective(loss), (standard, _as_float(context))
    state, history = train_afresh(
        "manifold flow", train_key, (autoencoder, law), objective, data, config, progress=progress
    )
    return PushforwardFit(Pushforward(state.model[0], state.model[1], scaling), {"manifold flow": history})


def fit_inflated_flow(
    key: RandomKey, points, latent: int, config: FlowConfig = FlowConfig(), context=None, *, progress: bool = False
) -> PushforwardFit:
    """PIE: the flows of an M-flow trained as one for the likelihood in R^n (Beitler et al. 2021).

    The n - m coordinates that samples drop are normal with standard deviation `config.inflation`, so the density is not
    that of the samples. The context reaches the inner flow alone. Raises InputError and TrainingDiverged.

    Arguments:
        key: a `jax.random` key.
        points: (N, n), in any units.
        latent: m, the number of coordinates of a code.
        config: layers, and how they are trained.
        context: (N, c), what the density depends on; None for nothing.
        progress: show a bar.

    Returns:
        `PushforwardFit`: the model, and the history of each of its trainings by name.

    >>> quick = baselines.FlowConfig(layers=1, inner_layers=1, bins=4, width=8, num_steps=2)
    >>> fitted = baselines.fit_inflated_flow(jax.random.key(0), points, 1, quick)
    >>> sorted(fitted.histories)
    ['inflated flow']
    """
    outer_key, inner_key, train_key = derived_keys(key, 3)
    scaling, standard, _ = standardized_points(points, latent)
    dimension = standard.shape[1]
    outer = InflatedFlow(_flow(outer_key, dimension, config.layers, config), dimension, latent, config.inflation)
    law = FlowLatent(_flow(inner_key, latent, config.inner_layers, config, context), latent)
    data = (standard, _as_float(context))
    objective = LossObjective(Partial(_inflated))
    state, history = train_afresh("inflated flow", train_key, (outer, law), objective, data, config, progress=progress)
    return PushforwardFit(Pushforward(state.model[0], state.model[1], scaling), {"inflated flow": history})


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


def _likelihood(key, model, batch):
    return negative_log_likelihood(model.log_density, *batch)


def _alternating(key, model, batch):
    (autoencoder, latent), (points, context) = model, batch
    error, terms = reconstruction(key, autoencoder, points)
    codes = jax.lax.stop_gradient(jax.vmap(autoencoder.encode)(points))
    likelihood, more = negative_log_likelihood(latent.log_density, codes, context)
    return error + likelihood, terms | more


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
