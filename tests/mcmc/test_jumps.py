"""Jumps between components: the atlas' density inside jit, and shares of components that local moves never mix."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds import Box, Manifold
from implicit_manifolds.manifold.algebra import translate, union
from implicit_manifolds.manifold.analytic import clifford_torus, sphere
from implicit_manifolds.manifold.tangent import linearize
from implicit_manifolds.mcmc import ConstrainedHMC, run
from implicit_manifolds.mcmc.jumps import _by_volume
from implicit_manifolds.volumes.atlas import density_of, draw_pool, normals_at
from implicit_manifolds.volumes.cover import cover
from implicit_manifolds.volumes.manifold import Atlas
from implicit_manifolds.volumes.proposals import density_terms, draw_one
from tests.mcmc.laws import ellipse

BOX = Box(jnp.asarray([-2.0, -2.0]), jnp.asarray([5.0, 2.0]))


def _linear(slope, x):
    return jnp.vdot(slope, x)


@pytest.fixture(scope="module")
def two_circles():
    """Unit circles about 0 and (3, 0), and charts of both."""
    mdf = union(sphere(1.0), translate(sphere(1.0), jnp.asarray([3.0, 0.0])))
    return mdf, cover(jax.random.key(0), Manifold(mdf, BOX)).atlas


def left_starts(count):
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, count)
    return jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1), jnp.float32)


def test_chains_from_one_circle_end_on_both_in_the_shares_of_their_masses(two_circles):
    mdf, atlas = two_circles
    sampler = ConstrainedHMC(mdf, Partial(_linear, jnp.asarray([-0.5, 0.0])), 0.3, num_steps=2, atlas=atlas)
    chains = run(jax.random.key(1), sampler, left_starts(4000), 1, 25)
    last, right = chains.positions[0], chains.positions[0][:, 0] > 1.5
    # exp(x/2) has 3/2 more log mass on the right circle; a share of 4,000 draws, z = 4: false alarm 6e-5.
    share = 1 / (1 + np.exp(-1.5))
    assert abs(right.mean() - share) < 4 * np.sqrt(share * (1 - share) / 4000)
    angle = np.arctan2(last[:, 1], last[:, 0] - 3 * right)
    assert scipy.stats.kstest(angle[right], scipy.stats.vonmises(0.5).cdf).pvalue > 1e-4
    assert scipy.stats.kstest(angle[~right], scipy.stats.vonmises(0.5).cdf).pvalue > 1e-4
    assert 0.3 < chains.info.jump_probability.mean() < 0.9


@pytest.mark.parametrize("measure", ["ambient", "hausdorff"])
def test_a_jump_weighs_a_point_alike_in_whatever_coordinates_chains_move(measure):
    axes = np.array([1.5, 0.75])
    plain = ConstrainedHMC(Partial(ellipse, axes), Partial(_linear, jnp.ones(2)), measure=measure)
    scaled = replace(plain, scale=jnp.asarray([[1.6, 0.0], [0.5, 0.6]]))
    for angle in (0.3, 1.4):
        x = jnp.asarray(axes * [np.cos(angle), np.sin(angle)], jnp.float32)
        (_, weight), (_, same) = (_by_volume(sampler, sampler.init(x)) for sampler in (plain, scaled))
        np.testing.assert_allclose(same, weight, rtol=1e-5)
        slope = np.linalg.norm(2 * x / axes**2)
        np.testing.assert_allclose(weight, x.sum() + (np.log(slope) if measure == "ambient" else 0), rtol=1e-5)


@pytest.mark.slow
def test_charts_drawn_unevenly_change_no_share(two_circles):
    """Charts of the left circle are drawn from ten times as often; the density in the decision makes up for it."""
    mdf, atlas = two_circles
    skewed = atlas.probabilities * np.where(atlas.bases[:, 0] < 1.5, 10, 1)
    atlas = atlas._replace(probabilities=skewed / skewed.sum())
    sampler = ConstrainedHMC(mdf, Partial(_linear, jnp.zeros(2)), 0.3, atlas=atlas)
    chains = run(jax.random.key(1), sampler, left_starts(4000), 1, 60)
    assert abs((chains.positions[0][:, 0] > 1.5).mean() - 0.5) < 4 * np.sqrt(0.25 / 4000)


def test_charts_that_hold_points_of_another_sheet_move_no_mass():
    """Wide discs of an inner circle reach over the outer one, which their draws never lift to."""
    mdf = union(sphere(1.0), sphere(1.1))
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    bases = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    atlas = Atlas(bases, bases[:, None], np.full(40, 0.45), np.full(40, 1 / 40))
    starts = left_starts(1000) * jnp.where(jnp.arange(1000) % 2, 1.0, 1.1)[:, None]
    sampler = ConstrainedHMC(mdf, Partial(_linear, jnp.zeros(2)), 0.02, atlas=atlas)
    chains = run(jax.random.key(1), sampler, starts, 1, 5)
    outer = np.linalg.norm(chains.positions[0], axis=1) > 1.05
    np.testing.assert_array_equal(outer, np.arange(1000) % 2 == 0)
    probability = chains.info.jump_probability
    assert (probability[outer] == 0).all()
    assert probability[~outer].mean() > 0.3


def test_without_an_atlas_no_chain_crosses(two_circles):
    mdf, _ = two_circles
    chains = run(jax.random.key(1), ConstrainedHMC(mdf, Partial(_linear, jnp.zeros(2)), 0.3), left_starts(500), 1, 60)
    assert (chains.positions[0][:, 0] < 1.5).all()
    assert (chains.info.jump_probability == 0).all()


@pytest.mark.parametrize("name", ["two circles", "flat torus"])
def test_the_density_inside_jit_is_that_of_the_host_and_draws_follow_it(name, two_circles):
    mdf, atlas = two_circles
    if name == "flat torus":
        mdf, box = clifford_torus(), Box(-jnp.full(4, 1.5), jnp.full(4, 1.5))
        angle = np.random.default_rng(0).uniform(-np.pi, np.pi, size=(2, 600))
        seen = np.stack([np.cos(angle[0]), np.sin(angle[0]), np.cos(angle[1]), np.sin(angle[1])], axis=1)
        atlas = cover(jax.random.key(0), Manifold(mdf, box), seen).atlas
    else:
        box = BOX
    points = draw_pool(jax.random.key(1), Manifold(mdf, box).charted(atlas), 500).points
    single = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), atlas)
    inside = jax.jit(jax.vmap(lambda mdf, atlas, x: density_terms(atlas, linearize(mdf, x)).sum(), (None, None, 0)))
    expected = density_of(atlas, points, normals_at(mdf, points))
    np.testing.assert_allclose(inside(mdf, single, jnp.asarray(points)), expected, rtol=2e-2)
    drawn = jax.jit(jax.vmap(draw_one, (0, None, None)))(jax.random.split(jax.random.key(2), 20_000), mdf, single)
    logs = np.asarray(drawn.log_density)
    lifted = np.isfinite(logs)
    assert lifted.mean() > 0.95
    # The mean of 1/density over draws is the volume: 4π either way for the circles, 4π² for the flat torus.
    inverse = np.where(lifted, np.exp(-np.where(lifted, logs, 0)), 0)
    volume = 4 * np.pi if name == "two circles" else 4 * np.pi**2
    assert abs(inverse.mean() - volume) < 4 * inverse.std() / np.sqrt(len(inverse))
    residual = jax.vmap(mdf)(drawn.linearization.position[lifted])
    assert np.abs(residual).max() < 1e-3
