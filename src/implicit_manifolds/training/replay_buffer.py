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
    choice_key, entry_key = jax.random.split(key)
    batch = fresh.shape[0]
    replayed = buffer[jax.random.randint(entry_key, (batch,), 0, buffer.shape[0])]
    keep = jax.random.bernoulli(choice_key, replay_fraction, (batch, 1))
    return jnp.where(keep, replayed, fresh)


def push(buffer: Float[Array, "size n"], finished: Float[Array, "batch n"]) -> Float[Array, "size n"]:
    """The buffer with `finished` put in front and as many of the oldest dropped; no gradient passes."""
    joined = jnp.concatenate([jax.lax.stop_gradient(finished), buffer])
    return joined[: buffer.shape[0]]
