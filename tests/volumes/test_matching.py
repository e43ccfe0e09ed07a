"""Charts matched to a density: nearly even weights, and the integrals of before."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.special import i0

from implicit_manifolds import Box, Manifold, cover, draw_pool, volume
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.volumes.importance import energies_at
from implicit_manifolds.volumes.matching import matched
from implicit_manifolds.volumes.pools import log_integral

KAPPA = 30.0


def _towards(x):
    return -KAPPA * x[0]


def test_weights_become_nearly_even_and_integrals_stay():
    manifold = cover(jax.random.key(0), Manifold(sphere(1.0), Box(jnp.full(2, -1.5), jnp.full(2, 1.5))))
    energy, ratios = Partial(_towards), []
    for one in (manifold, matched(jax.random.key(1), manifold, energy)):
        pool = draw_pool(jax.random.key(2), one, 20_000)
        logs = np.log(pool.weights) - energies_at(energy, pool.points)
        weights = np.exp(logs - logs.max())
        ratios.append(len(weights) / weights.sum())
        found, length = log_integral(pool, -energies_at(energy, pool.points)), volume(pool)
        # 4 standard errors: false alarm 6e-5 each.
        assert abs(found.value - np.log(2 * np.pi * i0(KAPPA))) < 4 * found.standard_error + 1e-3
        assert abs(length.value - 2 * np.pi) < 4 * length.standard_error + 1e-3
    sharp = matched(jax.random.key(1), manifold, Partial(lambda x: -2000 * x[0]))
    assert np.isfinite(sharp.atlas.probabilities).all()
    assert ratios[0] > 5
    assert ratios[1] < 2.5
