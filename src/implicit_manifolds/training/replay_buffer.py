"""The replay buffer of finished chain states: newest first, oldest dropped (Ross et al. 2023, §3.1)."""

import jax
import jax.numpy as jnp

from .._types import Array, Float, RandomKey


def draw(
    key: RandomKey,
    buffer: Float[Array, "size n"],
    fresh: Float[Array, "batch n"],
    replay_fraction: Float[Array, ""] | float,
) -> Float[Array, "batch n"]:
    """Starts of a batch of chains: a random buffer entry with probability `replay_fraction`, else `fresh`.

    Entries are drawn with replacement and stay in the buffer.
    """
    choice, entry = jax.random.uniform(key, (2, fresh.shape[0]))  # one draw: each is slow to compile
    replayed = buffer[(entry * buffer.shape[0]).astype(int)]
    return jnp.where(choice[:, None] < replay_fraction, replayed, fresh)


def push(buffer: Float[Array, "size n"], finished: Float[Array, "batch n"]) -> Float[Array, "size n"]:
    """The buffer with `finished` put in front and as many of the oldest dropped; no gradient passes."""
    joined = jnp.concatenate([jax.lax.stop_gradient(finished), buffer])
    return joined[: buffer.shape[0]]
