"""Where many chains end, against laws in closed form: every chain gives one draw, so draws are independent."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
import scipy.stats

from implicit_manifolds.mcmc.chains import advance, initial_states

CHAINS = 2000
SMALLEST_P = 1e-4
"""The false alarm rate of each test."""


def linear(slope, x):
    return jnp.vdot(slope, x)


def quadratic(matrix, x):
    return x @ (matrix @ x)


def ellipse(axes, x):
    return jnp.sum((x / axes) ** 2, keepdims=True) - 1


@partial(jax.jit, static_argnames="num_steps")
def _final(sampler, key, positions, num_steps):
    states, info = advance(key, sampler, initial_states(sampler, positions), num_steps)
    return states.position, info


def final(sampler, start, num_steps, dtype=jnp.float32, chains=CHAINS):
    """Where `chains` chains stand after `num_steps` from one point, in double, and the shares of steps by reason."""
    positions = jnp.tile(jnp.asarray(start, dtype), (chains, 1)) if np.ndim(start) == 1 else jnp.asarray(start, dtype)
    sampler = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), sampler)
    position, info = _final(sampler, jax.random.key(0), positions, num_steps)
    assert np.isfinite(position).all()
    return np.asarray(position, np.float64), np.asarray(info.reason).mean(axis=0) / num_steps


def follows(draws, cdf):
    return scipy.stats.kstest(draws, cdf).pvalue > SMALLEST_P


def law_on(low, high, density):
    """The cumulative distribution of a density known up to its constant."""
    grid = np.linspace(low, high, 20_001)
    heights = density(grid)
    total = scipy.integrate.cumulative_simpson(heights, x=grid, initial=0)
    return lambda t: np.interp(t, grid, total / total[-1])


def angle_of(position, axes=(1.0, 1.0)):
    return np.arctan2(position[:, 1] / axes[1], position[:, 0] / axes[0])


UNIFORM_ANGLE = law_on(-np.pi, np.pi, np.ones_like)
