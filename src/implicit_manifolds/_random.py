"""Randomness on the host, for what a program would be slow to compile."""

import jax
import numpy as np

from ._types import RandomKey
from .errors import InputError


def check_key(key) -> None:
    """Raise InputError where what is given is no random key of JAX."""
    if not isinstance(key, jax.Array):
        raise InputError(f"the key is {key!r}; give a random key of JAX, such as jax.random.key(0)")


def key_or_seed(key) -> RandomKey:
    """The random key given, or that of an integer seed. Raises InputError for anything else."""
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return jax.random.key(int(key))
    check_key(key)
    return key


def host_generator(key: RandomKey, *words: int) -> np.random.Generator:
    """A NumPy generator that depends on the key and on further non-negative integers alone."""
    return np.random.default_rng([*np.asarray(jax.random.key_data(key)).ravel(), *words])


def derived_keys(key: RandomKey, count: int) -> list[RandomKey]:
    """`count` keys for the host to hand out; unlike `jax.random.split`, compiled once for every count."""
    return [jax.random.fold_in(key, index) for index in range(count)]
