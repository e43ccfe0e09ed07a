"""A network of the mean of what a noisy point came from, at every scale of noise: a small diffusion model."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._types import Array, Float, Number, RandomKey, Scalar, Vector
from .mlp import MLP, silence
from .standardized import FixedArray

OCTAVES = (0.5, 1.0, 2.0, 4.0)


class Denoiser(nnx.Module):
    """D(x, σ), meant as E[x₀ | x₀ + σ z = x]: that of a normal law, and a perceptron's correction.

    The normal law has mean c, variances v (r,) along orthonormal axes U (n, r), and one variance w across them, so that
    D = c + U diag(v / (v + σ²)) Uᵀ(x - c) + w / (w + σ²) (1 - U Uᵀ)(x - c) + s(σ) N((x - c) / a(σ), log σ), where s² is
    the mean variance of a coordinate of x₀ given x under that law, and a² that of x. Karras et al. (2022) weigh what a
    network is given, gives and skips by the same reasoning, for one variance.
    """

    def __init__(
        self, network: MLP, axes: Float[Array, "n r"], variances: Float[Array, " r"], rest: Scalar, centre: Vector
    ):
        self.network = network
        self.axes, self.variances = FixedArray(axes), FixedArray(variances)
        self.rest, self.centre = FixedArray(rest), FixedArray(centre)

    def __call__(self, x: Vector, sigma: Number) -> Vector:
        """One point (n,) and a scale of noise, to (n,)."""
        axes, variances, rest, centre = self._law()
        noise, moved = jnp.asarray(sigma, x.dtype) ** 2, x - centre
        across = rest / (rest + noise)
        skipped = centre + across * moved + axes @ ((variances / (variances + noise) - across) * (axes.T @ moved))
        size = jnp.sqrt(self._mean(variances, rest) + noise)
        return skipped + self.spread(sigma) * self.network(jnp.concatenate([moved / size, _features(sigma, x.dtype)]))

    def spread(self, sigma: Number) -> Scalar:
        """s(σ), the root mean variance of a coordinate of x₀ given x, of the normal law; in units of x."""
        _, variances, rest, _ = self._law()
        noise = jnp.asarray(sigma, variances.dtype) ** 2
        return jnp.sqrt(self._mean(variances * noise / (variances + noise), rest * noise / (rest + noise)))

    def normal_log_density(self, x: Vector, sigma: Number) -> Scalar:
        """log of the normal law's density with noise σ, in nats, at a point (n,)."""
        axes, variances, rest, centre = self._law()
        noise, along = jnp.asarray(sigma, x.dtype) ** 2, axes.T @ (x - centre)
        across, count = rest + noise, len(x) - len(along)
        left = jnp.sum((x - centre - axes @ along) ** 2)
        squares = jnp.sum(along**2 / (variances + noise)) + left / across
        volume = jnp.sum(jnp.log(variances + noise)) + count * jnp.log(across)
        return -(squares + volume + len(x) * jnp.log(2 * jnp.pi)) / 2

    def _law(self):
        return jax.lax.stop_gradient((self.axes[...], self.variances[...], self.rest[...], self.centre[...]))

    def _mean(self, along, across):
        """Of r numbers along the axes, and one for all directions across them."""
        size, count = self.axes[...].shape
        return (jnp.sum(along) + (size - count) * across) / size


def start_as_normal_law(
    points: Float[np.ndarray, "N n"], hidden: Sequence[int] = (512, 512, 512), rank: int = 128, *, rngs: nnx.Rngs
) -> Denoiser:
    """A `Denoiser` that is the mean under a normal law with the moments of points (N, n), until it is trained.

    hidden: widths of the perceptron. rank: leading principal axes that have variances of their own, at most n - 1.
    """
    points = np.asarray(points, np.float64)
    size = points.shape[1]
    rank = min(rank, size - 1)
    values, vectors = np.linalg.eigh(np.cov(points, rowvar=False))  # the least first
    network = MLP([size + 1 + 2 * len(OCTAVES), *hidden, size], rngs=rngs)
    silence(network.last)
    values = np.maximum(values, 0)
    law = (vectors[:, size - rank :], values[size - rank :], values[: size - rank].mean(), points.mean(axis=0))
    return Denoiser(network, *(jnp.asarray(part, float) for part in law))


def denoiser_loss(
    key: RandomKey, denoiser: Denoiser, points: Float[Array, "batch n"], least: Number, most: Number
) -> Scalar:
    """Mean of ‖D(x + σz, σ) - x‖² / (n s(σ)²), z normal, log σ uniform between two scales (Vincent 2011).

    One for the best linear denoiser of one normal law; how far below tells what the network adds.
    """
    noise, scales = scaled_noise(key, points, least, most)
    errors = jnp.mean((jax.vmap(denoiser)(points + noise, scales) - points) ** 2, axis=1)
    return jnp.mean(errors / jax.vmap(denoiser.spread)(scales) ** 2)


def scaled_noise(
    key: RandomKey, points: Float[Array, "batch n"], least: Number, most: Number
) -> tuple[Float[Array, "batch n"], Float[Array, " batch"]]:
    """Normal noise (batch, n) for points, and its scales (batch,), log σ uniform between two."""
    scale_key, noise_key = jax.random.split(key)
    low, high = jnp.log(jnp.asarray(least, points.dtype)), jnp.log(jnp.asarray(most, points.dtype))
    scales = jnp.exp(jax.random.uniform(scale_key, (len(points),), points.dtype, low, high))
    return scales[:, None] * jax.random.normal(noise_key, points.shape, points.dtype), scales


def annealed(denoiser: Denoiser, x: Vector, most: Number, least: Number, steps: int = 20) -> Vector:
    """Where x (n,), drawn at noise `most`, is led by the flow of falling noise down to `least` (Karras et al. 2022).

    Heun's method on dx/dσ = (x - D(x, σ)) / σ, σ falling geometrically.
    """
    scales = jnp.geomspace(most, least, steps + 1).astype(x.dtype)
    slope = lambda x, sigma: (x - denoiser(x, sigma)) / sigma

    def step(x, ends):
        first = slope(x, ends[0])
        trial = x + (ends[1] - ends[0]) * first
        return x + (ends[1] - ends[0]) * (first + slope(trial, ends[1])) / 2, None

    return jax.lax.scan(step, x, jnp.stack([scales[:-1], scales[1:]], axis=1))[0]


def log_density(denoiser: Denoiser, key: RandomKey, x: Vector, most: Number, least: Number, steps: int = 50) -> Scalar:
    """log p(x) at noise `least`, in nats, of a point (n,), by the flow of rising noise to `most` and its divergence.

    At `most` the law is taken for the normal one that D started as. Heun's method in log σ, one random sign a
    coordinate for the trace of D's derivative (Hutchinson 1990; Song et al. 2021, §4.3), the same ones all along.
    """
    scales = jnp.geomspace(least, most, steps + 1).astype(x.dtype)
    signs = jax.random.rademacher(key, x.shape, x.dtype)

    def slope(x, sigma):
        denoised, moved = jax.jvp(lambda y: denoiser(y, sigma), (x,), (signs,))
        return x - denoised, len(x) - signs @ moved

    def step(carry, ends):
        x, spread = carry
        width = jnp.log(ends[1] / ends[0])
        first, wider = slope(x, ends[0])
        second, widest = slope(x + width * first, ends[1])
        return (x + width * (first + second) / 2, spread + width * (wider + widest) / 2), None

    start = (x, jnp.zeros((), x.dtype))
    (end, spread), _ = jax.lax.scan(step, start, jnp.stack([scales[:-1], scales[1:]], axis=1))
    return denoiser.normal_log_density(end, most) + spread


def _features(sigma: Number, dtype):
    """log σ and its waves."""
    log = jnp.log(jnp.asarray(sigma, dtype))
    angles = log * jnp.asarray(OCTAVES, dtype)
    return jnp.concatenate([log[None], jnp.sin(angles), jnp.cos(angles)])
