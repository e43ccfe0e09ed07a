"""Contrastive divergence with an energy penalty (Ross et al. 2023, §3.2; Du & Mordatch 2019)."""

import jax
import jax.numpy as jnp

from .._types import Array, Energy, Float, Scalar


def contrastive_loss(
    energy: Energy,
    points: Float[Array, "batch n"],
    negatives: Float[Array, "m n"],
    *,
    square_weight: float = 0.1,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Mean E(x) - mean E(x⁻) + b · (mean E(x)² + mean E(x⁻)²), b = square_weight.

    points x (batch, n) from the data, negatives x⁻ (m, n) from the model's chains, through which no
    gradient flows. Returns the loss and its unweighted terms. Its gradient is that of the negative
    log-likelihood when the chains follow exp(-E) and b = 0.
    """
    low = jax.vmap(energy)(points)
    high = jax.vmap(energy)(jax.lax.stop_gradient(negatives))
    terms = {
        "data": jnp.mean(low),
        "negative": jnp.mean(high),
        "square": jnp.mean(low**2) + jnp.mean(high**2),
    }
    return terms["data"] - terms["negative"] + square_weight * terms["square"], terms
