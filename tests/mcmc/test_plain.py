"""First contact: plain functions, a scalar F, an integer seed, one sentence where something else is meant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import InputError
from implicit_manifolds._random import key_or_seed
from implicit_manifolds.mcmc import (
    ConstrainedHMC,
    ConstrainedLangevin,
    ConstrainedNUTS,
    GeodesicLangevin,
    Langevin,
    run,
    to_arviz,
)


def circle(x):
    return x @ x - 1


def tilt(x):
    return -2 * x[0]


@pytest.mark.parametrize("kind", [ConstrainedHMC, ConstrainedNUTS, GeodesicLangevin, ConstrainedLangevin])
def test_plain_functions_a_scalar_f_and_an_integer_seed_will_do(kind):
    chains = run(3, kind(circle, tilt), np.eye(2, dtype=np.float32), 5)
    np.testing.assert_allclose((chains.positions**2).sum(axis=2), 1, atol=1e-5)
    again = run(jax.random.key(3), kind(circle, tilt), np.eye(2, dtype=np.float32), 5)
    np.testing.assert_array_equal(chains.positions, again.positions)


def test_so_will_a_plain_energy_in_the_ambient_space():
    assert run(0, Langevin(lambda x: x @ x), np.eye(2, dtype=np.float32), 5).positions.shape == (5, 2, 2)


def test_an_f_of_another_shape_is_told_in_a_sentence():
    with pytest.raises(InputError, match=r"F returns an array of shape \(1, 1\); let it return one of shape \(k,\)"):
        run(0, ConstrainedHMC(lambda x: circle(x)[None, None], tilt), np.eye(2, dtype=np.float32), 5)
    with pytest.raises(InputError, match=r"F returns an array of shape \(\)"):
        run(0, ConstrainedHMC(Partial(circle), tilt), np.eye(2, dtype=np.float32), 5)


def test_what_is_no_key_and_no_seed_is_refused():
    with pytest.raises(InputError, match="give a random key"):
        key_or_seed(0.5)


def test_a_function_defined_once_compiles_once():
    traces = []

    def counted(x):
        traces.append(1)
        return circle(x)

    seen = []
    for seed in (0, 1):
        run(seed, ConstrainedHMC(counted, tilt), np.eye(2, dtype=np.float32), 5)
        seen.append(len(traces))
    assert seen[0] == seen[1] > 0


def test_variables_keep_their_names_and_shapes_and_draws_their_statistics():
    chains = run(0, ConstrainedHMC(lambda x: x[:3] @ x[:3] - 1, lambda x: x @ x), np.eye(7, dtype=np.float32)[:3], 6)
    tree = to_arviz(chains, {"b": jnp.zeros((2, 2)), "a": jnp.zeros(3)})
    np.testing.assert_array_equal(tree["posterior/a"][1, 2], chains.positions[2, 1, :3])
    np.testing.assert_array_equal(tree["posterior/b"][1, 2], chains.positions[2, 1, 3:].reshape(2, 2))
    stats = tree["sample_stats"]
    assert stats["acceptance_rate"].dims == ("chain", "draw")
    assert float(stats["residual_norm"].max()) < 1e-5
    np.testing.assert_allclose(stats["energy"][2, 5], jnp.sum(chains.positions[5, 2] ** 2), rtol=1e-5)
    with pytest.raises(InputError, match="`like` holds 2 numbers and a point 7"):
        to_arviz(chains, {"a": jnp.zeros(2)})
