"""Posteriors that nobody knows, held to the prior from which they came.

Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018): inputs from the prior, their output
observed, chains on what explains it, started elsewhere; then the rank of the true input among the chain's is uniform.
Geweke's joint test (2004): from a prior draw, constrained steps at a fixed output and fresh noise, which is a new output,
in turn; then the inputs still are draws from the prior. Each test of a law fails where p < 1e-4.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds.mcmc import ConstrainedHMC, Reason, sample_chain
from implicit_manifolds.mcmc.conditioned import conditioned, standard_normal

SMALLEST_P = 1e-4
REPLICATIONS, RANKED, FORGOTTEN, THINNING = 500, 19, 10, 5
CHAINS, ROUNDS = 2000, 25
INPUTS = 4
PRIOR = standard_normal(INPUTS)
MIXING = np.asarray([[1.0, -0.5, 0.7, 0.0], [0.3, 1.2, 0.0, -0.6]])


def _linear(matrix, u):
    return matrix @ u


def _bent(strength, u):
    """Two parameters and two noises, whose scales depend on the parameters: no posterior in closed form."""
    (a, b), noise = u[:2], u[2:]
    return jnp.stack(
        [
            a + strength * b**2 + jnp.exp(2 * strength * a) * noise[0],
            jnp.sin(b) + strength * a * b + 0.7 * jnp.exp(strength * b) * noise[1],
        ]
    )


class Problem(NamedTuple):
    simulator: Partial
    step_size: float
    num_steps: int = 3


PROBLEMS = {"linear": Problem(Partial(_linear, MIXING), 0.8), "bent": Problem(Partial(_bent, 0.4), 0.5)}


def sampler_of(problem, model, **choices):
    return ConstrainedHMC(
        model.mdf, model.energy, problem.step_size, num_steps=problem.num_steps, **{"measure": "ambient"} | choices
    )


def of_type(problem, dtype):
    return problem._replace(simulator=jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), problem.simulator))


# Simulation-based calibration ---------------------------------------------------------------------


@partial(jax.jit, static_argnames=("step_size", "num_steps", "measure"))
def _posterior_draws(key, simulator, step_size, num_steps, observations, starts, measure):
    """(replications, draws, inputs) and shares of steps by reason: one program for all observations."""
    problem = Problem(simulator, step_size, num_steps)

    def draw(key, observation, start):
        sampler = sampler_of(problem, conditioned(simulator, observation, PRIOR), measure=measure)
        chain = sample_chain(key, sampler, start, FORGOTTEN + RANKED, THINNING)
        return chain.positions[FORGOTTEN:], chain.info.reason

    return jax.vmap(draw)(jax.random.split(key, len(starts)), observations, starts)


def calibration(problem, measure="ambient"):
    """p-values of the ranks of all inputs, and the share of proposals taken."""
    draw_key, start_key, chain_key = jax.random.split(jax.random.key(0), 3)
    truth = jax.vmap(PRIOR.sample)(jax.random.split(draw_key, REPLICATIONS))
    observations = jax.vmap(problem.simulator)(truth)
    models = [conditioned(problem.simulator, observation, PRIOR) for observation in np.asarray(observations)]
    starts = np.concatenate([model.starts(key, 1) for model, key in zip(models, jax.random.split(start_key, REPLICATIONS))])
    draws, shares = _posterior_draws(chain_key, *problem, observations, starts, measure)
    ranks = np.asarray(draws < truth[:, None]).sum(axis=1)
    counts = np.stack([np.bincount(rank, minlength=RANKED + 1) for rank in ranks.T])
    return scipy.stats.chisquare(counts, axis=1).pvalue, np.asarray(shares).mean(axis=0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_true_inputs_rank_evenly_among_posterior_draws(name, dtype):
    found, shares = calibration(of_type(PROBLEMS[name], dtype))
    print("SBC", name, dtype, found, shares)
    assert shares[Reason.ACCEPTED] > 0.8
    assert (found > SMALLEST_P).all()


def test_ranks_are_uneven_under_the_measure_of_volume():
    found, shares = calibration(PROBLEMS["bent"], "hausdorff")
    print("SBC broken", found, shares)
    assert found.min() < SMALLEST_P / 1000


# Geweke's joint test ------------------------------------------------------------------------------


@partial(jax.jit, static_argnames=("step_size", "num_steps", "choices"))
def _joint(key, simulator, step_size, num_steps, inputs, choices):
    problem = Problem(simulator, step_size, num_steps)

    def turn(u, key):
        move_key, noise_key = jax.random.split(key)
        model = conditioned(simulator, simulator(u), PRIOR)
        chain = sample_chain(move_key, sampler_of(problem, model, **dict(choices)), u, 1, 2)
        moved = chain.positions[0]
        return jnp.concatenate([moved[:2], jax.random.normal(noise_key, (2,))]), (moved, chain.info.reason)

    def chain(key, u):
        _, (moved, shares) = jax.lax.scan(turn, u, jax.random.split(key, ROUNDS))
        return moved[-1], shares.mean(axis=0)

    return jax.vmap(chain)(jax.random.split(key, len(inputs)), inputs)


def joint_test(problem, **choices):
    """p-values of each input after all rounds against its prior, and shares of steps by reason."""
    draw_key, key = jax.random.split(jax.random.key(1))
    inputs = jax.vmap(PRIOR.sample)(jax.random.split(draw_key, CHAINS))
    last, shares = _joint(key, *problem, inputs, tuple(choices.items()))
    last = np.asarray(last, np.float64)
    return np.asarray([scipy.stats.kstest(u, "norm").pvalue for u in last.T]), np.asarray(shares).mean(axis=0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_steps_at_fixed_output_and_fresh_noise_leave_the_prior_as_it_is(name, dtype):
    found, shares = joint_test(of_type(PROBLEMS[name], dtype))
    print("Geweke", name, dtype, found, shares)
    assert shares[Reason.ACCEPTED] > 0.8
    assert (found > SMALLEST_P).all()


def test_the_prior_is_lost_under_the_measure_of_volume():
    found, shares = joint_test(PROBLEMS["bent"], measure="hausdorff")
    print("Geweke broken", found, shares)
    assert found.min() < SMALLEST_P / 1000


@pytest.mark.parametrize("step_size", [0.5, 1.0, 1.5, 2.0])
def test_rev(step_size):
    problem = PROBLEMS["bent"]._replace(step_size=step_size, num_steps=1)
    print("rev on", *joint_test(problem))
    print("rev off", *joint_test(problem, reverse_tolerance=np.inf))
