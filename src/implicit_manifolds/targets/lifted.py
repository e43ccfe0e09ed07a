"""A FitzHugh–Nagumo neuron driven by noise, seen without noise: its parameters and its path, lifted to a manifold.

dx = (x - x³ - z)/ε dt, dz = (γx - z + β) dt + σ dB, of which x is seen at 20 times. Inputs u (n,) are standard normal:
four parameters, the initial state, and an increment of noise for each step of the scheme. What was seen says F(u) = 0,
and the posterior of u is its prior conditioned on that (Graham & Storkey 2017; Graham, Thiery & Beskos 2022).
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Float, RandomKey, Residual, Scalar, Vector
from ..mcmc.conditioned import Conditioned, conditioned, standard_normal
from .target import Quantity, Target

SEEN, STEPS, INTERVAL = 20, 10, 0.5
"""Observations, steps of the scheme between two of them, and the time between them."""
PARAMETERS = 4
FIRST = PARAMETERS + 2
INPUTS = FIRST + SEEN * STEPS
SEED = 3


class Neuron(NamedTuple):
    """σ, ε, γ and β: strength of the noise, ratio of the time scales, coupling, and stimulus."""

    sigma: Scalar
    epsilon: Scalar
    gamma: Scalar
    beta: Scalar


def parameters(u: Vector) -> Neuron:
    """Of inputs: log σ ~ N(-1, ½²), log ε ~ N(-2, ½²), log γ ~ N(½, ½²), β ~ N(½, ½²)."""
    half = 0.5 * u
    return Neuron(jnp.exp(half[0] - 1), jnp.exp(half[1] - 2), jnp.exp(half[2] + 0.5), half[3] + 0.5)


def _pulled(x: Scalar, z: Scalar, neuron: Neuron, time: float) -> Scalar:
    """Half a step of x: by z for `time`, at the rate 1/ε, then along x' = (x - x³)/ε, which is solved exactly."""
    x = x - time * z / neuron.epsilon
    return _cubic(x, neuron, time)


def _cubic(x, neuron, time):
    left = jnp.exp(-2 * time / neuron.epsilon)
    return x / jnp.sqrt(left + x**2 * (1 - left))


def _stepped(state, noise, neuron, time):
    """A step of the symmetric splitting: halves of both parts of x around z, an Ornstein-Uhlenbeck process given x.

    Every part is solved exactly (Buckwar, Samson, Tamborrino & Tubikanec 2022), so no input makes it overflow.
    """
    x, z = state
    half, decay = time / 2, np.exp(-time)
    x = _cubic(x, neuron, half) - half * z / neuron.epsilon
    level = neuron.gamma * x + neuron.beta
    z = level + decay * (z - level) + neuron.sigma * np.sqrt((1 - decay**2) / 2) * noise
    x = _cubic(x - half * z / neuron.epsilon, neuron, half)
    return x, z


def path(u: Vector) -> Float[Array, "k s 2"]:
    """x and z after every step (20, 10, 2), of inputs u."""
    neuron = parameters(u)
    initial = -0.5 + 0.5 * u[PARAMETERS], 0.5 * u[PARAMETERS + 1]

    def interval(state, noises):
        states = []
        for noise in noises:  # written out: a loop in a loop costs a call to many small programs each step
            state = _stepped(state, noise, neuron, INTERVAL / STEPS)
            states.append(jnp.stack(state))
        return state, jnp.stack(states)

    return jax.lax.scan(interval, initial, u[FIRST:].reshape(-1, STEPS))[1]


def seen(u: Vector) -> Float[Array, " k"]:
    """x at the times of observation, (20,)."""
    neuron = parameters(u)
    initial = -0.5 + 0.5 * u[PARAMETERS], 0.5 * u[PARAMETERS + 1]

    def interval(state, noises):
        for noise in noises:
            state = _stepped(state, noise, neuron, INTERVAL / STEPS)
        return state, state[0]

    return jax.lax.scan(interval, initial, u[FIRST:].reshape(-1, STEPS))[1]
