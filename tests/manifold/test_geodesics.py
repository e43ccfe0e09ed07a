"""Geodesics and parallel transport against closed forms, an ODE solver and the areas of triangles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.integrate import solve_ivp

from implicit_manifolds.manifold import Ridge, exponential_map, linearize, parallel_transport
from implicit_manifolds.manifold.analytic import clifford_torus, sphere, torus, torus_point

transport = jax.jit(parallel_transport)
SECOND_ORDER = 3.8, 4.2
"""What the error falls by where steps are halved: four, and a little for higher powers of them."""


def _cylinder(x):
    return (x[0] ** 2 + x[1] ** 2 - 1)[None]


def _off_sphere(x):
    return x - x / jnp.linalg.norm(x)


def _off_upper_half(x):
    above = jnp.where(x[2] >= 0, x, x.at[2].set(0))
    return x - above / jnp.linalg.norm(above)


def ring(angle, radius=1.0):
    """Point and unit tangent of a circle."""
    return radius * np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])


def great_circle(time):
    point, along = ring(2 * time)
    return np.append(point, 0), np.append(2 * along, 0), np.append(along, 0.5)


def helix(time):
    point, around = ring(2 * time)
    return np.append(point, 0.7 * time), np.append(2 * around, 0.7), np.append(0.3 * around, -1)


def flat(time):
    (first, around), (second, about) = ring(1.5 * time), ring(2 * time, 0.5)
    return np.append(first, second), np.append(1.5 * around, about), np.append(0.4 * around, -0.8 * about)


KNOWN = {
    "sphere": (sphere(), great_circle),
    "cylinder": (Partial(_cylinder), helix),
    "flat torus": (clifford_torus(1.0, 0.5), flat),
    "ridge": (Ridge(Partial(_off_sphere), 1), great_circle),
}


@pytest.mark.parametrize("name", KNOWN)
def test_geodesics_and_what_they_carry_are_those_of_closed_forms_at_second_order(name, dtype):
    mdf, exact = KNOWN[name]
    start, expected = (tuple(jnp.asarray(part, dtype) for part in exact(time)) for time in (0.0, 1.0))
    normal = jnp.asarray(3 * np.eye(len(start[0]))[0], dtype)  # is left out
    point, velocity, vector = start[0], start[1] + normal, start[2] + normal
    found = [transport(mdf, point, velocity, vector, steps) for steps in (16, 32)]
    for one in found:
        assert one.converged
        lengths = [jnp.linalg.norm(one.vector), jnp.linalg.norm(one.velocity), one.vector @ one.velocity]
        told = [jnp.linalg.norm(start[2]), jnp.linalg.norm(start[1]), start[2] @ start[1]]
        np.testing.assert_allclose(lengths, told, atol=200 * jnp.finfo(dtype).eps)
    for part, truth in ((1, expected[0]), (2, expected[1]), (0, expected[2])):
        coarse, fine = (jnp.linalg.norm(one[part] - truth) for one in found)
        assert SECOND_ORDER[0] < coarse / fine < SECOND_ORDER[1]
    end = jax.jit(exponential_map)(mdf, point, velocity, 32)
    np.testing.assert_array_equal(end.position, found[1].position)
    np.testing.assert_array_equal(end.velocity, found[1].velocity)


def torus_ode(_, state):
    """Ring and tube angle of a geodesic of `torus`, their rates, and a vector carried along, in angles."""
    _, psi, ring_rate, tube_rate, first, second = state
    radius, slope = 3 + np.cos(psi), -np.sin(psi)
    turning = [-2 * slope / radius * ring_rate * tube_rate, radius * slope * ring_rate**2]
    carried = [-slope / radius * (ring_rate * second + tube_rate * first), radius * slope * ring_rate * first]
    return [ring_rate, tube_rate, *turning, *carried]


def test_on_a_torus_they_are_those_of_the_ode_and_keep_clairauts_relation(x64):
    angles = jnp.array([0.3, 0.8])
    start = [*np.asarray(angles), 0.9, 1.6, 0.2, -0.7]
    ends = solve_ivp(torus_ode, (0, 1), start, "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    frame = jax.jacfwd(lambda a: torus_point(a[0], a[1]))
    point, push = torus_point(*angles), frame(angles)
    expected = torus_point(*ends[:2]), frame(jnp.asarray(ends[:2])) @ ends[2:4], frame(jnp.asarray(ends[:2])) @ ends[4:]
    velocity, vector = push @ jnp.asarray(start[2:4]), push @ jnp.asarray(start[4:])
    found = [transport(torus(), point, velocity, vector, steps) for steps in (50, 100)]
    for part, truth in zip((1, 2, 0), expected, strict=True):
        coarse, fine = (jnp.linalg.norm(one[part] - truth) for one in found)
        assert SECOND_ORDER[0] < coarse / fine < SECOND_ORDER[1]
        assert fine < 2e-3
    momentum = [x[0] * v[1] - x[1] * v[0] for x, v in ((point, velocity), (found[0].position, found[0].velocity))]
    assert abs(momentum[0] - momentum[1]) < 1e-11  # r² dφ/ds, kept exactly as the scheme is symplectic


def test_a_vector_carried_round_a_triangle_turns_by_its_area(x64):
    corners = (
        np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
        @ np.linalg.cholesky([[1, 0.3, 0.2], [0.3, 1, 0.5], [0.2, 0.5, 1]]).T
    )
    corners = jnp.asarray((corners / np.linalg.norm(corners, axis=0)).T)
    a, b, c = corners
    area = 2 * np.arctan2(jnp.linalg.det(corners), 1 + a @ b + b @ c + c @ a)  # van Oosterom & Strackee 1983
    errors = []
    for steps in (20, 40):
        first = vector = jnp.cross(a, b) / jnp.linalg.norm(jnp.cross(a, b))
        for x, y in ((a, b), (b, c), (c, a)):
            direction = y - (x @ y) * x
            velocity = jnp.arccos(x @ y) * direction / jnp.linalg.norm(direction)
            vector = transport(sphere(), x, velocity, vector, steps).vector
        turned = np.arctan2(jnp.linalg.det(jnp.stack([a, first, vector])), first @ vector)
        errors.append(abs((turned - area + np.pi) % (2 * np.pi) - np.pi))
    assert abs(area) > 0.2
    # Great circles are followed in their plane, so that errors of length hardly turn a vector.
    assert errors[1] < 1e-7
    assert errors[0] / errors[1] > SECOND_ORDER[0]


def test_one_path_serves_a_batch_of_vectors_and_each_lane_says_what_became_of_it():
    point, east, north = jnp.eye(3)
    frame = jax.jit(jax.vmap(parallel_transport, (None, None, None, 0, None)))(sphere(), point, east, jnp.eye(3), 8)
    np.testing.assert_allclose(frame.vector @ frame.vector.T, np.diag([0, 1, 1]), atol=1e-6)
    lanes = jnp.stack([north, 30 * north, jnp.full(3, jnp.nan)])
    found = jax.jit(jax.vmap(exponential_map, (None, None, 0, None)))(sphere(), point, lanes, 8)
    np.testing.assert_array_equal(found.converged, [True, False, False])
    # A step that turns M by 78 degrees arrives, and cannot carry a vector that lies along it; one across it can be.
    steep = jnp.sin(jnp.deg2rad(78.0)) * east
    carried = jax.jit(jax.vmap(parallel_transport, (None, None, None, 0, None)))(
        sphere(), point, steep, jnp.stack([east, north]), 1
    )
    np.testing.assert_array_equal(carried.converged, [False, True])
    assert exponential_map(sphere(), point, steep, 1).converged
    # Down from the edge of the upper half there is nothing; a way over the pole comes to the other edge and no farther.
    half = Ridge(Partial(_off_upper_half), 1, reach=0.1)
    ways = jnp.stack([3.0 * north, -north, 4.0 * north])
    found = jax.jit(jax.vmap(exponential_map, (None, None, 0, None)))(half, point, ways, 40)
    np.testing.assert_array_equal(found.converged, [True, False, False])
    assert (found.position[:, 2] > -0.11).all()


def _sphere_in_many(x):
    return jnp.append(x[3:], x @ x - 1)


def test_without_a_jacobian_at_hand_transport_is_the_same(x64):
    assert linearize(_sphere_in_many, jnp.ones(36)).jacobian is None
    start = [jnp.asarray(part) for part in great_circle(0.0)]
    padded = [jnp.pad(part, (0, 33)) for part in start]
    free = jax.jit(lambda *rest: parallel_transport(_sphere_in_many, *rest, 8))(*padded)
    dense = transport(sphere(), *start, 8)
    assert free.converged
    np.testing.assert_allclose(free.vector[:3], dense.vector, atol=1e-10)


@pytest.mark.parametrize("steps", [1, 7])
def test_the_way_back_undoes_transport(steps, x64):
    point, velocity, vector = torus_point(0.3, 0.8), jnp.array([0.0, 1.0, 1.0]), jnp.array([1.0, 0.0, 2.0])
    there = transport(torus(), point, velocity, vector, steps)
    back = transport(torus(), there.position, -there.velocity, there.vector, steps)
    start = transport(torus(), point, 0 * velocity, vector, 1)
    np.testing.assert_allclose(back.position, point, atol=1e-11)
    np.testing.assert_allclose(back.vector, start.vector, atol=1e-11)
