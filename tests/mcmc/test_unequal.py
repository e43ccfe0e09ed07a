"""Chains whose trajectories differ in length: none waits for another, and none is changed by another."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import ConstrainedNUTS, Reason, run
from tests.mcmc.laws import CHAINS, angle_of, follows, linear

SAMPLER = ConstrainedNUTS(sphere(1.0), Partial(linear, np.array([-2.0, 0.0], np.float32)), 0.5, max_depth=4)


def starts(chains):
    angles = np.linspace(0, 2 * np.pi, chains, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_each_draw_of_each_chain_has_the_law():
    chains = run(0, SAMPLER, np.tile(starts(1), (CHAINS, 1)), 30)
    assert follows(angle_of(chains.positions[-1]), scipy.stats.vonmises(2.0).cdf)
    late = chains.positions[15:, ::20].reshape(-1, 2)  # draws of long and short trajectories alike
    assert abs(np.mean(late[:, 0]) - 0.69777) < 0.04  # I₁(2)/I₀(2), within 3.6 standard errors
    steps = chains.statistics["num_steps"]
    assert steps.max() > 4 * steps.min()


def test_a_chain_draws_the_same_whatever_other_chains_chunks_and_thinning_there_are():
    together = run(1, SAMPLER, starts(12), 12)
    alone = run(1, SAMPLER, starts(12)[:2], 12, chunk_size=5)
    np.testing.assert_allclose(together.positions[:, :2], alone.positions, atol=1e-3)
    np.testing.assert_array_equal(together.statistics["num_steps"][:, :2], alone.statistics["num_steps"])
    thinned = run(1, SAMPLER, starts(12), 4, thinning=3)
    np.testing.assert_allclose(thinned.positions, together.positions[2::3], atol=1e-3)
    mean = together.statistics["num_steps"].reshape(4, 3, 12).mean(axis=1)
    np.testing.assert_allclose(thinned.statistics["num_steps"], mean, rtol=1e-6)
    np.testing.assert_allclose(together.info.reason.sum(axis=1), 1, rtol=1e-6)


def test_a_chain_that_cannot_leave_keeps_its_place_and_its_reason_and_holds_up_nobody():
    walled = ConstrainedNUTS(
        sphere(1.0), Partial(lambda x: jnp.where(x[1] < 0, jnp.nan, x[0])), 0.4, max_depth=3, reverse_tolerance=1e-3
    )
    chains = run(2, walled, np.array([[0.0, 1.0], [1.0, 1e-7]], np.float32), 20)
    assert np.isfinite(chains.positions).all()
    assert (chains.positions[..., 1] >= 0).all()
    assert chains.info.reason[:, Reason.NON_FINITE].min() > 0
    assert jax.tree.leaves(chains.state)[0].shape[0] == 2
