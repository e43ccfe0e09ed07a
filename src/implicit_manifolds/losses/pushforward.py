"""What decoders and flows are trained for: reconstruction, likelihood, and the free-form injective surrogate."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._types import Array, Float, Number, RandomKey, Scalar

Terms = tuple[Scalar, dict[str, Scalar]]


def reconstruction_loss(
    encode: Callable, decode: Callable, points: Float[Array, "batch n"], code_weight: Number = 0.0
) -> Terms:
    """Mean over points of the mean square of x - g(e(x)), plus `code_weight` times the mean square of the codes.

    encode (n,) to (m,), decode (m,) to (n,). Returns the loss and its unweighted terms.
    """
    codes = jax.vmap(encode)(points)
    terms = {
        "reconstruction": jnp.mean((points - jax.vmap(decode)(codes)) ** 2),
        "codes": jnp.mean(codes**2),
    }
    return terms["reconstruction"] + code_weight * terms["codes"], terms


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
    found, _ = sinkdiv(samples, points, epsilon=width, solve_kwargs=solver)
    divergence = 0.5 * found
    return divergence, {"divergence": divergence}


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
