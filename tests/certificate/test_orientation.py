"""Loops of charts: strips and closed surfaces whose orientability and boundaries are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds.certificate.orientation import boundaries, orientable
from implicit_manifolds.volumes.atlas import neighbour_distance
from implicit_manifolds.volumes.manifold import Atlas


def strip(half_turns):
    """A strip about the unit circle with so many half turns."""

    def point(place):
        turn, across = place
        wide = 1 + across * jnp.cos(half_turns * turn / 2)
        return jnp.stack([wide * jnp.cos(turn), wide * jnp.sin(turn), across * jnp.sin(half_turns * turn / 2)])

    return point


def klein_bottle(place):
    turn, tube = place
    wide = 2 + jnp.cos(tube)
    rest = jnp.sin(tube) * jnp.stack([jnp.cos(turn / 2), jnp.sin(turn / 2)])
    return jnp.concatenate([wide * jnp.stack([jnp.cos(turn), jnp.sin(turn)]), rest])


def flat_torus(place):
    return jnp.stack([jnp.cos(place[0]), jnp.sin(place[0]), jnp.cos(place[1]), jnp.sin(place[1])])


def atlas_of(point, width, count=800):
    """Charts at random places of a surface, given by its parameters (2,), the second within ±width."""
    random = np.random.default_rng(0)
    places = random.uniform([0, -width], [2 * np.pi, width], (count, 2))
    bases = np.asarray(jax.vmap(point)(places), np.float64)
    jacobians = np.asarray(jax.vmap(jax.jacfwd(point))(places), np.float64)
    normals = np.linalg.svd(jacobians)[0][:, :, 2:].transpose(0, 2, 1)
    # Frames are any: signs at random must not matter.
    normals = normals * random.choice([-1, 1], (count, normals.shape[1], 1))
    return Atlas(bases, normals, neighbour_distance(bases, 16), np.full(count, 1 / count))


@pytest.mark.parametrize(
    ("point", "width", "sided"),
    [
        (strip(0), 0.3, True),
        (strip(1), 0.3, False),
        (strip(2), 0.3, True),
        (klein_bottle, np.pi, False),
        (flat_torus, np.pi, True),
    ],
)
def test_surfaces_can_be_oriented_but_for_those_with_an_odd_turn(point, width, sided):
    atlas = atlas_of(point, width)
    assert orientable(atlas, np.zeros(len(atlas.bases), int)).tolist() == [sided]


def even(point, width, count=6000):
    """Even points of a surface, orthonormal normals there, and its area, by rejection."""
    random = np.random.default_rng(1)
    places = random.uniform([0, -width], [2 * np.pi, width], (3 * count, 2))
    jacobians = np.asarray(jax.vmap(jax.jacfwd(point))(places), np.float64)
    areas = np.sqrt(np.linalg.det(jacobians.transpose(0, 2, 1) @ jacobians))
    kept = np.flatnonzero(random.uniform(0, areas.max(), len(places)) < areas)[:count]
    normals = np.linalg.svd(jacobians[kept])[0][:, :, 2:].transpose(0, 2, 1)
    return np.asarray(jax.vmap(point)(places[kept]), np.float64), normals, areas.mean() * 4 * np.pi * width


@pytest.mark.parametrize(
    ("point", "width", "circles"),
    [(strip(0), 0.3, 2), (strip(1), 0.3, 1), (strip(2), 0.3, 2), (flat_torus, np.pi, 0), (flat_torus, 2.0, 2)],
)
def test_the_circles_that_bound_a_surface_are_counted(point, width, circles):
    points, normals, area = even(point, width)
    assert len(boundaries(points, normals, area)) == circles


def test_curves_have_two_ends_or_none_and_half_a_3_sphere_one_boundary():
    random = np.random.default_rng(2)
    angle = random.uniform(0, 2 * np.pi, 6000)
    for share, ends in ((1.0, 0), (0.7, 2)):
        arc = np.stack([np.cos(share * angle), np.sin(share * angle)], axis=1)
        found = boundaries(arc, arc[:, None], 2 * np.pi * share)
        assert len(found) == ends
        assert all(np.ptp(arc[row], axis=0).max() < 0.2 for row in found)
    sphere = random.normal(size=(6000, 4))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    assert boundaries(sphere, sphere[:, None], 2 * np.pi**2) == []
    sphere[:, 3] = np.abs(sphere[:, 3])
    assert len(boundaries(sphere, sphere[:, None], np.pi**2)) == 1
