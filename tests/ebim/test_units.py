"""Columns of uneven spread: when each gets a scale of its own, and what a model then says in data units."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.spatial import KDTree
from scipy.special import ellipe

from implicit_manifolds import EBIM, Box, Manifold, cover, draw_pool, log_density, nearest_points, sample
from implicit_manifolds.ebim.dimension import DenoisingConfig
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.ebim.units import Units, standardized
from implicit_manifolds.ebim.verbs import log_volume_scale
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.scaling import Scaling, standardization
from implicit_manifolds.volumes.pools import Estimate

BRIEF = DenoisingConfig(hidden=(32, 32), num_steps=400, batch_size=512)
LONG, SHORT = 1000.0, 1.0


@pytest.fixture(scope="module")
def ellipse():
    """The law that is uniform on the unit circle before columns are stretched 1000:1, its Z known."""
    box = Box(jnp.full(2, -1.5), jnp.full(2, 1.5))
    manifold = cover(jax.random.key(0), Manifold(sphere(1.0), box))
    scaling = Scaling(np.array([5.0, -3.0]), np.array([LONG, SHORT]))
    flat = Partial(lambda x: 0 * x[0])
    return EBIM(manifold, flat, scaling, ChainScales(0.1), Estimate(float(np.log(2 * np.pi)), 0.0))


def test_lengths_densities_and_nearest_points_are_in_the_units_of_the_data(ellipse):
    pool = draw_pool(jax.random.key(1), ellipse.manifold, 40_000)
    length = np.sum(pool.weights * np.exp(log_volume_scale(ellipse, pool.points)))
    np.testing.assert_allclose(length, 4 * LONG * ellipe(1 - (SHORT / LONG) ** 2), rtol=0.005)
    angle = np.array([0.3, 1.2, 2.9])
    on = np.column_stack([5 + LONG * np.cos(angle), -3 + SHORT * np.sin(angle)])
    speed = np.hypot(LONG * np.sin(angle), SHORT * np.cos(angle))
    found = log_density(ellipse, on)
    np.testing.assert_allclose(found.log_density, -np.log(2 * np.pi * speed), atol=1e-3)
    fine = np.linspace(0, 2 * np.pi, 2_000_001)
    curve = np.column_stack([5 + LONG * np.cos(fine), -3 + SHORT * np.sin(fine)])
    off = on + np.array([[0.0, 0.5], [3.0, 0.3], [-1.0, 0.2]])
    near = nearest_points(ellipse, off)
    assert near.converged.all()
    np.testing.assert_allclose(near.distance, KDTree(curve).query(off)[0], rtol=0.01)
    drawn = sample(jax.random.key(2), ellipse, 1000)
    assert drawn.on_manifold.all()
    assert drawn.distance.max() < 1e-3 * SHORT


@pytest.mark.slow
def test_columns_get_their_own_scale_unless_a_thin_one_is_noise():
    random = np.random.default_rng(0)
    angle = random.uniform(0, 2 * np.pi, 800)
    ring, thin = np.column_stack([np.cos(angle), np.sin(angle)]), 0.02 * random.normal(size=800)
    with_noise = np.column_stack([ring, thin])
    for points, own in ((ring * [100.0, 1.0], True), (with_noise, False), (ring * [2.0, 1.0], False)):
        for codimension in (None, points.shape[1] - 1):
            scaling, standard, _ = standardized(jax.random.key(0), points, codimension, Units(), BRIEF)
            assert (np.ndim(scaling.scale) == 1) == own
            np.testing.assert_allclose(scaling.restore(standard), points, rtol=1e-5, atol=1e-5 * np.abs(points).max())


def test_a_constant_column_keeps_the_scale_of_that_which_varies_most():
    points = np.column_stack([np.arange(10.0), np.zeros(10), 100 * np.arange(10.0)])
    scaling, standard, _ = standardization(points, by_column=True)
    np.testing.assert_allclose(scaling.scale, points.std(axis=0).max() * np.array([0.01, 1.0, 1.0]))
    np.testing.assert_allclose(np.asarray(standard).std(axis=0), [1.0, 0.0, 1.0], rtol=1e-6)
    assert replace(scaling, scale=2.0).stretches is None
