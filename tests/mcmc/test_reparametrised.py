"""Metrics and changes of variables: the laws stay, integrators keep their order, warm-up finds them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds import Box
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import Bijection, ConstrainedHMC, ConstrainedNUTS, biject_to, run, summary, warm_up
from implicit_manifolds.mcmc.leapfrog import hamiltonian, leapfrog
from implicit_manifolds.mcmc.metric import scale_of
from tests.mcmc.laws import CHAINS, angle_of, ellipse, final, follows, law_on, linear, quadratic

AXES = np.array([1.5, 0.75])
DENSE = np.array([[1.6, 0.0], [0.5, 0.6]])
DIAGONAL = np.array([1.8, 0.6])


def _normal(t):
    return np.exp(-0.5 * (AXES[0] ** 2 * np.cos(t) ** 2 + AXES[1] ** 2 * np.sin(t) ** 2))


def _by_length(t):
    return _normal(t) * np.hypot(AXES[0] * np.sin(t), AXES[1] * np.cos(t))


# By angle: under the ambient target |∇F| takes the speed away.
LAWS = {"ambient": law_on(-np.pi, np.pi, _normal), "hausdorff": law_on(-np.pi, np.pi, _by_length)}


def on_ellipse(**choices):
    return ConstrainedHMC(Partial(ellipse, AXES), Partial(quadratic, 0.5 * np.eye(2)), 0.4, num_steps=3, **choices)


@pytest.mark.parametrize("measure", ["ambient", "hausdorff"])
@pytest.mark.parametrize("scale", [DIAGONAL, DENSE])
def test_a_metric_changes_neither_law(measure, scale, dtype):
    draws, _ = final(on_ellipse(measure=measure, scale=scale), [0.0, 0.75], 80, dtype)
    assert follows(angle_of(draws, AXES), LAWS[measure])


def _scaled(function, scale, z):
    return function(scale @ z)


def test_volume_counted_in_the_coordinates_of_the_chains_would_be_noticed():
    sampler = on_ellipse()
    broken = replace(sampler, mdf=Partial(_scaled, sampler.mdf, DENSE), energy=Partial(_scaled, sampler.energy, DENSE))
    draws, _ = final(broken, np.linalg.solve(DENSE, [0.0, 0.75]), 80)
    assert not follows(angle_of(draws @ DENSE.T, AXES), LAWS["hausdorff"])


def _share(x):
    return jnp.sum(x) - 1


def _dirichlet(x):
    return 0.5 * jnp.sum(jnp.log(x))


def test_dirichlet_of_one_half_to_the_edges_of_the_simplex(dtype):
    positive = biject_to(Box(np.zeros(3), np.full(3, np.inf)))
    sampler = ConstrainedHMC(_share, _dirichlet, 1.0, num_steps=3, transform=positive)
    draws, _ = final(sampler, [0.2, 0.3, 0.5], 150, dtype)
    assert np.allclose(draws.sum(axis=1), 1, atol=1e-5)
    assert all(follows(draws[:, i], scipy.stats.beta(0.5, 1.0).cdf) for i in range(3))


@pytest.mark.slow
def test_without_its_coordinates_chains_miss_the_edges_and_a_summary_tells():
    sampler = ConstrainedHMC(_share, _dirichlet, 0.2, box=Box(np.zeros(3), np.ones(3)))
    spread = np.random.default_rng(0).dirichlet(np.ones(3), 100).astype(np.float32)
    told = summary(run(0, sampler, spread, 200))
    assert told.r_hat.min() > 1.1
    assert told.lowest_acceptance < told.acceptance / 5
    mended = replace(sampler, box=None, num_steps=4, transform=biject_to(sampler.box._replace(high=np.full(3, np.inf))))
    told = summary(run(0, mended, spread, 200, num_warmup=200))
    assert told.r_hat.max() < 1.05
    assert told.lowest_acceptance > told.acceptance / 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ConstrainedHMC, ConstrainedNUTS])
def test_half_a_circle_in_the_coordinates_of_a_box(kind):
    bounds = Box(np.array([-2.0, 0.0]), np.array([2.0, 2.0]))
    sampler = kind(sphere(1.0), Partial(linear, np.array([-1.0, 0.0])), 0.5, transform=biject_to(bounds))
    draws, _ = final(sampler, [0.0, 1.0], 100)
    assert follows(angle_of(draws), law_on(0, np.pi, lambda t: np.exp(np.cos(t))))


def test_a_bijection_is_one_with_its_determinant(x64):
    box = Box(np.array([0.0, -np.inf, -1.0, -np.inf]), np.array([np.inf, 2.0, 3.0, np.inf]))
    change = biject_to(box)
    assert isinstance(change, Bijection)
    for y in (jnp.array([0.3, -0.7, 1.1, 5.0]), jnp.array([-2.0, 1.5, -2.3, -4.0])):
        assert box.contains(change(y))
        np.testing.assert_allclose(change.inverse(change(y)), y, rtol=1e-12)
        np.testing.assert_allclose(change.log_det(y), jnp.linalg.slogdet(jax.jacobian(change)(y))[1], rtol=1e-12)


@pytest.mark.parametrize("far", [-1e4, 1e4])
def test_far_out_in_a_coordinate_without_bounds_a_bijection_has_derivatives(far):
    change = biject_to(Box(np.array([0.0, -np.inf, -1.0, -np.inf]), np.array([np.inf, 2.0, 3.0, np.inf])))
    slope = jax.jacobian(change)(jnp.array([0.3, -0.7, far, far]))
    assert jnp.isfinite(slope).all()
    assert slope[3, 3] == 1


@jax.jit
def _path(sampler, start, count):
    return jax.lax.fori_loop(0, count, lambda _, point: leapfrog(sampler, point, jnp.array(False)).point, start)


@pytest.mark.parametrize("measure", ["ambient", "hausdorff"])
def test_steps_with_a_metric_are_of_second_order_and_lead_back(measure, x64):
    sampler = on_ellipse(measure=measure, scale=DENSE)
    start = sampler.init(jnp.array([1.5 * np.cos(0.7), 0.75 * np.sin(0.7)]), jax.random.key(1))
    errors = []
    for count in (20, 40):
        end = _path(replace(sampler, step_size=1.0 / count), start, count)
        errors.append(abs(float(hamiltonian(end) - hamiltonian(start))))
        back = _path(replace(sampler, step_size=1.0 / count), end._replace(momentum=-end.momentum), count)
        np.testing.assert_allclose(back.position, start.position, atol=1e-9)
    assert 3.5 < errors[0] / errors[1] < 4.5


def _flat(x):
    return jnp.zeros((), x.dtype)


LONG = np.array([1000.0, 10.0, 0.1])


def on_the_long_ellipsoid(count, same_start):
    directions = np.random.default_rng(0).normal(size=(count, 3))
    directions = np.tile([0.48, 0.64, 0.6], (count, 1)) if same_start else directions
    return (directions / np.linalg.norm(directions, axis=1, keepdims=True) * LONG).astype(np.float32)


@pytest.mark.filterwarnings("ignore:.*stood still")  # some wait at the poles, where M bends most, until scaled
@pytest.mark.parametrize("same_start", [pytest.param(False, marks=pytest.mark.slow), True])
def test_an_ellipsoid_of_semi_axes_1000_10_and_a_tenth_mixes(same_start):
    sampler = ConstrainedHMC(Partial(ellipse, LONG), _flat, num_steps=3, measure="ambient")
    chains = run(0, sampler, on_the_long_ellipsoid(CHAINS, same_start), 40, num_warmup=500)
    assert summary(chains).r_hat.max() < 1.03
    # Conditioned on F, the point is that of the unit sphere, whose coordinates are uniform.
    draws = chains.positions[-1] / LONG
    assert all(follows(draws[:, i], scipy.stats.uniform(-1, 2).cdf) for i in range(3))


@pytest.mark.slow
def test_a_metric_is_taken_only_where_it_pays_and_as_it_is_asked_for():
    starts = np.random.default_rng(0).normal(size=(50, 3))
    starts = (starts / np.linalg.norm(starts, axis=1, keepdims=True)).astype(np.float32)
    sampler = ConstrainedHMC(sphere(1.0), _flat, num_steps=2)
    assert warm_up(0, sampler, starts, 200).sampler.scale is None
    even = warm_up(0, sampler, starts, 200, metric="diagonal").sampler.scale
    np.testing.assert_allclose(even, 3**-0.5, rtol=0.1)
    assert warm_up(0, sampler, starts, 200, metric="dense").sampler.scale.shape == (3, 3)


def test_a_dense_scale_is_a_factor_of_the_covariance_also_where_a_constraint_makes_it_singular():
    factor = np.random.default_rng(0).normal(size=(3, 3)) * [10.0, 1.0, 0.01]
    covariance = factor @ factor.T
    scale = scale_of(covariance, 10**9)
    np.testing.assert_allclose(scale @ scale.T, covariance, rtol=1e-4)
    assert np.isfinite(scale_of(np.ones((2, 2)), 10**9)).all()
    np.testing.assert_allclose(scale_of(np.array([4.0, 0.0]), 10), [2.0, 2e-5])
