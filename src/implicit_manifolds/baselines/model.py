"""Pushforward models as values, and the verbs of an EBIM for them: sample, log_density, reconstruct.

x = g(z), z from a density of codes. An ambient model is one whose codes are points: a flow, or `Identity`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._loops import over_points
from .._pytree import pytree
from .._types import Array, Float, RandomKey
from ..ebim.verbs import Densities, NearestPoints
from ..points import check_points, check_training_points
from ..scaling import Scaling, standardization
from ..training.loop import History
from .autoencoders import Autoencoder, Inflated, log_change, log_volume
from .latents import Latent


@pytree
@dataclass(frozen=True, eq=False)
class Pushforward:
    """A density of codes pushed through a decoder, in standardised units.

    autoencoder: `encode` (n,) to (m,) and `decode` (m,) to (n,). latent: the law of codes. scaling takes data units to
    standardised ones.
    """

    autoencoder: Autoencoder
    latent: Latent
    scaling: Scaling


class PushforwardFit(NamedTuple):
    """A fitted model and the history of each of its trainings, by name."""

    model: Pushforward
    histories: dict[str, History]


def sample(
    key: RandomKey, model: Pushforward, count: int, context: Float[Array | np.ndarray, " c"] | None = None
) -> Float[np.ndarray, "count n"]:
    """Independent points g(z) of a pushforward model.

    Arguments:
        key: a `jax.random` key.
        model: a fitted model.
        count: how many.
        context: (c,), one for all, if the model has one.

    Returns:
        (count, n), in data units.

    >>> baselines.sample(jax.random.key(0), pushed, 5).shape
    (5, 2)
    """
    codes = np.asarray(model.latent.draw(key, count, None if context is None else jnp.asarray(context, float)))
    return model.scaling.restore(over_points(_decoded, model.autoencoder, codes))


def reconstruct(model: Pushforward, points) -> NearestPoints:
    """g(e(x)) of points x, and the distance to it: the encoder's image, not the nearest point.

    Raises InputError.

    Arguments:
        model: a fitted model.
        points: (N, n), in data units.

    Returns:
        `NearestPoints`: points g(e(x)) (N, n) and distances (N,), in data units, and whether they are numbers.

    >>> baselines.reconstruct(pushed, [[1.0, 0.0]]).points.shape
    (1, 2)
    """
    standard = standardized(model, points)
    found = over_points(_reconstructed, model.autoencoder, standard)
    distance = np.linalg.norm(found - standard, axis=1) * float(model.scaling.scale)
    return NearestPoints(model.scaling.restore(found), distance, np.isfinite(distance))


def log_density(model: Pushforward, points, context: Float[Array | np.ndarray, "N c"] | None = None) -> Densities:
    """Log p at g(e(x)) by the volume of the decoder's image, and the distance to it.

    log p_Z(z) - ½ log det(JᵀJ) at z = e(x), J the decoder's full Jacobian, in nats per data unit to the power m;
    energy is -log p_Z(z). The formula holds where the decoder is injective. An `Inflated` one (PIE) has its density in
    R^n, at x itself. Raises InputError.

    Arguments:
        model: a fitted model.
        points: x (N, n), in data units.
        context: (N, c), if the model has one.

    Returns:
        `Densities`: log p and energy (N,), distance ‖g(e(x)) - x‖ (N,), and whether the density is a number (N,).

    >>> baselines.log_density(pushed, [[1.0, 0.0]]).converged.tolist()
    [True]
    """
    standard = standardized(model, points)
    rows = standard, None if context is None else np.asarray(context, standard.dtype)
    found, latent, distance = over_points(_log_densities, (model.autoencoder, model.latent), rows)
    scale = float(model.scaling.scale)
    dimension = standard.shape[1] if isinstance(model.autoencoder, Inflated) else code_size(model)
    density = found.astype(np.float64) - dimension * np.log(scale)
    return Densities(density, -latent.astype(np.float64), distance * scale, ~np.isnan(density))


def image(model: Pushforward, codes) -> tuple[np.ndarray, np.ndarray]:
    """Points g(z) of given codes, and log p there by the volume of the image. No context.

    For a look at all of the manifold, where `sample` shows what is likely.

    Arguments:
        model: a fitted model.
        codes: z (N, m).

    Returns:
        Points (N, n) in data units, and log p (N,).

    >>> points, log_p = baselines.image(pushed, np.linspace(-1, 1, 5)[:, None])
    >>> points.shape, log_p.shape
    ((5, 2), (5,))
    """
    codes = np.asarray(codes)
    found, density = over_points(_image, (model.autoencoder, model.latent), codes)
    return model.scaling.restore(found), density.astype(np.float64) - codes.shape[1] * np.log(
        float(model.scaling.scale)
    )


def code_size(model: Pushforward) -> int:
    """m, the number of coordinates of a code."""
    point = jax.ShapeDtypeStruct((len(model.scaling.shift),), jnp.result_type(float))
    return jax.eval_shape(model.autoencoder.encode, point).shape[0]


def standardized(model: Pushforward, points) -> np.ndarray:
    """Points (N, n) in the units of the networks. Raises InputError."""
    return np.asarray(model.scaling.standardize(check_points(points, dimension=len(model.scaling.shift))))


def standardized_points(points, latent: int):
    """Scaling of `points` (N, n) to train on, the points in its units, and their box. Raises InputError."""
    points = check_training_points(points, np.shape(points)[-1] - latent)
    return standardization(points)


def _decoded(autoencoder, z):
    return autoencoder.decode(z)


def _reconstructed(autoencoder, x):
    return autoencoder.decode(autoencoder.encode(x))


def _image(parts, z):
    autoencoder, latent = parts
    return autoencoder.decode(z), latent.log_density(z) - log_volume(autoencoder, z)


def _log_densities(parts, row):
    (autoencoder, latent), (x, context) = parts, row
    z = autoencoder.encode(x)
    log_latent = latent.log_density(z, context)
    distance = jnp.linalg.norm(autoencoder.decode(z) - x)
    return log_latent + log_change(autoencoder, x, z), log_latent, distance
