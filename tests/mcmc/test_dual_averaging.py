"""Dual averaging alone, of a sampler that only writes down with what step size it was called."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds._pytree import pytree
from implicit_manifolds.mcmc.dual_averaging import adapted, covariance
from implicit_manifolds.mcmc.outcome import Reason

BAR = SimpleNamespace(update=lambda count: None)
TARGET = 0.75  # exact in binary, so that an error of zero is one


class _State(NamedTuple):
    position: Any
    seen: Any
    turn: Any

    @property
    def linearization(self):
        return self


class _Info(NamedTuple):
    acceptance_probability: Any
    reason: Any


@pytree
@dataclass(frozen=True, eq=False)
class _Recorder:
    """Accepts `TARGET` of all steps, and all of sizes between two; each carries both coordinates on."""

    step_size: Any
    accepted: Any = (0.0, 0.0)

    def step(self, key, state):
        low, high = self.accepted
        acceptance = jnp.where((self.step_size > low) & (self.step_size < high), 1.0, TARGET)
        seen = state.seen.at[state.turn].set(self.step_size)
        moved = state.position + jnp.array([1.0, 2.0])
        return _State(moved, seen, state.turn + 1), _Info(acceptance, jnp.asarray(Reason.ENERGY))


def recorded(sampler, num_steps, centre=None, products=False):
    states = _State(jnp.zeros((3, 2)), jnp.zeros((3, num_steps)), jnp.zeros(3, int))
    return adapted(jax.random.key(0), sampler, states, num_steps, TARGET, centre, products, None, BAR)


def test_every_fourth_step_is_a_quarter_as_long_and_teaches_nothing():
    states, averages = recorded(_Recorder(jnp.asarray(0.2), (0.3, 1.0)), 12)
    # After the first step ten times its size; all but short steps have the acceptance asked for.
    np.testing.assert_allclose(states.seen[0], [0.2, 2, 2, 0.5, 2, 2, 2, 0.5, 2, 2, 2, 0.5], rtol=1e-5)
    np.testing.assert_allclose(averages.acceptance, TARGET)


@pytest.mark.parametrize("products", [False, True])
def test_what_is_counted_is_of_the_second_half(products):
    num_steps = 7  # of which four are late
    _, averages = recorded(_Recorder(jnp.asarray(0.2)), num_steps, np.zeros(2), products)
    np.testing.assert_allclose(averages.moved, 4 * (1 + 4))
    np.testing.assert_array_equal(averages.reasons[:, Reason.ENERGY], 4)
    assert averages.reasons.sum() == 3 * 4
    late = np.outer([4.0, 5.0, 6.0, 7.0], [1.0, 2.0])
    expected = np.cov(late.T, bias=True) if products else late.var(axis=0)
    np.testing.assert_allclose(covariance(averages, num_steps), expected, rtol=1e-5)


def test_a_surplus_of_acceptance_lengthens_steps_as_hoffman_and_gelman_say():
    _, averages = recorded(_Recorder(jnp.asarray(0.2), (0.0, 1e9)), 3)  # always accepted
    gap, log_average = 0.0, 0.0
    for step in range(1, 4):
        gap += (TARGET - 1 - gap) / (step + 10)  # algorithm 5, m + t₀
        log_step = np.log(2.0) - step**0.5 / 0.05 * gap
        log_average += step**-0.75 * (log_step - log_average)
    np.testing.assert_allclose([averages.log_step_size, averages.log_average], [log_step, log_average], rtol=1e-5)
