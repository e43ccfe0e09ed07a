"""What every sampler owes its callers. A new sampler is held to all of it by one more entry in CASES."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import Box
from implicit_manifolds._types import relative_tolerance
from implicit_manifolds.manifold.analytic import circle_in_space, sphere, torus, torus_point
from implicit_manifolds.manifold.multipliers import newton
from implicit_manifolds.mcmc.constrained_hmc import ConstrainedHMC
from implicit_manifolds.mcmc.constrained_langevin import ConstrainedLangevin
from implicit_manifolds.mcmc.geodesic_langevin import GeodesicLangevin
from implicit_manifolds.mcmc.langevin import Langevin

CHAINS, STEPS = 16, 60


def _energy(strength, x):
    return strength * (x[0] + jnp.sin(3 * x[-1]))


class Case(NamedTuple):
    """A sampler, starts (chains, n), and the level set they lie on or None for an ambient sampler."""

    sampler: Any
    positions: Any
    mdf: Any


def langevin(dtype):
    return Case(Langevin(Partial(_energy, 1.0)), np.random.default_rng(0).normal(size=(CHAINS, 3)), None)


def constrained_langevin_on_a_sphere(dtype):
    start = np.random.default_rng(0).normal(size=(CHAINS, 4))
    start *= 2 / np.linalg.norm(start, axis=1, keepdims=True)
    return Case(ConstrainedLangevin(sphere(2.0), Partial(_energy, 1.0)), start, sphere(2.0))


def constrained_langevin_on_a_circle_in_space(dtype):
    angle = np.linspace(-3, 3, CHAINS)
    start = np.stack([1.5 * np.cos(angle), 1.5 * np.sin(angle), 0 * angle], axis=1)
    # Long steps on a short circle, so that some find no zero and stay; with every option in use.
    box = Box(jnp.asarray([-1.4, -2.0, -2.0], dtype), jnp.full(3, 2.0, dtype))
    sampler = ConstrainedLangevin(
        circle_in_space(1.5), Partial(_energy, 3.0), 0.8, 0.5, 0.3, box=box, solver=newton, max_iterations=6
    )
    return Case(sampler, start[np.abs(angle) < 2.4], circle_in_space(1.5))


def constrained_hmc_on_a_torus(dtype):
    angles = np.random.default_rng(0).uniform(-3, 3, size=(2, CHAINS))
    sampler = ConstrainedHMC(torus(1.0, 0.5), Partial(_energy, 1.0), 0.3, 0.5, num_steps=3)
    return Case(sampler, torus_point(*angles, 1.0, 0.5), torus(1.0, 0.5))


def a_random_walk_on_a_circle_in_space_within_a_box(dtype):
    angle = np.linspace(-3, 3, CHAINS)
    start = np.stack([1.5 * np.cos(angle), 1.5 * np.sin(angle), 0 * angle], axis=1)
    box = Box(jnp.asarray([-1.4, -2.0, -2.0], dtype), jnp.full(3, 2.0, dtype))
    sampler = ConstrainedHMC(
        circle_in_space(1.5), Partial(_energy, 3.0), 0.5, box=box, use_gradient=False, measure="ambient"
    )
    return Case(sampler, start[np.abs(angle) < 2.4], circle_in_space(1.5))


def geodesic_langevin_on_a_sphere(dtype):
    start = np.random.default_rng(0).normal(size=(CHAINS, 4))
    start *= 2 / np.linalg.norm(start, axis=1, keepdims=True)
    return Case(GeodesicLangevin(sphere(2.0), Partial(_energy, 1.0), 0.4), start, sphere(2.0))


CASES = [
    (langevin, "float32"),
    (langevin, "float64"),
    (constrained_langevin_on_a_sphere, "float32"),
    (constrained_langevin_on_a_circle_in_space, "float64"),
    (constrained_hmc_on_a_torus, "float32"),
    (a_random_walk_on_a_circle_in_space_within_a_box, "float64"),
    (geodesic_langevin_on_a_sphere, "float32"),
]


@jax.jit
def init_all(sampler, positions):
    return jax.vmap(sampler.init)(positions)


@jax.jit
def step_all(sampler, key, states):
    return jax.vmap(sampler.step)(jax.random.split(key, len(states.position)), states)


def probe(sampler, key, positions):
    """All that the tests below look at: some steps taken twice, a run, and the states renewed at its end."""
    start = init_all(sampler, positions)
    once, info = step_all(sampler, key, start)
    again, _ = step_all(sampler, key, start)
    other, _ = step_all(sampler, jax.random.fold_in(key, 1), start)
    last, path = once, [once.position]
    for step in range(STEPS):
        last, _ = step_all(sampler, jax.random.fold_in(key, 2 + step), last)
        path.append(last.position)
    refreshed = init_all(sampler, last.position)
    if hasattr(last, "momentum"):  # part of the chain, not of the cache
        refreshed = refreshed._replace(momentum=last.momentum)
    return {
        "start": start,
        "once": once,
        "again": again,
        "other": other,
        "last": last,
        "refreshed": refreshed,
        "path": jnp.stack(path),
        "info": info,
        "from_last": step_all(sampler, key, last)[0].position,
        "from_refreshed": step_all(sampler, key, refreshed)[0].position,
    }


@pytest.mark.parametrize(("case", "dtype"), CASES, ids=lambda part: getattr(part, "__name__", part), indirect=["dtype"])
class TestEverySampler:
    @pytest.fixture
    def probed(self, case, dtype):
        sampler, positions, mdf = case(dtype)
        return probe(sampler, jax.random.key(0), jnp.asarray(positions, dtype)), jnp.asarray(positions, dtype), mdf

    def test_it_starts_where_it_is_told(self, probed):
        result, positions, _ = probed
        np.testing.assert_array_equal(result["start"].position, positions)

    def test_a_step_changes_no_structure_shape_or_dtype_of_the_state(self, probed, dtype):
        result, _, _ = probed
        for later in ("once", "last"):
            assert jax.tree.structure(result[later]) == jax.tree.structure(result["start"])
            for old, new in zip(jax.tree.leaves(result["start"]), jax.tree.leaves(result[later]), strict=True):
                assert (old.shape, old.dtype) == (new.shape, new.dtype)
        assert result["last"].position.dtype == dtype

    def test_the_same_key_gives_the_same_step_and_another_key_another(self, probed):
        result, positions, _ = probed
        np.testing.assert_array_equal(result["once"].position, result["again"].position)
        moved = ~np.isclose(result["once"].position, positions).all(axis=1)
        assert moved.mean() > 0.5
        differs = ~np.isclose(result["once"].position, result["other"].position).all(axis=1)
        assert differs.mean() > 0.5
        # Chains have their own keys: no two make the same move.
        moves = np.asarray(result["once"].position - positions)[moved]
        assert len(np.unique(moves.round(5), axis=0)) == len(moves)

    def test_positions_stay_finite_and_on_the_manifold(self, probed, dtype):
        result, _, mdf = probed
        path = result["path"]
        assert np.isfinite(path).all()
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result["last"]))
        if mdf is not None:
            flat = path.reshape(-1, path.shape[-1])
            residual, jacobian = jax.jit(jax.vmap(lambda x: (mdf(x), jax.jacobian(mdf)(x))))(flat)
            slope = np.sqrt((np.asarray(jacobian) ** 2).sum(axis=2).mean(axis=1))
            off = np.linalg.norm(residual, axis=1) / (slope * (1 + np.linalg.norm(flat, axis=1)))
            # The tolerance is taken at the point before, where slope and reach are a little different.
            assert off.max() <= 1.5 * relative_tolerance(dtype)

    def test_what_the_state_stores_beside_the_position_is_only_a_cache(self, probed, dtype):
        result, _, _ = probed
        tolerance = 100 * float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(result["from_last"], result["from_refreshed"], atol=tolerance)
        for kept, renewed in zip(jax.tree.leaves(result["last"]), jax.tree.leaves(result["refreshed"]), strict=True):
            np.testing.assert_allclose(kept, renewed, atol=tolerance)

    def test_info_is_one_number_or_truth_for_each_chain(self, probed):
        result, positions, _ = probed
        for leaf in jax.tree.leaves(result["info"]):
            assert leaf.shape == (len(positions),)


@pytest.mark.parametrize("kind", [ConstrainedHMC, ConstrainedLangevin, GeodesicLangevin])
def test_unless_told_how_long_a_step_is_a_tenth_of_a_normal_vector_and_taken(kind):
    sampler = kind(sphere(1.0), Partial(_energy, 0.3))
    starts = np.random.default_rng(0).normal(size=(500, 3))
    starts = jnp.asarray(starts / np.linalg.norm(starts, axis=1, keepdims=True), jnp.float32)
    keys = jax.random.split(jax.random.key(0), (2, 500))
    states, info = jax.jit(jax.vmap(lambda key, other, x: sampler.step(other, sampler.init(x, key))))(*keys, starts)
    # Of two tangent dimensions the mean square of lengths is .02, and its error of 500 a twentieth of it: z = 5.
    assert abs(jnp.mean(jnp.sum((states.position - starts) ** 2, axis=1)) - 0.02) < 0.005
    assert (info.reason == 0).mean() > 0.98
