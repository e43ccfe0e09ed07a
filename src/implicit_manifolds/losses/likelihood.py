"""Maximum likelihood on a level set with points of known volume: no Markov chain in the loop."""

import jax
import jax.numpy as jnp

from .._types import Array, Energy, Float, Scalar


def likelihood_loss(
    energy: Energy,
    points: Float[Array, "batch n"],
    pool: Float[Array, "m n"],
    log_volumes: Float[Array, " m"],
    weights: Float[Array, " batch"] | None = None,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Σ w E(x) / Σ w + log mean V(u) exp(-E(u)): the negative log-likelihood.

    points x (batch, n) from the data with optional weights w (batch,); pool u (m, n), points of M of which each stands
    for the volume V / m, log_volumes log V (m,), -inf for a point to be left out. The log of a mean over few u is
    biased low, and an energy trained on one fixed pool learns to fall between its points: redraw the pool, and judge by
    another. Returns the loss and its terms.
    """
    data = jnp.average(jax.vmap(energy)(points), weights=weights)
    log_z = jax.nn.logsumexp(log_volumes - jax.vmap(energy)(pool)) - jnp.log(pool.shape[0])
    return data + log_z, {"data": data, "log_z": log_z}
