"""Pure functions of a model: they agree with the verbs, and live inside anybody's transformations."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from jax.tree_util import Partial
from scipy import stats
from scipy.special import i0, i1

import implicit_manifolds as im
from implicit_manifolds import functional, mcmc
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.pieces import Pieces
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.pools import Estimate
from implicit_manifolds.volumes.resampling import kept_once

KAPPA = 2.0
EXACT = Estimate(math.log(2 * math.pi * i0(KAPPA)), 0.0)
WHOLE = Scaling(np.zeros(2), 1.0)
SCALINGS = {
    "one scale": Scaling(np.asarray([30.0, -2.0]), 4.0),
    "by column": Scaling(np.asarray([3.0, -2.0]), np.asarray([0.5, 8.0])),
    "parts": Pieces(
        WHOLE,
        np.asarray([[5.0, 5.0], [900.0, 0.0]]),
        np.asarray([0.1, 20.0]),
        np.asarray([[0.0, 0.0], [5.0, 0.0]]),
        np.asarray([[4.8, 4.8], [870.0, -30.0]]),
        np.asarray([[5.2, 5.2], [930.0, 30.0]]),
    ),
}


def _tilted(kappa, x):
    return -kappa * x[0]


def von_mises(scaling=WHOLE, seed=0, radius=1.0):
    """The circle with exp(κ cos θ) in standardised units, with charts."""
    box = im.Box(jnp.full(2, -1.4), jnp.full(2, 1.4))
    circle = im.Manifold(sphere(radius), box, jnp.asarray([[1.0, 0.0], [-1.0, 0.0]]))
    charted = im.cover(jax.random.key(seed), circle)
    return im.EBIM(charted, Partial(_tilted, jnp.asarray(KAPPA)), scaling, ChainScales(0.1), EXACT)


@pytest.fixture(scope="module")
def model():
    return von_mises()


def around(count=40, away=0.3):
    """Points near the unit circle."""
    random = np.random.default_rng(0)
    angle = random.uniform(-np.pi, np.pi, count)
    radius = 1 + away * random.uniform(-1, 1, count)
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


@pytest.mark.parametrize("name", ["one scale", "parts", pytest.param("by column", marks=pytest.mark.slow)])
def test_they_agree_with_the_verbs(name, model):
    model = replace(model, scaling=SCALINGS[name])
    points = model.scaling.restore(around())
    rows = jnp.asarray(points, jnp.float32)
    scored, nearest = im.log_density(model, points), im.nearest_points(model, points)
    both = jax.jit(jax.vmap(lambda x: (functional.log_density(model, x), functional.energy(model, x))))(rows)
    found = jax.jit(jax.vmap(functional.nearest_point, (None, 0)))(model, rows)
    unit = float(np.max(SCALINGS[name].scale))
    np.testing.assert_allclose(both[0], scored.log_density, atol=3e-4)
    np.testing.assert_allclose(both[1], scored.energy, atol=3e-4)
    np.testing.assert_allclose(found.point, nearest.points, atol=1e-4 * unit)
    np.testing.assert_allclose(found.distance, nearest.distance, atol=1e-4 * unit)
    assert bool(found.converged.all())
    assert nearest.converged.all()
    one = im.log_density(model, points[3])
    assert one.log_density.shape == ()
    assert float(one.log_density) == pytest.approx(scored.log_density[3], abs=1e-5)
    assert im.nearest_points(model, points[3]).points.shape == (2,)


def test_where_nothing_is_found_they_say_nan_and_so_do_the_verbs(model):
    narrow = replace(model.manifold, box=im.Box(jnp.asarray([-1.4, -1.4]), jnp.asarray([1.4, 0.5])))
    model = replace(model, manifold=narrow)
    above = jnp.asarray([0.0, 1.1])
    assert np.isnan(jax.jit(functional.log_density)(model, above))
    found = im.log_density(model, above)
    assert np.isnan(found.log_density)
    assert np.isnan(found.energy)
    assert not found.converged


def test_gradients_in_the_point_and_in_the_model_are_exact(x64):
    model = von_mises()
    angle, radius = 0.7, 1.3
    x = radius * jnp.asarray([np.cos(angle), np.sin(angle)])
    in_model, slope = jax.jit(jax.grad(functional.log_density, argnums=(0, 1)))(model, x)
    along = np.asarray([-np.sin(angle), np.cos(angle)]) / radius
    np.testing.assert_allclose(slope, -KAPPA * np.sin(angle) * along, atol=1e-8)
    # The radius is a parameter of F: the density at the projection goes by exp(κ r cos θ).
    assert float(in_model.manifold.mdf.args[0]) == pytest.approx(KAPPA * np.cos(angle), abs=1e-7)
    assert float(in_model.energy.args[0]) == pytest.approx(np.cos(angle), abs=1e-9)
    away = jax.jit(jax.grad(lambda model: functional.nearest_point(model, x).distance))(model)
    assert float(away.manifold.mdf.args[0]) == pytest.approx(-1, abs=1e-8)


def test_they_live_in_scan_and_shard_map_and_compile_once_for_all_models(model):
    rows = jnp.asarray(around(8), jnp.float32)
    one_by_one = jax.lax.scan(lambda carry, x: (carry, functional.log_density(model, x)), 0, rows)[1]
    traced = []

    @jax.jit
    def many(model, rows):
        traced.append(1)
        return jax.vmap(functional.log_density, (None, 0))(model, rows)

    np.testing.assert_allclose(many(model, rows), one_by_one, atol=1e-5)
    stronger = replace(model, energy=Partial(_tilted, jnp.asarray(3.0)))
    assert not np.allclose(many(stronger, rows), one_by_one)
    assert len(traced) == 1
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("points",))
    spread = PartitionSpec("points")
    shared = jax.shard_map(many, mesh=mesh, in_specs=(PartitionSpec(), spread), out_specs=spread, check_vma=False)
    np.testing.assert_allclose(shared(model, rows), one_by_one, atol=1e-5)


def test_models_energies_and_samplers_hash_by_identity(model):
    assert float(jax.jit(model.energy)(jnp.asarray([1.0, 0.0]))) == -KAPPA
    assert len({model, model.manifold, model.energy, replace(model)}) == 4
    sampler = mcmc.ConstrainedHMC(model.manifold.mdf, model.energy)
    state = jax.jit(sampler.init)(jnp.asarray([1.0, 0.0]))
    jax.jit(sampler.step)(jax.random.key(0), state)
    ridge = im.manifold.Ridge(im.manifold.gradient_of(lambda x: x[0] ** 2), 1)
    assert jax.jit(ridge)(jnp.ones(2)).shape == (2,)


def test_an_ensemble_is_its_models_side_by_side():
    models = [von_mises(), replace(von_mises(seed=1, radius=1.1), scaling=Scaling(np.ones(2), 2.0))]
    charts = models[1].manifold.atlas
    fewer = models[1].manifold.charted(
        charts._replace(
            **{name: getattr(charts, name)[:500] for name in ("bases", "normals", "radii", "probabilities")}
        )
    )
    models[1] = replace(models[1], manifold=fewer)
    both = functional.stack(models)
    x = jnp.asarray([0.2, 1.3])
    together = jax.jit(jax.vmap(functional.log_density, (0, None)))(both, x)
    np.testing.assert_allclose(together, [im.log_density(one, x).log_density for one in models], atol=1e-5)
    drawn = jax.jit(jax.vmap(lambda model: functional.sample(jax.random.key(0), model, 50)))(both)
    away = jax.jit(jax.vmap(jax.vmap(functional.residual, (None, 0))))(both, drawn.points)
    assert float(jnp.abs(away).max()) < 1e-5
    with pytest.raises(im.InputError, match="one config"):
        functional.stack([models[0], replace(models[1], energy=Partial(lambda x: x[0]))])


def test_the_weight_of_draws_is_that_of_the_density(model):
    drawn = jax.jit(jax.vmap(functional.draw, (0, None)))(jax.random.split(jax.random.key(3), 20_000), model)
    weights = np.exp(np.asarray(drawn.log_weight, np.float64))
    for values, exact in ((np.ones(len(weights)), 1.0), (np.asarray(drawn.point[:, 0]), i1(KAPPA) / i0(KAPPA))):
        terms = weights * values
        assert abs(terms.mean() - exact) < 4 * terms.std() / np.sqrt(len(terms))  # one in 15,000 by chance


def test_samples_inside_jit_follow_the_law(model):
    drawn = jax.jit(functional.sample, static_argnames="count")(jax.random.key(0), model, count=2000)
    angle = np.arctan2(drawn.points[:, 1], drawn.points[:, 0])
    assert stats.kstest(angle, stats.vonmises(KAPPA).cdf).pvalue > 1e-3
    assert len(np.unique(drawn.points, axis=0)) == 2000
    assert float(drawn.effective_size) > 2 * 2000
    chains = functional.sample(jax.random.key(0), model, 500, method="chains")
    angle = np.arctan2(chains.points[:, 1], chains.points[:, 0])
    assert stats.kstest(angle, stats.vonmises(KAPPA).cdf).pvalue > 1e-3
    assert chains.effective_size is None


def test_rows_are_kept_in_proportion_to_their_weights_and_once():
    weights = jnp.asarray([0.0, 1.0, 2.0, 3.0, 0.5, 40.0])
    keys = jax.random.split(jax.random.key(0), 4000)
    kept = np.asarray(jax.jit(jax.vmap(lambda key: kept_once(key, weights, 3)))(keys))
    assert all(len(set(row)) == 3 for row in kept)
    shares = np.asarray([(kept == row).any(axis=1).mean() for row in range(6)])
    # The heaviest is kept for certain, and of the others two.
    exact = np.append(2 * np.asarray(weights[:5]) / 6.5, 1.0)
    assert np.abs(shares - exact).max() < 4 * 0.5 / np.sqrt(4000)


@pytest.mark.parametrize("codimension", [1, 4])
def test_tangent_bases_are_orthonormal_and_tangent_in_the_units_of_the_data(build, codimension):
    mdf, zero = build.quadratic_map(5, codimension, jnp.float32)
    box = im.Box(jnp.full(5, -2.0), jnp.full(5, 2.0))
    scale = np.asarray([1.0, 3.0, 0.2, 1.0, 5.0])
    scaling = Scaling(np.arange(5.0), scale)
    model = im.EBIM(im.Manifold(mdf, box), Partial(_tilted, jnp.zeros(())), scaling, ChainScales(0.1))
    x = jnp.asarray(scaling.restore(zero), jnp.float32)
    basis, derivative = jax.jit(
        lambda x: (functional.tangent_basis(model, x), jax.jacobian(lambda x: functional.tangent_basis(model, x))(x))
    )(x)
    assert basis.shape == (5 - codimension, 5)
    np.testing.assert_allclose(basis @ basis.T, np.eye(5 - codimension), atol=1e-5)
    rows = jax.jit(jax.jacobian(functional.residual, argnums=1))(model, x)
    np.testing.assert_allclose(rows @ basis.T, 0, atol=1e-5)
    assert bool(jnp.isfinite(derivative).all())
