"""An EBIM whose density depends on a context θ: p(x | θ) ∝ p(x) exp(-D(x, θ)) on the manifold of p.

p is the density of an EBIM fitted to all points, whatever their θ, so its independent samples normalise for every θ
at once: Z(θ) is the mean of exp(-D(x, θ)) over x from p. D is a product of features of x and of θ.
"""

import warnings
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._loops import over_points
from .._pytree import pytree
from .._random import derived_keys
from .._types import Array, Float, RandomKey, Scalar, Vector
from ..errors import InputError
from ..networks.residual import ResidualMLP
from ..points import check_points
from ..training.config import TrainingConfig
from ..training.loop import History, train_afresh
from ..training.objective import Objective
from ..volumes.importance import resample
from .model import EBIM
from .verbs import log_density, nearest_points, sample

Context = Float[Array, " c"]
FEWEST = 100
"""Points that a normaliser hangs on at least, or its error is more than a tenth and is told."""


@dataclass(frozen=True, kw_only=True)
class ConditionalConfig(TrainingConfig):
    """The two networks of D and how they are trained."""

    features: int = 32
    width: int = 64
    blocks: int = 2
    num_steps: int = 4000
    batch_size: int = 500
    clip_norm: float | None = 1.0
    pool_size: int = 20_000  # samples of p that training normalises with; as many others do afterwards
    pool_batch: int = 2000


class Tilt(nnx.Module):
    """D(x, θ) = a(x)ᵀ b(θ) / √features, a and b residual networks: point (n,) and context (c,) to ()."""

    def __init__(self, dimension: int, context: int, config: ConditionalConfig, *, rngs: nnx.Rngs):
        shape = {"width": config.width, "blocks": config.blocks}
        self.of_point = ResidualMLP(dimension, config.features, **shape, rngs=rngs)
        self.of_context = ResidualMLP(context, config.features, **shape, rngs=rngs)

    def __call__(self, x: Vector, context: Context) -> Scalar:
        """One point and one context."""
        return self.pairs(x[None], context[None])[0, 0]

    def pairs(self, points: Float[Array, "a n"], contexts: Float[Array, "b c"]) -> Float[Array, "a b"]:
        """D of all pairs."""
        of_points, of_contexts = jax.vmap(self.of_point)(points), jax.vmap(self.of_context)(contexts)
        return of_points @ of_contexts.T * of_points.shape[1] ** -0.5


@pytree
@dataclass(frozen=True, eq=False)
class TiltObjective(Objective):
    """Maximum likelihood of D: mean D(x, θ) + log Z(θ), Z from `pool_batch` rows of pool (P, n), drawn from p."""

    pool: Float[Array, "P n"]
    pool_batch: int = field(metadata={"static": True})

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """Rows of the pool."""
        picked = jax.random.uniform(key, (self.pool_batch,)) * self.pool.shape[0]
        return self.pool[picked.astype(int)], memory

    def loss(self, key: RandomKey, model: Tilt, batch, negatives):
        """Mean of -log p(x | θ) + log p(x) over the batch."""
        points, contexts = batch
        tilts = jnp.mean(jax.vmap(model)(points, contexts))
        loss = tilts + jnp.mean(_log_mean_exp(-model.pairs(negatives, contexts)))
        return loss, {"tilt": tilts, "relative_nll": loss}


@pytree
@dataclass(frozen=True, eq=False)
class ConditionalEBIM:
    """p(x | θ) = p(x) exp(-D(x, θ)) / Z(θ), by volume of the learned manifold.

    marginal: p. tilt: D, of standardised points and contexts less `shift`, over `scale`, each (c,). pool (P, n):
    samples of p in standardised units, which give Z(θ).
    """

    marginal: EBIM
    tilt: Tilt
    shift: Float[np.ndarray, " c"]
    scale: Float[np.ndarray, " c"]
    pool: Float[np.ndarray, "P n"] = field(repr=False)


def fit_conditional(
    key: RandomKey,
    marginal: EBIM,
    points,
    contexts,
    config: ConditionalConfig = ConditionalConfig(),
    *,
    progress: bool = False,
) -> tuple[ConditionalEBIM, History]:
    """Learn how the density of `points` (N, n) depends on `contexts` (N, c), on the manifold of `marginal`.

    By maximum likelihood; `marginal` is what `fit` made of the same points and must have a normaliser. Raises
    InputError and TrainingDiverged.
    """
    points = check_points(points, dimension=marginal.manifold.ambient_dimension)
    contexts = _checked(contexts, len(points))
    if marginal.log_normalizer is None:
        raise InputError("the marginal model has no normaliser; fit it by likelihood first")
    pool_key, later_key, model_key, train_key = derived_keys(key, 4)
    shift, scale = contexts.mean(axis=0), contexts.std(axis=0)
    scale = np.where(scale > 1e-10 * np.abs(contexts).max(axis=0), scale, 1.0)  # a constant column stays at zero
    near = nearest_points(marginal, points)
    if lost := np.sum(~near.converged):
        warnings.warn(f"{lost} of {len(points)} points have no nearest one on the manifold; left out", stacklevel=2)
    standard = marginal.scaling.standardize(near.points[near.converged])
    data = (jnp.asarray(standard), jnp.asarray(((contexts - shift) / scale)[near.converged], float))
    train_pool, later_pool = (
        marginal.scaling.standardize(sample(k, marginal, config.pool_size).points) for k in (pool_key, later_key)
    )
    tilt = Tilt(points.shape[1], contexts.shape[1], config, rngs=nnx.Rngs(model_key))
    objective = TiltObjective(jnp.asarray(train_pool), config.pool_batch)
    state, history = train_afresh("conditional energy", train_key, tilt, objective, data, config, progress=progress)
    return ConditionalEBIM(marginal, state.model, shift, scale, np.asarray(later_pool)), history


def log_density_given(
    model: ConditionalEBIM, points, contexts
) -> tuple[Float[np.ndarray, "N b"], Float[np.ndarray, " N"]]:
    """Log p(x | θ) at nearest points of the manifold for `points` (N, n) and each of `contexts` (b, c), (N, b).

    By its volume in data units, NaN where the search for the nearest point failed; and the distances to it, (N,).
    Warns of contexts whose normaliser hangs on few of the pool's points, and raises InputError.
    """
    found = log_density(model.marginal, points)
    positions = model.marginal.scaling.standardize(nearest_points(model.marginal, points).points)
    standard = _standardized(model, contexts)
    tilts = np.asarray(_pairs(model.tilt, positions, standard), np.float64)
    log_normalizers, worth = (
        np.asarray(part, np.float64) for part in _log_normalizers(model.tilt, jnp.asarray(model.pool), standard)
    )
    if (few := worth < FEWEST).any():
        warnings.warn(
            f"the normaliser of {few.sum()} of {len(few)} contexts is known from {worth.min():.0f} of "
            f"{len(model.pool):,} points at worst, too few; their density is too narrow for the points of the marginal",
            stacklevel=2,
        )
    base = np.where(found.converged, found.log_density, np.nan)
    return base[:, None] - tilts - log_normalizers, found.distance


def sample_given(key: RandomKey, model: ConditionalEBIM, count: int, context) -> Float[np.ndarray, "count n"]:
    """`count` independent points given one context (c,), in data units: fresh samples of p, resampled by exp(-D).

    Each is used once; as many are drawn as the weights ask for (`resample`). Raises InputError.
    """
    standard = _standardized(model, np.reshape(context, (1, -1)))

    def candidates(key, size):
        points = sample(key, model.marginal, size).points
        tilts = over_points(_tilt, (model.tilt, standard[0]), model.marginal.scaling.standardize(points))
        return points, -tilts.astype(np.float64)

    return resample(key, candidates, count).points


def _tilt(parts, x):
    tilt, context = parts
    return tilt(x, context)


def _checked(contexts, count: int | None = None) -> np.ndarray:
    contexts = np.asarray(contexts, np.float64)
    if contexts.ndim != 2 or (count is not None and len(contexts) != count) or not np.isfinite(contexts).all():
        raise InputError(f"contexts must be finite and of shape (N, c), a row for each point; got {contexts.shape}")
    return contexts


def _standardized(model: ConditionalEBIM, contexts) -> Float[Array, "b c"]:
    return jnp.asarray((_checked(contexts) - model.shift) / model.scale, float)


def _log_mean_exp(logs: Float[Array, "P b"]) -> Float[Array, " b"]:
    return jax.nn.logsumexp(logs, axis=0) - jnp.log(logs.shape[0])


@jax.jit
def _pairs(tilt, points, contexts):
    return tilt.pairs(points, contexts)


@jax.jit
def _log_normalizers(tilt, pool, contexts):
    """Of each context, and how many points of the pool it is known from, (Σw)²/Σw²."""
    logs = -tilt.pairs(pool, contexts)
    twice = 2 * jax.nn.logsumexp(logs, axis=0) - jax.nn.logsumexp(2 * logs, axis=0)
    return _log_mean_exp(logs), jnp.exp(twice)
