"""Tangential score matching: its loss against a closed form, and fits on one and on two circles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats

from implicit_manifolds import Box, Manifold, ScoreMatchingConfig
from implicit_manifolds.ebim.score_matching import _weighed_by_part, fit_score_matching, score_matching_loss
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.manifold.tangent import linearize, tangent_projection
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.cover import cover
from implicit_manifolds.volumes.importance import log_normalizer
from implicit_manifolds.volumes.manifold import Atlas
from implicit_manifolds.volumes.pools import Pool

BOX = Box(jnp.asarray([-2.9, -1.3]), jnp.asarray([2.9, 1.3]))
QUICK = ScoreMatchingConfig(hidden=(16,), features=8, members=2, num_steps=400)


def _tilted(slope, x):
    return -jnp.vdot(slope, x)


def test_the_loss_of_a_tilted_energy_on_the_sphere_is_that_of_the_closed_form():
    # E = -κ x₀ on S²: P∇E has squared norm κ²(1 - x₀²), and its divergence is that of -κ x₀, 2κ x₀.
    kappa, random = 1.7, np.random.default_rng(0)
    points = random.normal(size=(20_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    energy = Partial(_tilted, jnp.asarray([kappa, 0.0, 0.0]))
    weights = jnp.asarray(1 + points[:, 0], jnp.float32)
    loss, terms = score_matching_loss(jax.random.key(0), sphere(1.0), energy, jnp.asarray(points, jnp.float32), weights)
    average = lambda values: np.average(values, weights=weights)
    assert float(terms["square"]) == pytest.approx(average(kappa**2 * (1 - points[:, 0] ** 2)) / 2, rel=1e-3)
    assert float(terms["divergence"]) == pytest.approx(average(2 * kappa * points[:, 0]), abs=0.05)
    assert float(loss) == pytest.approx(float(terms["square"] - terms["divergence"]))


def _quadrics(x):
    return jnp.stack([jnp.sum(x**2) - 1, x[0] * x[1] + 0.3 * x[2] - 0.1 * x[3] ** 2])


@pytest.mark.slow
def test_the_divergence_is_the_derivative_of_the_projected_gradient():
    key, mdf = jax.random.key(3), Partial(_quadrics)
    x, slope = jax.random.normal(jax.random.key(4), (2, 4))
    energy = Partial(lambda slope, x: jnp.vdot(slope, x) + jnp.sum(jnp.cos(2 * x)) * x[0], slope)
    field = lambda y: tangent_projection(mdf, linearize(mdf, y), jax.grad(energy)(y))
    along = tangent_projection(mdf, linearize(mdf, x), jax.random.rademacher(key, (1, 4), x.dtype)[0])
    expected = jnp.vdot(along, jax.jvp(field, (x,), (along,))[1])
    terms = score_matching_loss(key, mdf, energy, x[None])[1]
    assert float(terms["divergence"]) == pytest.approx(float(expected), rel=1e-4, abs=1e-4)
    assert float(terms["square"]) == pytest.approx(float(jnp.sum(field(x) ** 2) / 2), rel=1e-4)


@pytest.mark.slow
def test_its_minimum_among_von_mises_is_at_the_true_concentration():
    angle = np.random.default_rng(0).vonmises(0.5, 2.0, 20_000)
    points = jnp.asarray(np.column_stack([np.cos(angle), np.sin(angle)]), jnp.float32)

    def loss(slope):
        return score_matching_loss(jax.random.key(0), sphere(1.0), Partial(_tilted, slope), points)[0]

    truth = 2 * jnp.asarray([np.cos(0.5), np.sin(0.5)], jnp.float32)
    # The loss is quadratic in the slope, so one Newton step from anywhere is the minimum.
    start = jnp.zeros(2)
    found = start - jnp.linalg.solve(jax.hessian(loss)(start), jax.grad(loss)(start))
    np.testing.assert_allclose(found, truth, atol=0.08)


def _circles(x):
    shift = jnp.asarray([1.5, 0.0])
    return (jnp.sum((x - shift) ** 2, keepdims=True) - 1) * (jnp.sum((x + shift) ** 2) - 1)


@pytest.mark.slow
def test_shares_of_components_are_set_from_the_data_and_each_density_from_its_score():
    mdf, random = Partial(_circles), np.random.default_rng(0)
    side = np.where(random.random(1200) < 0.8, 1.5, -1.5)
    angle = random.vonmises(0.0, 1.5, 1200)
    points = (np.column_stack([np.cos(angle) + side, np.sin(angle)])).astype(np.float32)
    manifold = cover(jax.random.key(0), Manifold(mdf, BOX))
    energy, _ = fit_score_matching(jax.random.key(1), manifold, jnp.asarray(points), QUICK)
    assert abs(log_normalizer(jax.random.key(2), pool_source(manifold), energy).value) <= 0.01
    grid = np.linspace(-np.pi, np.pi, 401)[:-1]
    for centre, share in ((1.5, (side > 0).mean()), (-1.5, (side < 0).mean())):
        circle = jnp.asarray(np.column_stack([np.cos(grid) + centre, np.sin(grid)]), jnp.float32)
        density = np.exp(-np.asarray(jax.vmap(energy)(circle), np.float64))
        assert density.mean() * 2 * np.pi == pytest.approx(share, abs=0.01)
        true = stats.vonmises.pdf(grid, 1.5)
        gap = np.mean(true * np.log(true / (density / density.mean() / 2 / np.pi))) * 2 * np.pi
        assert gap < 0.05


def test_without_charts_the_member_that_validates_best_is_kept():
    angle = np.random.default_rng(0).vonmises(0.0, 2.0, 300)
    points = jnp.asarray(np.column_stack([np.cos(angle), np.sin(angle)]), jnp.float32)
    energy, history = fit_score_matching(jax.random.key(0), Manifold(sphere(1.0), BOX), points, QUICK)
    assert energy(points[0]).shape == ()
    assert history.terms["loss"][-1] < history.terms["loss"][0]


def _two_circles(x):
    return ((jnp.sum(x**2) - 1) * (jnp.sum((x - jnp.asarray([3.0, 0.0])) ** 2) - 1))[None]


def test_each_part_has_the_share_of_the_points_on_it_whatever_the_members_say_there():
    # Charts of two circles, by hand; the points' shares are 3 to 1.
    angle = np.linspace(-np.pi, np.pi, 40, endpoint=False)
    ring, shift = np.stack([np.cos(angle), np.sin(angle)], axis=1), np.array([3.0, 0.0])
    bases = np.concatenate([ring, ring + shift]).astype(np.float32)
    normals = np.concatenate([ring, ring])[:, None].astype(np.float32)
    atlas = Atlas(bases, normals, np.full(80, 0.4, np.float32), np.full(80, 1 / 80, np.float32))
    manifold = Manifold(Partial(_two_circles), Box(jnp.full(2, -5.0), jnp.full(2, 5.0)), jnp.asarray(bases)).charted(
        atlas
    )
    points = np.concatenate([ring[:30], (ring + shift)[:10]]).astype(np.float32)
    pool = Pool(bases, np.full(80, 2 * np.pi / 40), np.arange(80) % 16, 16, 0, 0.0)
    members = Partial(_tilted, jnp.asarray([[0.5, 0.0], [-1.0, 2.0]], jnp.float32))
    found = _weighed_by_part(members, points, manifold, pool)
    density = np.exp(-np.asarray(jax.vmap(found)(jnp.asarray(bases)))) * pool.weights
    of_first = (30 + 0.5) / (40 + 1)
    np.testing.assert_allclose([density[:40].sum(), density[40:].sum()], [of_first, 1 - of_first], rtol=1e-4)
