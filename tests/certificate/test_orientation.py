"""Loops of charts: strips and closed surfaces whose orientability and boundaries are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds.certificate.orientation import boundaries, orientable
from implicit_manifolds.volumes.atlas import components, neighbour_distance
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
    part = components(atlas)
    assert part.max() == 0
    assert orientable(atlas, part).tolist() == [sided]


@pytest.mark.parametrize(("half_turns", "circles"), [(0, 2), (1, 1), (2, 2), (3, 1)])
def test_draws_beyond_a_strip_tell_how_many_circles_bound_it(half_turns, circles):
    atlas = atlas_of(strip(half_turns), 0.3)
    random = np.random.default_rng(1)
    edge = 0.3 + 0.01 * random.random(3000)
    places = np.column_stack([random.uniform(0, 2 * np.pi, 3000), edge * random.choice([-1, 1], 3000)])
    beyond = np.asarray(jax.vmap(strip(half_turns))(places))
    part = components(atlas)
    assert boundaries(atlas, part, beyond).tolist() == [circles]
    assert boundaries(atlas, part, beyond[:0]).tolist() == [0]
    assert boundaries(atlas, part, beyond[:3]).tolist() == [0]
