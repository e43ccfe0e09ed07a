"""A draw has the law of the density however many others are asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.special import ive

from implicit_manifolds.baselines.latents import EnergyLatent
from implicit_manifolds.box import Box
from implicit_manifolds.volumes import importance
from implicit_manifolds.volumes.importance import resampled
from implicit_manifolds.volumes.pools import Estimate, Pool, PoolSource

COUNTS = (1, 2, 5, 20)
DRAWS = 500
SMALL = 0.05


def tilted(concentration, x):
    return -concentration * x[0]


def uniform_circle(key, count):
    """Points of the unit circle, drawn evenly: each stands for as much of its length."""
    angle = np.random.default_rng(np.asarray(jax.random.key_data(key))).uniform(-np.pi, np.pi, count)
    points = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    return Pool(points, np.full(count, 2 * np.pi / count), np.arange(count) % 16, 16, 0, 0.0)


def two_circles(key, count):
    """A circle of radius .05 about (3, 0) beside the unit one, evenly by length: few points of the small one."""
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    small, angle = random.random(count) < SMALL / (1 + SMALL), random.uniform(-np.pi, np.pi, count)
    radius = np.where(small, SMALL, 1.0)
    points = np.column_stack([3 * small + radius * np.cos(angle), radius * np.sin(angle)]).astype(np.float32)
    return Pool(points, np.full(count, 2 * np.pi * (1 + SMALL) / count), np.arange(count) % 16, 16, 0, 0.0)


def drawn(source, energy, count):
    """`DRAWS` points from repeated calls for `count` each."""
    calls = [resampled(jax.random.key(seed), source, energy, count).points for seed in range(-(-DRAWS // count))]
    return np.concatenate(calls)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("concentration", [2.0, 20.0, 200.0])
def test_the_law_of_a_draw_does_not_depend_on_how_many_are_asked_for(concentration, count):
    points = drawn(PoolSource(uniform_circle), Partial(tilted, jnp.asarray(concentration)), count)
    falls_short = 1 - points[:, 0].astype(np.float64)
    expected = 1 - ive(1, concentration) / ive(0, concentration)
    # From five candidates a draw fell short 1.34 times as far at a concentration of 20. z = 4: false alarm 6e-5 each.
    assert abs(falls_short.mean() - expected) < 4 * falls_short.std() / np.sqrt(len(points)) + 0.02 * expected


@pytest.mark.parametrize("count", COUNTS)
def test_a_small_part_that_holds_half_of_the_mass_gets_half_of_the_draws(count):
    energy = Partial(lambda x: jnp.where(x[0] > 2, jnp.log(SMALL), 0.0))
    share = (drawn(PoolSource(two_circles), energy, count)[:, 0] > 2).mean()
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / DRAWS)


def test_codes_of_an_energy_have_its_law_one_at_a_time():
    box = Box(jnp.asarray([-np.pi]), jnp.asarray([np.pi]))
    law = EnergyLatent(Partial(lambda z: -20.0 * jnp.cos(z[0])), box, Estimate(0.0, 0.0))
    codes = np.concatenate([law.draw(jax.random.key(seed), 1) for seed in range(300)])[:, 0]
    falls_short, expected = 1 - np.cos(codes), 1 - ive(1, 20.0) / ive(0, 20.0)
    assert abs(falls_short.mean() - expected) < 4 * falls_short.std() / np.sqrt(300)


def test_weights_that_have_collapsed_are_told_with_how_much_is_lost(monkeypatch):
    monkeypatch.setattr(importance, "MAX_POOL", 5000)
    energy = Partial(tilted, jnp.asarray(1e4))
    with pytest.warns(UserWarning, match="whose density is flattened"):
        found = resampled(jax.random.key(0), PoolSource(uniform_circle), energy, 500)
    # A normal law of width .01 on the circle: of 5,000 points 5000 · 2 √π · .01 / 2π = 28 are worth as many draws.
    assert found.effective_size < 60
    assert 0.85 < found.flattened < 1
    right = resampled(jax.random.key(0), PoolSource(uniform_circle), Partial(tilted, jnp.asarray(2.0)), 500)
    assert right.flattened == 0
