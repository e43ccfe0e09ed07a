from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds.box import Box
from implicit_manifolds.manifold.analytic import sphere, torus, torus_point
from implicit_manifolds.mcmc import (
    ChainsStuck,
    ConstrainedHMC,
    ConstrainedLangevin,
    GeodesicLangevin,
    Langevin,
    run,
    warm_up,
)
from implicit_manifolds.mcmc.chains import start_chains


def _flat(x):
    return jnp.zeros((), x.dtype)


def _valley(strength, x):
    return strength * (x[0] - 1) ** 2


def _groove(strength, x):
    return strength * x[0] ** 2


def torus_starts(count):
    return torus_point(jnp.linspace(-3, 3, count), jnp.linspace(-3, 3, count), 1.0, 0.5)


@pytest.mark.parametrize("first", [1e-3, 10.0])
def test_the_step_size_reaches_the_target_from_far_below_and_far_above(first):
    sampler = ConstrainedHMC(torus(1.0, 0.5), Partial(_flat), first, num_steps=3)
    tuned = warm_up(jax.random.key(0), sampler, torus_starts(200), 400, 0.8)
    assert abs(tuned.acceptance.mean() - 0.8) < 0.05
    # Nothing but failed and irreversible solves limits this step: on a flat energy there is no other refusal.
    assert 0.2 < tuned.sampler.step_size < 0.6
    chains = run(jax.random.key(1), tuned.sampler, tuned.state.position, 100)
    assert abs(chains.info.acceptance_probability.mean() - 0.8) < 0.05


def test_a_run_with_warm_up_hands_back_the_tuned_sampler_and_drops_the_draws():
    sampler = ConstrainedHMC(sphere(1.0), Partial(_valley, 5.0), 1e-3)
    starts = jnp.tile(jnp.asarray([-1.0, 0.0, 0.0]), (100, 1))
    chains = run(jax.random.key(0), sampler, starts, 20, num_warmup=300, target_acceptance=0.6)
    assert chains.positions.shape == (20, 100, 3)
    assert abs(chains.info.acceptance_probability.mean() - 0.6) < 0.08
    assert chains.sampler.step_size > 0.1
    assert (chains.positions[0, :, 0] > 0).mean() > 0.9  # all started on the other side


def test_a_tolerance_that_the_dtype_cannot_reach_is_named():
    sampler = ConstrainedHMC(torus(1.0, 0.5), Partial(_flat), 0.1, tolerance=1e-9)
    with pytest.raises(ValueError, match="tolerance of 1e-09 is below the rounding of F in float32"):
        warm_up(jax.random.key(0), sampler, torus_starts(10), 100)


def test_chains_that_stand_still_at_a_fine_acceptance_stop_the_run():
    sampler = ConstrainedHMC(sphere(1.0), Partial(_groove, 1e13), 0.1)  # an energy in units far too small
    starts = jnp.tile(jnp.asarray([0.0, 1.0]), (20, 1))
    with pytest.raises(ChainsStuck, match=r"20 of 20 chains .* stand still although acceptance reads 0\.[5-9]"):
        run(jax.random.key(0), sampler, starts, 10, num_warmup=300)


def _walled(x):
    return jnp.where((x[1] < 0.5) & (x[0] != 0), jnp.nan, 0.0) * x[0]


def walled_starts(inside, outside):
    angle = np.linspace(0.6, 2.5, outside)
    arc = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return jnp.asarray(np.concatenate([np.tile([[0.0, -1.0]], (inside, 1)), arc]))


def test_a_lane_whose_every_proposal_is_refused_goes_on_from_another_and_is_named():
    sampler = ConstrainedHMC(sphere(1.0), Partial(_walled), 0.1)
    with pytest.warns(UserWarning, match=r"1 of 20 chains \(first: 0\) stood still, .*mostly: non finite.*went on"):
        tuned = warm_up(jax.random.key(0), sampler, walled_starts(1, 19), 100)
    assert tuned.restarted.tolist() == [0]
    assert (tuned.state.position[:, 1] > 0.4).all()
    with pytest.warns(UserWarning, match="stood still"):
        chains = run(jax.random.key(0), sampler, walled_starts(1, 19), 100, num_warmup=200)
    assert chains.restarted.tolist() == [0]
    assert (chains.positions[-1] != chains.positions[0]).any(axis=1).all()


def test_where_most_lanes_are_refused_warm_up_says_why():
    sampler = ConstrainedHMC(sphere(1.0), Partial(_walled), 0.1)
    with pytest.raises(ChainsStuck, match=r"12 of 20 chains \(first: 0\) stand still, .*mostly: non finite"):
        warm_up(jax.random.key(0), sampler, walled_starts(12, 8), 100)


def test_starts_that_no_chain_could_leave_are_refused_with_what_to_do():
    sampler = ConstrainedHMC(sphere(1.0), Partial(_walled), 0.1)
    off, infinite = jnp.asarray([[0.0, 1.0], [0.0, 1.001]]), jnp.asarray([[0.0, 1.0], [0.8, -0.6]])
    with pytest.raises(ValueError, match=r"1 of 2 starts \(first: 1\) do not lie .* manifold.project"):
        run(jax.random.key(0), sampler, off, 5)
    with pytest.raises(ValueError, match=r"energy is not finite at 1 of 2 starts \(first: 1\)"):
        run(jax.random.key(0), sampler, infinite, 5)
    upper = replace(sampler, box=Box(jnp.asarray([-1.5, 0.1]), jnp.asarray([1.5, 1.5])))
    with pytest.raises(ValueError, match=r"1 of 2 starts \(first: 1\) lie outside the box"):
        run(jax.random.key(0), upper, jnp.asarray([[0.0, 1.0], [0.0, -1.0]]), 5)
    for positions in (jnp.asarray([0.0, 1.0]), jnp.asarray([[0, 1]])):
        with pytest.raises(ValueError, match="floating-point numbers of shape"):
            start_chains(jax.random.key(0), sampler, positions, None)
    with pytest.raises(ValueError, match="at least 1"):
        run(jax.random.key(0), sampler, off, 0)
    with pytest.raises(ValueError, match="at least 50"):
        run(jax.random.key(0), sampler, off, 5, num_warmup=10)


@pytest.mark.parametrize("other", [ConstrainedLangevin, Langevin])
def test_other_samplers_without_a_metropolis_step_are_refused_too(other):
    energy = (Partial(_flat),) if other is Langevin else (sphere(1.0), Partial(_flat))
    with pytest.raises(ValueError, match="Metropolis"):
        run(jax.random.key(0), other(*energy), jnp.asarray([[1.0, 0.0]]), 5, num_warmup=100)


def test_a_sampler_without_a_metropolis_step_is_refused():
    sampler = GeodesicLangevin(sphere(1.0), Partial(_flat))
    with pytest.raises(ValueError, match="Metropolis"):
        warm_up(jax.random.key(0), sampler, jnp.asarray([[1.0, 0.0]]), 100)


def test_a_new_step_size_count_and_target_compile_nothing():
    traces = []

    def counted(x):
        traces.append(1)
        return jnp.zeros((), x.dtype)

    energy = Partial(counted)
    seen = []
    for step_size, num_steps, target in ((0.1, 160, 0.8), (0.3, 300, 0.6)):
        warm_up(jax.random.key(0), ConstrainedHMC(sphere(1.0), energy, step_size), jnp.eye(3), num_steps, target)
        seen.append(len(traces))
    assert seen[0] == seen[1] > 0
