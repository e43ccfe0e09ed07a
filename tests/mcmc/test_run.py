from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats

from implicit_manifolds._pytree import pytree
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc.chains import added
from implicit_manifolds.mcmc.constrained_hmc import ConstrainedHMC
from implicit_manifolds.mcmc.constrained_langevin import ConstrainedLangevin
from implicit_manifolds.mcmc.one_chain import sample_chain
from implicit_manifolds.mcmc.outcome import Reason
from implicit_manifolds.mcmc.run import run


class WalkState(NamedTuple):
    position: Any
    steps: Any


class WalkInfo(NamedTuple):
    height: Any
    even: Any


@pytree
@dataclass(frozen=True)
class Walk:
    """A random walk that counts its steps and reports the first coordinate; `noise` 0 makes it a march by `drift`."""

    drift: Any
    noise: Any = 0.0

    def init(self, position, key=None):
        return WalkState(position, jnp.zeros((), jnp.int32))

    def step(self, key, state):
        moved = (
            state.position
            + self.drift
            + self.noise * jax.random.normal(key, state.position.shape, state.position.dtype)
        )
        info = WalkInfo(state.position[0], state.steps % 2 == 0)
        return WalkState(moved, state.steps + 1), info


STARTS = jnp.arange(8.0).reshape(4, 2)


def test_samples_are_thinning_steps_apart_and_info_is_averaged_over_all_steps():
    chains = run(jax.random.key(0), Walk(1.0), STARTS, 5, thinning=3)
    assert chains.positions.shape == (5, 4, 2)
    expected = np.asarray(STARTS) + 3 * np.arange(1, 6)[:, None, None]
    np.testing.assert_allclose(chains.positions, expected)
    assert chains.num_steps == 15
    np.testing.assert_array_equal(chains.state.steps, [15] * 4)
    np.testing.assert_array_equal(chains.state.position, chains.positions[-1])
    np.testing.assert_allclose(chains.info.height, STARTS[:, 0] + np.arange(15).mean())
    np.testing.assert_allclose(chains.info.even, [8 / 15] * 4, rtol=1e-6)
    for leaf in (chains.positions, chains.info.height, chains.non_finite):
        assert isinstance(leaf, np.ndarray)


def test_a_run_keeps_the_precision_of_its_starts(dtype):
    starts = np.arange(8.0).reshape(4, 2) + 1e-3
    chains = run(jax.random.key(0), Walk(1.0), jnp.asarray(starts, dtype), 2)
    assert chains.positions.dtype == dtype
    np.testing.assert_allclose(chains.positions[1], starts + 2, rtol=4 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 1000])
def test_chunking_changes_no_draw(chunk_size):
    whole = run(jax.random.key(3), Walk(0.0, 1.0), STARTS, 7, thinning=2)
    pieces = run(jax.random.key(3), Walk(0.0, 1.0), STARTS, 7, thinning=2, chunk_size=chunk_size)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(pieces), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole.positions, pieces.positions)


def test_keys_decide_the_draws_and_no_two_steps_or_chains_share_noise():
    first, same, other = (run(jax.random.key(seed), Walk(0.0, 1.0), 0 * STARTS, 20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.positions, same.positions)
    assert not np.isclose(first.positions, other.positions).any()
    noise = np.diff(first.positions, axis=0, prepend=0)
    assert len(np.unique(noise.round(4))) > 0.99 * noise.size


def test_more_samples_continue_the_same_draws():
    short, long = (run(jax.random.key(1), Walk(0.0, 1.0), STARTS, count) for count in (5, 9))
    np.testing.assert_array_equal(short.positions, long.positions[:5])


def test_chains_that_end_not_finite_are_named():
    starts = jnp.asarray([[0.0, 1.0], [np.nan, 1.0], [1.0, np.inf]])
    np.testing.assert_array_equal(run(jax.random.key(0), Walk(1.0), starts, 3).non_finite, [False, True, True])


def count_traces(traces, radius, x):
    traces.append(1)
    return sphere().func(radius, x)


def sampler_that_counts(traces, linear_energy):
    """radius, slope, ε -> a sampler whose F notes each time that it is traced."""

    class Counted:  # one function object, as a module's method would be
        def __call__(self, radius, x):
            return count_traces(traces, radius, x)

    counted = Counted()
    return lambda radius, slope, noise: ConstrainedLangevin(
        Partial(counted, jnp.asarray(radius)), linear_energy(jnp.asarray(slope)), noise
    )


def circle(radius):
    return radius * jnp.asarray([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])


def test_new_parameters_thinning_and_counts_of_at_least_a_chunk_compile_nothing(linear_energy):
    traces = []
    build = sampler_that_counts(traces, linear_energy)
    run(jax.random.key(0), build(1.0, [1.0, 0.0], 0.1), circle(1.0), 10, chunk_size=10)
    before = len(traces)
    assert before > 0
    for radius, slope, noise in ((2.0, [0.0, 3.0], 0.2), (3.0, [1.0, 1.0], 0.05)):
        for count, thinning in ((10, 1), (25, 3), (14, 2)):
            sampler = build(radius, slope, noise)
            chains = run(jax.random.key(1), sampler, circle(radius), count, thinning=thinning, chunk_size=10)
            np.testing.assert_allclose(np.linalg.norm(chains.positions, axis=-1), radius, rtol=1e-4)
            assert chains.positions.shape == (count, 3, 2)
    assert len(traces) == before


def test_a_new_count_below_a_chunk_compiles_nothing(linear_energy):
    traces = []
    sampler = sampler_that_counts(traces, linear_energy)(1.0, [1.0, 0.0], 0.1)
    run(jax.random.key(0), sampler, circle(1.0), 5)
    before = len(traces)
    run(jax.random.key(0), sampler, circle(1.0), 6)
    assert len(traces) == before


def test_the_samples_of_one_run_can_start_the_next():
    first = run(jax.random.key(0), Walk(1.0), STARTS, 2)
    run(jax.random.key(0), Walk(1.0), first.positions[-1], 2)


def test_the_mean_info_of_a_chain_with_a_diverged_step_is_finite(linear_energy):
    sampler = ConstrainedLangevin(sphere(1.0), linear_energy(jnp.zeros(2)), 3.0)
    chains = run(jax.random.key(0), sampler, circle(1.0), 50)
    assert chains.info.reason[:, Reason.ACCEPTED].min() > 0
    assert chains.info.reason[:, Reason.ACCEPTED].max() < 1
    assert np.isfinite(chains.info.residual_norm).all()


def test_info_means_agree_with_what_the_positions_show(linear_energy):
    sampler = ConstrainedLangevin(sphere(1.0), linear_energy(jnp.zeros(2)), 1.0)
    chains = run(jax.random.key(0), sampler, circle(1.0), 200)
    path = np.concatenate([circle(1.0)[None], chains.positions])
    moved = (path[1:] != path[:-1]).any(axis=-1).mean(axis=0)
    np.testing.assert_allclose(chains.info.reason[:, Reason.ACCEPTED], moved, atol=1e-6)
    # A step fails when its tangent noise, N(0, 1), is longer than 1: 0.317 of the time, here 600 of them; z = 4.5.
    assert abs(1 - moved.mean() - 0.3173) < 4.5 * np.sqrt(0.3173 * 0.6827 / 600)


def test_a_chain_takes_every_step_unless_told_otherwise_and_what_is_not_finite_adds_nothing():
    every = jax.jit(sample_chain, static_argnums=3)(jax.random.key(0), Walk(1.0), STARTS[1], 5)
    np.testing.assert_allclose(every.positions, np.asarray(STARTS[1]) + np.arange(1, 6)[:, None])
    totals = added([jnp.asarray([1.0, 2.0, 3.0])], [jnp.asarray([0.5, np.nan, np.inf])])
    np.testing.assert_array_equal(totals[0], [1.5, 2.0, 3.0])


def test_one_chain_inside_jit_marches_as_a_run_does():
    chain = jax.jit(sample_chain, static_argnums=3)(jax.random.key(0), Walk(1.0), STARTS[1], 5, 3)
    np.testing.assert_allclose(chain.positions, np.asarray(STARTS[1]) + 3 * np.arange(1, 6)[:, None])
    assert int(chain.state.steps) == 15
    np.testing.assert_allclose(chain.info.height, STARTS[1, 0] + np.arange(15).mean())


def test_chains_inside_jit_follow_their_law(linear_energy):
    sampler = ConstrainedHMC(sphere(1.0), linear_energy(jnp.asarray([-2.0, 0.0])), step_size=0.5, num_steps=2)
    keys, starts = jax.random.split(jax.random.key(1), 2000), jnp.tile(jnp.asarray([-1.0, 0.0]), (2000, 1))
    chains = jax.jit(jax.vmap(lambda key, x: sample_chain(key, sampler, x, 2, 20)))(keys, starts)
    for moment in range(2):
        angle = np.arctan2(chains.positions[:, moment, 1], chains.positions[:, moment, 0])
        assert stats.kstest(angle, stats.vonmises(2.0).cdf).pvalue > 1e-3
    np.testing.assert_allclose(chains.info.reason.sum(axis=1), 1, rtol=1e-5)
