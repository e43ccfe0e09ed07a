"""Families of known images, and what is said of a manifold of one, on the exact denoiser of many of its images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from experiments.images import known
from experiments.images.families import FAMILIES, images_of, nearest_parameters, true_tangents
from implicit_manifolds.manifold import DenoiserManifold
from implicit_manifolds.manifold.projection import project


def _mean_of(images, x, sigma):
    """E[x₀ | x] for x₀ one of the images (N, n), each as likely."""
    near = images @ x - jnp.sum(images**2, axis=1) / 2
    return jax.nn.softmax(near / sigma**2) @ images


@pytest.fixture(scope="module", params=[("blobs", 4000, 1.0), ("lines", 4000, 1.0)], ids=lambda param: param[0])
def learned(request):
    name, count, sigma = request.param
    family, random = FAMILIES[name], np.random.default_rng(0)
    images = jnp.asarray(images_of(family, family.draw(random, count)))
    manifold = DenoiserManifold(Partial(_mean_of, images), family.dimension, sigma)
    test = family.draw(random, 60)
    if name == "lines":
        test[:, 1] *= 0.8
    reached = jax.jit(jax.vmap(lambda x: project(manifold, x, 1e-3)))(jnp.asarray(images_of(family, test)))
    assert reached.converged.mean() > 0.95
    return name, family, manifold, np.asarray(reached.position[reached.converged])


@pytest.mark.slow
def test_zeros_are_near_the_truth_with_its_dimension_and_tangents(learned, monkeypatch):
    monkeypatch.setattr(known, "BLOCK", 60)
    _, family, manifold, points = learned
    found = known.judged_at(family, manifold, points)
    # The ridge lies inside by about m σ²/2r, r the radius of curvature: .3 of 8, and .6 of 6.
    assert found["distance_95"] < 0.12 * found["size_of_images"]
    assert found["right_dimension"] > 0.95
    assert found["tangent_degrees"] < 11


@pytest.mark.slow
def test_the_strip_of_lines_cannot_be_oriented_and_the_sphere_of_blobs_can(learned, monkeypatch):
    name, family, manifold, _ = learned
    monkeypatch.setattr(known, "CARRIERS", 400)
    monkeypatch.setattr(known, "BLOCK", 100)
    points = images_of(family, family.draw(np.random.default_rng(1), 400))
    assert known.is_orientable(manifold, points) == (name == "blobs")


def test_a_line_has_two_names_and_statistics_that_do_not_tell_them_apart():
    family = FAMILIES["lines"]
    first, second = np.array([[0.3, -0.4]]), np.array([[0.3 + np.pi, 0.4]])
    np.testing.assert_allclose(images_of(family, first), images_of(family, second), atol=1e-5)
    for name, value in family.statistics(first).items():
        np.testing.assert_allclose(value, family.statistics(second)[name], atol=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_are_found_again_and_tangents_are_those_of_differences(name):
    family = FAMILIES[name]
    drawn = family.draw(np.random.default_rng(2), 20)
    images = images_of(family, drawn)
    found = nearest_parameters(family, images)
    for statistic, value in family.statistics(drawn).items():
        np.testing.assert_allclose(family.statistics(found)[statistic], value, atol=2e-3)
    tangents, volume = true_tangents(family, drawn[:1])
    along = np.asarray(family.directions(jnp.asarray(drawn[0], float)))
    step = 1e-2
    ends = [images_of(family, (drawn[0] + sign * step * along.T))[:] for sign in (1, -1)]
    differences = (ends[0] - ends[1]).T / (2 * step)
    assert np.linalg.norm(differences - tangents[0] @ (tangents[0].T @ differences)) < 0.01 * np.linalg.norm(
        differences
    )
    np.testing.assert_allclose(volume[0], np.sqrt(np.linalg.det(differences.T @ differences)), rtol=0.01)


def test_ends_of_chains_that_are_uniform_by_volume_are_near_their_law(monkeypatch):
    monkeypatch.setattr(known, "EXACT", 10_000)
    family, random = FAMILIES["lines"], np.random.default_rng(3)
    drawn = family.draw(random, 10_000)
    weights = true_tangents(family, drawn)[1]
    even = drawn[random.choice(len(drawn), 2000, p=weights / weights.sum())]
    assert max(known.law_of(family, images_of(family, even), random)["ks"].values()) < 0.04
    skewed = even[random.random(2000) < np.abs(even[:, 1])]
    assert known.law_of(family, images_of(family, skewed), random)["ks"]["offset"] > 0.1
