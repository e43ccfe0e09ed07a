"""Meshes of surfaces without sides: areas, and what their edges and corners count to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from implicit_manifolds import Box, Manifold
from implicit_manifolds.certificate.mesh import genus_of, is_closed, simplex_volumes
from implicit_manifolds.certificate.ridge_mesh import ridge_mesh
from implicit_manifolds.manifold import Ridge

WIDE, SOFT = 0.4, 0.03


def _off_sphere(x):
    return x - x / jnp.linalg.norm(x)


def _off_strip(x):
    """From the nearest point, nearly, of a strip with one half turn about the unit circle."""
    around, beyond = jnp.arctan2(x[1], x[0]), jnp.array([jnp.hypot(x[0], x[1]) - 1, x[2]])
    along = jnp.array([jnp.cos(around / 2), jnp.sin(around / 2)])
    across, normal = along @ beyond, jnp.array([-along[1], along[0]])
    out = SOFT * (jax.nn.softplus((across - WIDE) / SOFT) - jax.nn.softplus((-across - WIDE) / SOFT))
    off = (normal @ beyond) * normal + out * along
    return jnp.array([off[0] * jnp.cos(around), off[0] * jnp.sin(around), off[1]])


def loops(triangles):
    """How many closed lines the sides form that belong to one triangle."""
    sides = np.sort(np.concatenate([triangles[:, [i, i - 1]] for i in range(3)]), axis=1)
    sides, count = np.unique(sides, axis=0, return_counts=True)
    edge, row = np.unique(sides[count == 1], return_inverse=True)
    graph = coo_array((np.ones(row.size // 2), tuple(row.reshape(-1, 2).T)), (len(edge),) * 2)
    return connected_components(graph, directed=False)[0]


def test_a_sphere_is_closed_whatever_the_signs_of_its_normals():
    points = np.random.default_rng(0).normal(size=(20_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    box = Box(jnp.full(3, -1.3), jnp.full(3, 1.2))
    mesh = ridge_mesh(Manifold(Ridge(Partial(_off_sphere), 1, reach=0.5), box), points, 24)
    assert is_closed(mesh.simplices)
    assert genus_of(mesh.simplices) == 0
    assert simplex_volumes(mesh).sum() == pytest.approx(4 * np.pi, rel=0.01)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_a_strip_with_a_half_turn_has_one_edge_and_euler_characteristic_zero():
    around, across = np.random.default_rng(0).uniform([0, -WIDE], [2 * np.pi, WIDE], (20_000, 2)).T
    far = 1 + across * np.cos(around / 2)
    points = np.column_stack([far * np.cos(around), far * np.sin(around), across * np.sin(around / 2)])
    box = Box(jnp.full(3, -1.6), jnp.full(3, 1.6))
    ridge = Ridge(Partial(_off_strip), 1, gap=0.3, reach=0.03)
    mesh = ridge_mesh(Manifold(ridge, box), points, 40)
    triangles = mesh.simplices
    sides = np.unique(np.sort(np.concatenate([triangles[:, [i, i - 1]] for i in range(3)]), axis=1), axis=0)
    assert len(np.unique(triangles)) - len(sides) + len(triangles) == 0
    assert loops(triangles) == 1
    # Area by quadrature of the parametrisation, and at most twice the reach wider.
    fine = np.stack(np.meshgrid(np.linspace(0, 2 * np.pi, 401), np.linspace(-WIDE, WIDE, 101), indexing="ij"), axis=-1)
    element = np.sqrt((1 + fine[..., 1] * np.cos(fine[..., 0] / 2)) ** 2 + fine[..., 1] ** 2 / 4)
    exact = element.mean() * 2 * np.pi * 2 * WIDE
    assert exact * 0.98 < simplex_volumes(mesh).sum() < exact * (1 + 2 * 0.03 / WIDE)
