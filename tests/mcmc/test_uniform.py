"""Chains without an energy against the uniform law of the torus."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from implicit_manifolds import Box
from implicit_manifolds.manifold.analytic import torus, torus_point
from implicit_manifolds.mcmc import uniform_chains


def test_chains_without_energy_end_uniform_by_area():
    # All start on the outer equator, from where tube angles forget soonest.
    starts = torus_point(jnp.linspace(0, 2 * jnp.pi, 4000), jnp.zeros(4000), 1.0, 0.5)
    ends = uniform_chains(jax.random.key(0), torus(1.0, 0.5), starts, 400, 0.1)
    around = np.arctan2(ends[:, 1], ends[:, 0])
    tube = np.arctan2(ends[:, 2], np.hypot(ends[:, 0], ends[:, 1]) - 1)
    law = lambda psi: 0.5 + (psi + 0.5 * np.sin(psi)) / (2 * np.pi)
    assert stats.kstest(around, lambda a: 0.5 + a / (2 * np.pi)).pvalue > 1e-3
    assert stats.kstest(tube, law).pvalue > 1e-3
    assert stats.kstest(tube, lambda a: 0.5 + a / (2 * np.pi)).pvalue < 1e-3  # uniform in the angle is another law


def test_chains_keep_to_the_bounds():
    box = Box(jnp.asarray([0.0, -2.0, -2.0]), jnp.full(3, 2.0))
    starts = torus_point(jnp.zeros(100), jnp.zeros(100), 1.0, 0.5)
    assert (uniform_chains(jax.random.key(0), torus(1.0, 0.5), starts, 50, 0.2, box)[:, 0] >= 0).all()
