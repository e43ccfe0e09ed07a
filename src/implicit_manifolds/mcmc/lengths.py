"""Lengths of trajectories tuned over all chains at once, by what a draw is worth a step.

As ChEES does in flat space (Hoffman, Radul & Sountsov 2021), but squares of single coordinates take the place of the
squared distance from the mean, which on a sphere is one number everywhere; and lengths are doubled and halved where
ChEES follows gradients: with many chains a short pilot is enough to tell two lengths apart.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from .._devices import on_host, replicated
from .._loops import collect
from .chains import step_of_all
from .metric import accuracy_of

DRAWS, FEWEST, MOST = 2000, 25, 400
"""Draws of a pilot over all chains, and of each at least and at most."""
LONGEST = 1024
OVERHEAD = 0.5
"""Steps' worth of the rest of a transition."""


def tuned_lengths(key, sampler: Any, states, mesh: Mesh | None):
    """The sampler with the best `max_steps` among its own times powers of 2 and √2, and the chains' last states."""
    worth: dict[int, float] = {}
    first, best = max(1.0, float(sampler.max_steps)), 0
    # Lengths by how many times √2 they are the first: as numbers one would come back as another, and be tried twice.
    length = lambda number: first * 2 ** (number / 2)
    with_length = lambda number: replace(sampler, max_steps=np.asarray(length(number), sampler.step_size.dtype))

    def measured(number: int) -> float:
        nonlocal states
        if number not in worth:
            states, rate = _worth(jax.random.fold_in(key, len(worth)), with_length(number), states, mesh)
            worth[number] = rate
        return worth[number]

    for stride in (2, -2, 1, -1):
        while 1 <= length(best + stride) <= LONGEST and measured(best + stride) > measured(best):
            best += stride
    return with_length(best), states


def _worth(key, sampler, states, mesh: Mesh | None):
    """Last states, and effective draws a step: of the coordinates or of their squares, whichever are fewer."""
    chains = len(states.position)
    count = int(np.clip(DRAWS // chains, FEWEST, MOST))
    states, positions = _pilot(replicated(sampler, mesh), key, states, count, mesh)
    positions = on_host(positions).astype(np.float64)
    spread = positions.std(axis=(0, 1))
    varying = spread > accuracy_of(positions.astype(sampler.step_size.dtype))
    positions = (positions - positions.mean(axis=(0, 1)))[..., varying] / spread[varying]
    times = max(_autocorrelation_time(feature) for feature in (positions, positions**2 - 1))
    steps = 0.5 * (float(sampler.max_steps) + 1)
    return states, 1 / (times * (steps + OVERHEAD))


def _autocorrelation_time(features: np.ndarray) -> float:
    """Mean over coordinates of (1 + ρ)/(1 - ρ), ρ the correlation of one draw and the next, at least 0."""
    product = np.mean(features[1:] * features[:-1], axis=(0, 1))
    square = np.mean(features**2, axis=(0, 1))
    share = np.clip(product / square, 0, 0.999)
    return float(np.mean((1 + share) / (1 - share))) if len(share) else 1.0


@partial(jax.jit, static_argnames=("count", "mesh"))
def _pilot(sampler, key, states, count, mesh):
    step_all, chains = step_of_all(mesh), len(states.position)

    def body(index, states):
        keys = jax.random.split(jax.random.fold_in(key, index), chains)
        states, _ = step_all(sampler, keys, states)
        return states, states.linearization.position

    return collect(body, states, 0, count, count)
