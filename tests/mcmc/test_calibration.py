"""Posteriors that nobody knows, held to the prior from which they came.

Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018): inputs from the prior, their output
observed, chains on what explains it, started elsewhere; then the rank of the true input among the chain's is uniform.
Geweke's joint test (2004): from a prior draw, constrained steps at a fixed output and fresh noise, which gives a new
output, in turn; then the inputs still are draws from the prior. Each test of a law fails where p < 1e-4.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds._random import derived_keys
from implicit_manifolds.mcmc import ConstrainedHMC, Reason, sample_chain
from implicit_manifolds.mcmc.conditioned import conditioned, standard_normal
from implicit_manifolds.mcmc.phase_space import log_det_sqrt_gram

SMALLEST_P = 1e-4
REPLICATIONS, RANKED, BINS = 500, 19, 10
FORGOTTEN, THINNING = 10, 5  # chains that mix more slowly end up below or above the truth too often
ROUNDS = 20
MIXING = np.asarray([[1.0, -0.5, 0.7, 0.0], [0.3, 1.2, 0.0, -0.6]])


def _linear(matrix, u):
    return matrix @ u


def _bent(strength, u):
    """Two parameters, two noises whose scales hang on them: no posterior in closed form. J has full rank everywhere."""
    (a, b), noise = u[:2], u[2:]
    first = a + strength * jnp.sin(b) + jnp.exp(strength * b) * noise[0]
    return jnp.stack([first, b + strength * a * noise[0] + jnp.exp(strength * a) * noise[1]])


def _folded(depth, u):
    """One output whose level sets wave so much that steps often cannot be undone."""
    return u[0] + depth * jnp.sin(3 * u[1]) + 0.3 * u[2]


class Problem(NamedTuple):
    """A simulator, its inputs and the first of them that is noise, and steps that suit it."""

    simulator: Partial
    size: int
    noise: int
    step_size: float
    num_steps: int


PROBLEMS = {
    "linear": Problem(Partial(_linear, MIXING), 4, 2, 0.8, 3),
    "bent": Problem(Partial(_bent, 0.6), 4, 2, 0.6, 3),
    "folded": Problem(Partial(_folded, 0.8), 3, 2, 0.4, 1),
}


def of_type(problem, dtype):
    return problem._replace(simulator=jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), problem.simulator))


def prior_draws(key, size, count):
    return jax.vmap(standard_normal(size).sample)(jax.random.split(key, count))


def posterior(problem, observation, choices):
    """The model and its sampler, measure "ambient" unless `choices`, pairs of names and values, say otherwise."""
    model = conditioned(problem.simulator, observation, standard_normal(problem.size))
    choices = {"measure": "ambient", "num_steps": problem.num_steps} | dict(choices)
    return model, ConstrainedHMC(model.mdf, model.energy, problem.step_size, **choices)


# Simulation-based calibration ---------------------------------------------------------------------


@partial(jax.jit, static_argnames=("shape", "choices"))
def _ranks(key, simulator, shape, truth, starts, choices):
    """Ranks (replications, n + 1) of true inputs, and of ½ log det G there, among those of chains that saw only y."""
    problem = Problem(simulator, *shape)

    def rank(key, truth, start):
        model, sampler = posterior(problem, simulator(truth), choices)
        chain = sample_chain(key, sampler, start, FORGOTTEN + RANKED, THINNING)
        seen = lambda u: jnp.append(u, log_det_sqrt_gram(model.mdf, u))
        return (jax.vmap(seen)(chain.positions[FORGOTTEN:]) < seen(truth)[None]).sum(axis=0), chain.info.reason

    return jax.vmap(rank)(jax.random.split(key, len(starts)), truth, starts)


def calibration(problem, **choices):
    """p-values of the ranks of all inputs and of ½ log det G, and shares of steps by reason."""
    truth_key, start_key, chain_key = jax.random.split(jax.random.key(0), 3)
    truth, starts = prior_draws(truth_key, problem.size, REPLICATIONS), []
    for key, observation in zip(derived_keys(start_key, REPLICATIONS), jax.vmap(problem.simulator)(truth), strict=True):
        starts.append(posterior(problem, observation, choices)[0].starts(key, 1))
    simulator, *shape = problem
    choices = tuple(choices.items())
    ranks, shares = _ranks(chain_key, simulator, tuple(shape), truth, np.concatenate(starts), choices)
    counts = [np.bincount(column * BINS // (RANKED + 1), minlength=BINS) for column in np.asarray(ranks).T]
    return scipy.stats.chisquare(counts, axis=1).pvalue, np.asarray(shares).mean(axis=0)


@pytest.mark.parametrize("name", ["linear", "bent"])
def test_true_inputs_rank_evenly_among_posterior_draws(name, dtype):
    found, shares = calibration(of_type(PROBLEMS[name], dtype))
    assert shares[Reason.ACCEPTED] > 0.9
    known = found[: 4 if name == "linear" else 5]  # G is constant for a linear simulator
    assert (known > SMALLEST_P).all()


def test_ranks_are_uneven_under_the_measure_of_volume():
    found, shares = calibration(PROBLEMS["bent"], measure="hausdorff")
    assert shares[Reason.ACCEPTED] > 0.9
    assert found.min() < SMALLEST_P


# Geweke's joint test ------------------------------------------------------------------------------


@partial(jax.jit, static_argnames=("shape", "choices"))
def _joint(key, simulator, shape, inputs, choices):
    """Where chains (chains, n) stand when `ROUNDS` have passed, before the noise is drawn anew, and shares of steps."""
    problem = Problem(simulator, *shape)

    def turn(u, key):
        move_key, noise_key = jax.random.split(key)
        _, sampler = posterior(problem, simulator(u), choices)
        chain = sample_chain(move_key, sampler, u, 1, 3)
        fresh = jax.random.normal(noise_key, u[problem.noise :].shape, u.dtype)
        moved = chain.positions[0]
        return moved.at[problem.noise :].set(fresh), (moved, chain.info.reason)

    def walk(key, u):
        _, (moved, shares) = jax.lax.scan(turn, u, jax.random.split(key, ROUNDS))
        return moved[-1], shares.mean(axis=0)

    return jax.vmap(walk)(jax.random.split(key, len(inputs)), inputs)


def joint_test(problem, chains=2000, **choices):
    """p-values, against the prior, of each input after all rounds and of their squared length; shares of steps."""
    draw_key, key = jax.random.split(jax.random.key(1))
    simulator, *shape = problem
    inputs = prior_draws(draw_key, problem.size, chains)
    last, shares = _joint(key, simulator, tuple(shape), inputs, tuple(choices.items()))
    last = np.asarray(last, np.float64)
    found = [scipy.stats.kstest(u, "norm").pvalue for u in last.T]
    found.append(scipy.stats.kstest((last**2).sum(axis=1), scipy.stats.chi2(problem.size).cdf).pvalue)
    return np.asarray(found), np.asarray(shares).mean(axis=0)


@pytest.mark.parametrize("name", ["linear", "bent"])
def test_steps_at_a_fixed_output_and_fresh_noise_in_turn_keep_the_prior(name, dtype):
    found, shares = joint_test(of_type(PROBLEMS[name], dtype))
    assert shares[Reason.ACCEPTED] > 0.9
    assert (found > SMALLEST_P).all()


def test_the_prior_is_lost_under_the_measure_of_volume():
    found, _ = joint_test(PROBLEMS["bent"], measure="hausdorff")
    assert found.min() < SMALLEST_P**2


@pytest.mark.slow
def test_the_prior_is_kept_only_if_steps_that_cannot_be_undone_are_refused():
    found, shares = joint_test(PROBLEMS["folded"], 20_000)
    assert shares[Reason.NOT_REVERSIBLE] > 0.01
    assert (found > SMALLEST_P).all()
    broken, shares = joint_test(PROBLEMS["folded"], 20_000, reverse_tolerance=np.inf)
    assert shares[Reason.NOT_REVERSIBLE] == 0
    assert broken.min() < SMALLEST_P**2
