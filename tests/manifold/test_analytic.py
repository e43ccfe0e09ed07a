"""Level sets in closed form against the same formulas in NumPy, written once more by distances and angles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds.manifold.analytic import (
    circle_in_space,
    clifford_torus,
    sphere,
    stiefel,
    torus,
    torus_point,
    trefoil,
)

POINTS = np.random.default_rng(0).normal(size=(50, 4))


def of_torus(points, radius, tube):
    away = np.linalg.norm(points[:, :2], axis=1) - radius
    return np.hypot(away, points[:, 2]) ** 2 - tube**2


def of_stiefel(points):
    products = np.einsum("pir,pic->prc", points.reshape(-1, 2, 2), points.reshape(-1, 2, 2)) - np.eye(2)
    return products[:, [0, 0, 1], [0, 1, 1]]


@pytest.mark.parametrize(
    ("mdf", "dimension", "expected"),
    [
        (sphere(0.7), 4, lambda x: (np.linalg.norm(x, axis=1) ** 2 - 0.49)[:, None]),
        (torus(1.5, 0.4), 3, lambda x: of_torus(x, 1.5, 0.4)[:, None]),
        (circle_in_space(1.3), 3, lambda x: np.stack([np.linalg.norm(x, axis=1) ** 2 - 1.69, x[:, 2]], axis=1)),
        (
            clifford_torus(0.8, 1.7),
            4,
            lambda x: np.linalg.norm(x.reshape(-1, 2, 2), axis=2) ** 2 - np.square([0.8, 1.7]),
        ),
        (stiefel(2), 4, of_stiefel),
    ],
    ids=["sphere", "torus", "circle in space", "clifford torus", "stiefel"],
)
def test_values_anywhere_are_those_of_the_formula(mdf, dimension, expected, x64):
    points = POINTS[:, :dimension]
    np.testing.assert_allclose(jax.vmap(mdf)(jnp.asarray(points)), expected(points), rtol=1e-6, atol=1e-12)


def test_the_trefoil_turns_twice_around_and_thrice_about(x64):
    turn, radius, tube = np.linspace(0, 2 * np.pi, 40), 2.5, 0.7
    knot = np.asarray(torus_point(2 * turn, 3 * turn, radius, tube))
    np.testing.assert_allclose(jax.vmap(trefoil(radius, tube))(jnp.asarray(knot)), 0, atol=1e-12)
    # On the torus beside it: the second constraint is 3 · ring angle - 2 · tube angle.
    aside = np.asarray(torus_point(2 * turn + 0.1, 3 * turn - 0.2, radius, tube))
    np.testing.assert_allclose(jax.vmap(trefoil(radius, tube))(jnp.asarray(aside)), [[0, 0.7]] * 40, atol=1e-12)
    off = jax.vmap(trefoil(radius, tube))(jnp.asarray(POINTS[:, :3]))[:, 0]
    np.testing.assert_allclose(off, of_torus(POINTS[:, :3], radius, tube), rtol=1e-12)


def test_points_of_the_torus_have_its_radii():
    around, about = np.linspace(-3, 3, 7)[:, None], np.linspace(-3, 3, 5)
    point = np.asarray(torus_point(around, about, 2.0, 0.5))
    assert point.shape == (7, 5, 3)
    np.testing.assert_allclose(of_torus(point.reshape(-1, 3), 2.0, 0.5), 0, atol=1e-6)
    found = np.arctan2(point[..., 1], point[..., 0])
    np.testing.assert_allclose(found, np.broadcast_to(around, (7, 5)), atol=1e-6)
    np.testing.assert_allclose(point[..., 2], np.broadcast_to(0.5 * np.sin(about), (7, 5)), atol=1e-6)
