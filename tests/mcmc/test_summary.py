from dataclasses import replace

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds.manifold.analytic import circle_in_space, sphere
from implicit_manifolds.mcmc import ConstrainedHMC, ConstrainedLangevin, run, summary, to_arviz


def _linear(slope, x):
    return jnp.vdot(slope, x)


@pytest.fixture(scope="module")
def chains():
    angle = np.linspace(-3, 3, 8)
    starts = jnp.asarray(np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1), jnp.float32)
    sampler = ConstrainedHMC(circle_in_space(1.0), Partial(_linear, jnp.asarray([-1.0, 0.0, 0.0])), 1.0)
    return run(jax.random.key(0), sampler, starts, 400)


def test_the_summary_agrees_with_arviz_on_the_exported_draws(chains):
    found, tree = summary(chains), to_arviz(chains)
    assert dict(tree["posterior"].sizes) == {"chain": 8, "draw": 400, "coordinate": 3}
    np.testing.assert_array_equal(tree["posterior"]["position"].sel(chain=3, draw=7), chains.positions[7, 3])
    table = arviz_stats.summary(tree, round_to=6)
    np.testing.assert_allclose(found.r_hat[:2], table["r_hat"][:2].astype(float), atol=1e-3)
    np.testing.assert_allclose(found.ess_bulk[:2], table["ess_bulk"][:2].astype(float), rtol=1e-2)
    assert 100 < found.ess_bulk[0] < 8 * 400


def test_shares_by_cause_are_those_of_the_steps_and_residuals_those_of_the_draws(chains):
    found = summary(chains)
    assert abs(sum(found.reasons.values()) - 1) < 1e-6
    moved = (chains.positions[1:] != chains.positions[:-1]).any(axis=2).mean()
    assert abs(found.reasons["ACCEPTED"] - moved) < 0.01
    assert found.reasons["NOT_CONVERGED"] > 0.1
    residual = jax.vmap(jax.vmap(circle_in_space(1.0)))(jnp.asarray(chains.positions))
    np.testing.assert_allclose(found.largest_residual, np.linalg.norm(residual, axis=-1).max(), rtol=1e-5)
    assert (found.non_finite, found.unmoved) == (0, 0)
    stats = to_arviz(chains)["sample_stats"]
    np.testing.assert_allclose((stats["reason"] == 0).mean(), found.reasons["ACCEPTED"])
    assert not stats["diverging"].any()
    assert "not converged" in str(found)


def test_chains_that_disagree_have_a_large_r_hat_and_frozen_ones_are_counted(chains):
    positions = np.asarray(chains.positions).copy()
    positions[:, 0] = positions[0, 0]
    stuck = summary(chains._replace(positions=positions))
    assert stuck.unmoved == 1
    assert stuck.r_hat[1] > summary(chains).r_hat[1] + 0.02


def test_what_can_be_wrong_about_a_run_is_told_with_its_number(chains):
    def wrong(found):
        return {one.name for one in summary(found).findings if one.wrong}

    assert "share of steps that failed" in wrong(chains)  # steps of 1 on a circle of 1 often find no zero
    shorter = replace(chains.sampler, step_size=jnp.asarray(0.5))
    assert wrong(run(jax.random.key(0), shorter, chains.positions[-1], 400, 8)) == set()
    positions = np.asarray(chains.positions).copy()
    positions[:, :4] += [3, 0, 0]
    assert wrong(chains._replace(positions=positions)) >= {"largest R-hat", "least bulk size"}
    positions[:, 0] = positions[0, 0]
    moved = chains._replace(positions=positions, non_finite=np.arange(8) == 0)
    assert wrong(moved) >= {"chains that never moved", "chains not finite"}
    assert "have not mixed" in str(summary(moved))
    slow = chains.info._replace(acceptance_probability=np.arange(8) / 8)
    assert "acceptance of the slowest chains" in wrong(chains._replace(info=slow))


def _cylinder(x):
    return x[:1] ** 2 + x[1:2] ** 2 - 1e6


@pytest.mark.parametrize("known", [True, False])
def test_a_coordinate_small_beside_the_others_is_not_taken_for_one_that_f_holds(chains, known):
    random = np.random.default_rng(0)
    angle = random.uniform(-np.pi, np.pi, (400, 8))
    halves = np.where(np.arange(8) % 2, 1e-3, -1e-3) + 1e-4 * random.normal(size=(400, 8))
    positions = np.stack([1e3 * np.cos(angle), 1e3 * np.sin(angle), halves], axis=2).astype(np.float32)
    sampler = replace(chains.sampler, mdf=Partial(_cylinder)) if known else None
    found = summary(chains._replace(positions=positions, sampler=sampler))
    assert found.r_hat[2] > 1.5
    assert "largest R-hat" in {one.name for one in found.findings if one.wrong}


def test_an_unadjusted_sampler_is_summarised_without_acceptance():
    sampler = ConstrainedLangevin(sphere(1.0), Partial(_linear, jnp.zeros(2)), 0.5)
    found = summary(run(jax.random.key(0), sampler, jnp.eye(2), 20))
    assert found.acceptance is None
    assert "mean acceptance" not in str(found)


def test_too_few_samples_are_refused(chains):
    with pytest.raises(ValueError, match="draw at least 4"):
        summary(chains._replace(positions=chains.positions[:3]))
