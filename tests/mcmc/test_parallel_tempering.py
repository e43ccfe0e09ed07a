"""Chains that exchange temperatures: modes get their shares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import InputError
from implicit_manifolds._pytree import pytree
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import ConstrainedHMC, ParallelTempering, run, to_arviz
from tests.mcmc.laws import angle_of, final, follows, law_on


def _two_modes(x):
    return -6 * (2 * x[0] ** 2 - 1) - 0.5 * x[0]


LAW = law_on(-np.pi, np.pi, lambda t: np.exp(6 * np.cos(2 * t) + 0.5 * np.cos(t)))
LADDER = np.array([1.0, 0.5, 0.2, 0.05, 0.0])


def tempered(cls=ParallelTempering, **choices):
    cold = ConstrainedHMC(sphere(1.0), Partial(_two_modes), num_steps=3)
    return cls(cold, jnp.asarray(LADDER), jnp.asarray([0.25, 0.35, 0.5, 0.6, 0.7]), **choices)


def _tilted(x):
    return -0.7 * x[1]


def test_modes_get_their_shares_from_one_of_them(dtype):
    draws, _ = final(tempered(), [-1.0, 0.0], 150, dtype)
    assert follows(angle_of(draws), LAW)


@pytest.mark.slow
def test_a_reference_takes_the_place_of_the_uniform_law():
    draws, _ = final(tempered(reference=Partial(_tilted)), [-1.0, 0.0], 150)
    assert follows(angle_of(draws), LAW)


@pytest.mark.parametrize("reference", [None, Partial(_tilted)])
@pytest.mark.parametrize("parity", [0, 1])
def test_neighbours_swap_as_often_as_their_energies_say(reference, parity, x64):
    sampler = tempered(reference=reference)
    angle = np.array([0.05, 0.3, 0.45, 0.8, 1.4])
    points = jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    states = jax.vmap(sampler.sampler.init)(points)
    keys = jax.random.split(jax.random.key(0), 4000)
    orders, found = jax.jit(jax.vmap(sampler._swaps, (0, None, None, None)))(keys, states, jnp.asarray(LADDER), parity)
    excess = jax.vmap(_two_modes)(points) - (0 if reference is None else jax.vmap(_tilted)(points))
    expected = np.minimum(1, np.exp((LADDER[:-1] - LADDER[1:]) * (excess[:-1] - excess[1:])))
    assert ((expected > 0.05) & (expected < 0.95)).all()
    expected[1 - parity :: 2] = 0
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    assert (np.sort(orders, axis=1) == np.arange(5)).all()
    swapped = np.asarray(orders)[:, :-1] == np.arange(1, 5)
    # Four pairs of 4,000 tries, z = 5: false alarm 2e-6.
    assert (abs(swapped.mean(axis=0) - expected) <= 5 * np.sqrt(expected * (1 - expected) / 4000)).all()


def test_a_chain_by_itself_stays_in_its_mode():
    draws, _ = final(tempered().sampler, [-1.0, 0.0], 150)
    assert (draws[:, 0] < 0).mean() > 0.9


class _Unweighted(ParallelTempering):
    """Swaps by a coin."""

    def _swaps(self, key, states, betas, parity):
        order, probability = super()._swaps(key, states, 0 * betas, parity)
        return order, probability


def test_swaps_that_ask_no_energy_would_be_noticed():
    import dataclasses

    broken = pytree(dataclasses.dataclass(frozen=True, eq=False)(_Unweighted))
    draws, _ = final(tempered(broken), [-1.0, 0.0], 150)
    assert not follows(angle_of(draws), LAW)


@pytest.mark.slow
def test_warm_up_tunes_a_step_size_for_each_temperature_and_statistics_have_them():
    sampler = ParallelTempering(ConstrainedHMC(sphere(1.0), _two_modes, num_steps=3), [1.0, 0.3, 0.0])
    chains = run(0, sampler, np.tile(np.float32([-1.0, 0.0]), (100, 1)), 20, num_warmup=200)
    step_size = np.asarray(chains.sampler.step_size)
    assert (np.diff(step_size) > 0).all()
    assert np.abs(chains.info.acceptance_probability.mean(axis=0) - 0.8).max() < 0.1
    assert to_arviz(chains)["sample_stats/swap_probability"].shape == (100, 20, 2)


def test_new_temperatures_and_energies_compile_nothing():
    traces = []

    def counted(slope, x):
        traces.append(1)
        return slope * x[0]

    first = None
    for slope, hottest in ((1.0, 0.5), (2.0, 0.4)):
        sampler = ParallelTempering(ConstrainedHMC(sphere(1.0), Partial(counted, slope)), [1.0, hottest], 0.3)
        run(0, sampler, np.eye(2, dtype=np.float32), 3)
        first = first or len(traces)
    assert len(traces) == first


@pytest.mark.parametrize("betas", [[0.1, 0.4, 1.0], [0.5, 0.1], [1.0, 1.0, 0.2], [1.0, -0.1], np.array([0.3, 1.0])])
def test_temperatures_that_would_draw_from_another_law_are_refused(betas):
    with pytest.raises(InputError, match="give 1 first, then ever smaller ones"):
        ParallelTempering(ConstrainedHMC(sphere(1.0), Partial(_two_modes)), betas)
