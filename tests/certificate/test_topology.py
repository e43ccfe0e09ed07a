"""Components, genus and stray parts of level sets whose topology is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import Box, Manifold
from implicit_manifolds.certificate import topology as certificate
from implicit_manifolds.certificate.duality import consistent
from implicit_manifolds.certificate.homology import betti_numbers
from implicit_manifolds.certificate.parts import Component, Topology, describe
from implicit_manifolds.certificate.topology import topology
from implicit_manifolds.manifold.analytic import circle_in_space, clifford_torus, sphere, stiefel, torus
from implicit_manifolds.volumes.atlas import normals_at
from implicit_manifolds.volumes.cover import cover
from implicit_manifolds.volumes.parts import part_of


def box(*half):
    half = jnp.asarray(half)
    return Box(-half, half)


def _balls(shift, x):
    return (jnp.sum((x - shift) ** 2, keepdims=True) - 1) * (jnp.sum((x + shift) ** 2) - 0.25)


def _double_torus(x):
    u = x[0] ** 2
    return ((u * (1 - u) - x[1] ** 2) ** 2 + x[2] ** 2 - 0.01)[None]


def two(dimension):
    return Partial(_balls, jnp.eye(dimension)[0] * 1.5)


@pytest.mark.parametrize(
    ("mdf", "region", "point", "betti", "said"),
    [
        (sphere(1.0), box(1.5, 1.3), [1.0, 0.0], (1, 1), "1 component, closed; "),
        (sphere(1.0), box(1.5, 0.9), [1.0, 0.0], (2, 0), "2 components, open at the box; "),
        (sphere(1.0), box(1.5, 1.3, 1.4), [1.0, 0.0, 0.0], (1, 0, 1), "1 component, genus 0 (sphere); "),
        (sphere(1.0), box(1.5, 1.3, 0.9), [1.0, 0.0, 0.0], (1, 0, 0), "1 component, open at the box; "),
        (torus(), box(4.5, 4.4, 1.4), [4.0, 0.0, 0.0], (1, 2, 1), "1 component, genus 1 (torus); "),
        (Partial(_double_torus), box(1.3, 0.8, 0.3), [1.0, 0.0, 0.1], (1, 4, 1), "1 component, genus 2; "),
        (sphere(9.0), box(1.0, 1.0), None, (0, 0), "0 components"),
    ],
)
def test_betti_numbers_are_those_of_the_known_sets(mdf, region, point, betti, said):
    found = topology(Manifold(mdf, region, None if point is None else np.asarray([point])))
    assert found.betti == betti
    assert found.settled
    assert describe(found).startswith(said)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_component_without_data_is_stray_and_its_share_is_told(dimension):
    region = box(*[2.8] + [1.3] * (dimension - 1))
    large = np.eye(dimension)[[0]] * 2.5
    found = topology(Manifold(two(dimension), region, large))
    small_share = 0.5 ** (dimension - 1) / (1 + 0.5 ** (dimension - 1))
    assert [part.data_share for part in found.components] == [1.0, 0.0]
    assert found.components[1].volume_share == pytest.approx(small_share, abs=0.01)
    assert "1 stray" in describe(found)
    both = topology(Manifold(two(dimension), region, np.concatenate([large, -np.eye(dimension)[[0]]])))
    assert "no stray components" in describe(both)


def test_without_anchors_no_component_is_called_stray():
    assert "no stray components" in describe(topology(Manifold(two(2), box(2.8, 1.3))))


def test_nothing_is_settled_where_anchors_leave_a_hole_that_is_no_chance():
    turn = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    box = Box(-1.5 * jnp.ones(2), 1.5 * jnp.ones(2))
    for kept, emptiest in ((turn, 0.0), (turn[turn > 1.0], 2 * np.sin(0.25))):
        found = topology(Manifold(sphere(1.0), box, np.column_stack([np.cos(kept), np.sin(kept)])))
        assert found.settled == (emptiest == 0)
        assert ("goes on over a place without points" in describe(found)) == (emptiest > 0)
        assert abs(found.emptiest - emptiest) < 0.03


def test_the_ratio_of_singular_values_sees_a_zero_set_near_a_fold():
    mdf = Partial(lambda x: (x[:1] ** 2 + 0.01 * x[1:] ** 2) - 1)
    flat = topology(Manifold(mdf, box(1.5, 11.0), np.asarray([[1.0, 0.0]])))
    assert flat.singular_ratio == pytest.approx(0.1, rel=0.05)  # ‖∇F‖ is 2 at (1, 0) and 0.2 at (0, 10)


def test_what_differs_at_every_resolution_is_not_called_settled(monkeypatch):
    monkeypatch.setattr("implicit_manifolds.certificate.topology.RESOLUTIONS", {2: (2, 64)})
    found = topology(Manifold(two(2), box(2.8, 1.3), np.asarray([[2.5, 0.0]])))
    assert not found.settled
    assert "not settled" in describe(found)


def spread(mdf, region, seen):
    return cover(jax.random.key(0), Manifold(mdf, region, np.asarray(seen, np.float32)))


def test_curves_in_space_need_no_homology():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 600)
    ring = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
    for half, betti, said in ((1.5, (1, 1), "1 component, closed; "), (0.9, (2, 0), "2 components, open, 2 ends; ")):
        region = box(1.5, half, 1.0)
        inside = ring[np.abs(ring[:, 1]) < half]
        found = topology(spread(circle_in_space(), region, inside))
        assert found.betti == betti
        assert describe(found).startswith(said)
    assert found.singular_ratio == pytest.approx(0.5, abs=0.01)  # J has rows of length 2 and 1


def test_charts_that_no_draw_meets_are_no_component_and_with_data_on_them_nothing_is_settled(monkeypatch):
    angle = np.linspace(0, 2 * np.pi, 600)
    ring = spread(circle_in_space(), box(1.5, 1.5, 1.0), np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]))
    draw_around, lone = certificate.draw_around, np.linalg.norm(ring.atlas.bases - ring.atlas.bases[0], axis=1) == 0

    def beyond(*arguments):
        pool, inside = draw_around(*arguments)
        return pool, inside & (part_of(ring.atlas, lone.astype(int), pool.points) == 0)

    monkeypatch.setattr(certificate, "components", lambda atlas: lone.astype(int))
    monkeypatch.setattr(certificate, "draw_around", beyond)
    found = topology(ring)
    assert found.betti == (1, 1)
    assert not found.settled


def test_persistent_homology_finds_the_flat_torus_in_four_dimensions():
    pytest.importorskip("gudhi")
    mdf, region = clifford_torus(1.0, 0.5), box(1.2, 1.2, 0.7, 0.7)
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 500))
    seen = np.column_stack([np.cos(angle[0]), np.sin(angle[0]), np.cos(angle[1]) / 2, np.sin(angle[1]) / 2])
    found = topology(spread(mdf, region, seen))
    assert found.betti == (1, 2, 1)
    assert found.settled
    assert describe(found).startswith("1 component, genus 1 (torus); ")


def unit(random, count, dimension):
    points = random.normal(size=(count, dimension))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_betti_numbers_of_points_that_fill_known_sets():
    pytest.importorskip("gudhi")
    sphere_points = unit(np.random.default_rng(1), 6000, 3)
    assert betti_numbers(sphere_points, sphere_points[:, None])[:3] == ((1, 0, 1), (1, 0, 1), True)
    ring = unit(np.random.default_rng(1), 3000, 2)
    assert betti_numbers(ring, ring[:, None])[:3] == ((1, 1), (1, 1), True)


@pytest.mark.parametrize("tube", [0.7, 0.03])
def test_a_tube_that_landmarks_are_too_far_apart_to_see_is_not_settled(tube):
    pytest.importorskip("gudhi")
    turn, angle = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 20_000))
    radial = np.column_stack([np.cos(turn), np.sin(turn), 0 * turn])
    normals = radial * np.cos(angle)[:, None] + np.eye(3)[2] * np.sin(angle)[:, None]
    found = betti_numbers(2 * radial + tube * normals, normals[:, None])
    assert found.settled == (tube > 0.1)
    assert not found.settled or found.betti == found.betti_mod_3 == (1, 2, 1)


def frames(random, count):
    """Random points of V_2(R^3), row by row."""
    return np.linalg.qr(random.normal(size=(count, 3, 2)))[0].reshape(count, 6)


def test_rotations_have_a_loop_over_two_but_none_over_three():
    pytest.importorskip("gudhi")
    points = frames(np.random.default_rng(0), 60_000)
    points *= np.repeat(np.random.default_rng(1).choice([-1, 1], (60_000, 1, 2)), 3, axis=1).reshape(60_000, 6)
    found = betti_numbers(points, normals_at(stiefel(2), points.astype(np.float32)))
    assert found[:3] == ((1, 1, 1), (1, 0, 0), True)


@pytest.mark.parametrize(
    ("dimension", "boundaries", "sided", "betti", "mod_3", "possible"),
    [
        (2, 0, True, (1, 2, 1), (1, 2, 1), True),
        (2, 0, True, (1, 1, 1), (1, 1, 1), False),
        (2, 0, True, (1, 1, 0), (1, 1, 0), False),
        (2, 0, False, (1, 2, 1), (1, 1, 0), True),
        (2, 0, False, (1, 2, 1), (1, 2, 1), False),
        (2, 1, True, (1, 0, 1), (1, 0, 1), False),
        (2, 2, True, (1, 1, 0), (1, 1, 0), True),
        (2, 2, True, (1, 0, 0), (1, 0, 0), False),
        (2, 1, False, (1, 1, 0), (1, 1, 0), True),
        (3, 0, True, (1, 1, 1), (1, 0, 0), True),
        (3, 0, True, (1, 1, 0), (1, 1, 0), False),
        (3, 0, False, (1, 2, 2), (1, 1, 0), True),
        (3, 2, True, (1, 0, 0), (1, 0, 0), False),
        (4, 0, True, (1, 1, 1), (1, 0, 0), False),
        (2, 0, True, (2, 0, 1), (2, 0, 1), False),
    ],
)
def test_numbers_that_contradict_duality_or_the_boundaries_are_found_out(
    dimension, boundaries, sided, betti, mod_3, possible
):
    assert consistent(dimension, boundaries, sided, betti, mod_3) == possible


def _sphere_in_four(x):
    return jnp.stack([jnp.sum(x**2) - 1, x[3]])


def test_a_sphere_is_told_from_its_half_and_from_charts_that_end():
    pytest.importorskip("gudhi")
    points = np.pad(unit(np.random.default_rng(0), 1000, 3), ((0, 0), (0, 1)))
    mdf = Partial(_sphere_in_four)
    whole = spread(mdf, box(1.5, 1.5, 1.5, 1.5), points)
    assert describe(topology(whole)).startswith("1 component, genus 0 (sphere); ")
    half = Box(jnp.asarray([-1.5, -1.5, 0, -1.5]), jnp.full(4, 1.5))
    found = topology(spread(mdf, half, points[points[:, 2] > 0]))
    assert found.settled
    assert describe(found).startswith("1 component, open, 1 boundary circle (disc); ")
    kept = whole.atlas.bases[:, 2] > 0.3
    few = whole.atlas._replace(**{name: getattr(whole.atlas, name)[kept] for name in whole.atlas._fields[:4]})
    found = topology(whole.charted(few))
    assert not found.settled
    assert not found.components[0].closed
    assert "charts end" in describe(found)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Component(False, (1, 1, 0), 1, 1, True, 2), "open, 2 boundary circles (annulus)"),
        (Component(False, (1, 1, 0), 1, 1, False, 1), "open, 1 boundary circle, not orientable (Möbius strip)"),
        (Component(False, (1, 2, 0), 1, 1, True, 1), "open, 1 boundary circle (genus 1)"),
        (Component(False, (1, 1, 0), 1, 1, True, 1), "open, 1 boundary circle"),
        (Component(True, (1, 2, 1), 1, 1, False, 0), "Klein bottle, not orientable"),
    ],
)
def test_surfaces_are_called_by_their_names(found, said):
    assert describe(Topology(2, (found,), found.betti, True, 0, 1.0)).startswith(f"1 component, {said}; ")


def _speck(radius, x):
    return jnp.minimum(jnp.hypot(x[0] + 0.9, x[1]) - 1, jnp.hypot(x[0] - 1.7013, x[1] - 0.0371) - radius)[None]


def _joined(radius, x):
    balls = jnp.linalg.norm(x[None] - jnp.asarray([[-1.2, 0.1, 0.03], [1.2, 0.1, 0.03]]), axis=1) - 1
    neck = jnp.maximum(jnp.hypot(x[1] - 0.1, x[2] - 0.03) - radius, jnp.abs(x[0]) - 1)
    return -jax.nn.logsumexp(-100 * jnp.append(balls, neck), keepdims=True) / 100


def test_what_is_thinner_than_the_mesh_is_seen_or_told():
    found = topology(Manifold(Partial(_speck, 0.02), box(2.0, 1.3)))
    assert found.betti == (2, 2)
    assert found.settled
    found = topology(Manifold(Partial(_speck, 0.005), box(2.0, 1.3)))
    assert not found.settled
    assert "features below 0.0078 may be missed" in describe(found)
    assert topology(Manifold(Partial(_joined, 0.08), box(2.5, 1.3, 1.3))).betti == (1, 0, 1)


def test_without_charts_other_dimensions_are_refused():
    for mdf, region in ((circle_in_space(), box(1.5, 1.5, 1.5)), (sphere(1.0), box(*[1.5] * 4))):
        with pytest.raises(ValueError, match="charts"):
            topology(Manifold(mdf, region))
