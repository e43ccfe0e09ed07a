"""Sequential Monte Carlo against normalising constants in closed form, and its standard errors against its errors.

Errors are held against Student's law of the groups: each test of one fails by chance once in 10,000 seeds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds.errors import InputError
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import ConstrainedHMC, GeodesicLangevin
from implicit_manifolds.mcmc import tempered_smc as module
from implicit_manifolds.mcmc.tempered_smc import tempered_smc

GROUPS = 16
FARTHEST = scipy.stats.t(GROUPS - 1).isf(0.5e-4)


def _quadric(curvature, x):
    return jnp.sum(curvature * x**2, keepdims=True) - 1


def _energy(slope, curvature, wall, outside, x):
    """Linear and quadratic, and `outside` behind a wall; one tree for all, so that laws of one shape share a program."""
    return slope @ x + curvature @ x**2 + jnp.where(wall @ x < 0, outside, 0)


def law(slope, curvature=None, wall=None, outside=0.0, dtype=jnp.float32):
    slope = np.asarray(slope)
    zero = np.zeros_like(slope)
    given = (slope, zero if curvature is None else curvature, zero if wall is None else wall, outside)
    return Partial(_energy, *(jnp.asarray(part, dtype) for part in given))


def hmc(axes, energy, **settings):
    curvature = jnp.asarray(np.asarray(axes) ** -2.0, energy.args[0].dtype)
    return ConstrainedHMC(Partial(_quadric, curvature), energy, num_steps=2, **settings)


def directions(count, dimension, dtype=np.float32, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(count, dimension))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(dtype)


def angles(count, seed=0):
    return np.random.default_rng(seed).uniform(0, 2 * np.pi, count)


def ellipse(angle, axes=(1.0, 1.0), dtype=np.float32):
    return np.stack([axes[0] * np.cos(angle), axes[1] * np.sin(angle)], axis=-1).astype(dtype)


def log_von_mises_fisher(dimension, concentration):
    """log ∫ exp(κ x₁) over the even law of the sphere."""
    order = dimension / 2 - 1
    bessel = np.log(scipy.special.ive(order, concentration)) + concentration
    return scipy.special.gammaln(dimension / 2) + order * np.log(2 / concentration) + bessel


def error_of(found, exact):
    """Standard errors by which log Z misses."""
    return (found.log_normalizer - exact) / found.standard_error


def error_of_mean(found, values, exact):
    """Standard errors, by groups weighed by their Z, by which the mean of `values` (N,) misses."""
    shares = np.exp(found.group_log_normalizers - found.log_normalizer)
    means = np.asarray(values, np.float64).reshape(len(shares), -1).mean(axis=1)
    off = shares * (means - exact)
    return off.mean() / (off.std(ddof=1) / np.sqrt(len(off)))


# Laws in closed form ------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0.0, 3.0])
def test_von_mises_fisher_on_the_sphere_from_the_even_law_and_from_another(before, dtype):
    rng, mass, concentration = np.random.default_rng(0), 0.0, 10.0
    points = directions(4096, 3, dtype)
    if before:  # x₃ by inversion of its distribution, exp(κ t) on [-1, 1]
        height = 1 + np.log1p(rng.uniform(size=4096) * np.expm1(-2 * before)) / before
        around = directions(4096, 2, np.float64)
        points = np.column_stack([np.sqrt(1 - height**2)[:, None] * around, height]).astype(dtype)
        mass = log_von_mises_fisher(3, before)
    reference, target = law([0, 0, -before], dtype=dtype), law([-concentration, 0, 0], dtype=dtype)
    found = tempered_smc(jax.random.key(0), hmc(np.ones(3), target), points, reference=reference, groups=GROUPS)
    assert found.positions.dtype == found.step_sizes.dtype == dtype
    assert np.abs((found.positions**2).sum(axis=1) - 1).max() < 1e-4
    assert found.inverse_temperatures[-1] == 1
    assert (np.diff(found.inverse_temperatures) > 0).all()
    assert abs(found.acceptance - 0.8).max() < 0.1
    assert found.standard_error < 0.05
    assert abs(error_of(found, log_von_mises_fisher(3, concentration) - mass)) < FARTHEST
    mean = 1 / np.tanh(concentration) - 1 / concentration
    assert abs(error_of_mean(found, found.positions[:, 0], mean)) < FARTHEST
    assert abs(error_of_mean(found, found.positions[:, 2], 0)) < FARTHEST


def test_von_mises_fisher_in_ten_dimensions(dtype):
    target = law(-20 * np.eye(10)[0], dtype=dtype)
    found = tempered_smc(
        jax.random.key(0), hmc(np.ones(10), target), directions(1024, 10, dtype), groups=GROUPS, target_ess=0.6
    )
    assert found.standard_error < 0.1
    assert abs(error_of(found, log_von_mises_fisher(10, 20.0))) < FARTHEST
    mean = scipy.special.ive(5, 20) / scipy.special.ive(4, 20)
    assert abs(error_of_mean(found, found.positions[:, 0], mean)) < FARTHEST


TURN = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
EVEN = law([0, 0])


def test_two_modes_that_no_chain_crosses_between_get_their_shares():
    target = law([-0.5, 0], [-12.0, 0])
    found = tempered_smc(
        jax.random.key(0), hmc([1, 1], target), ellipse(angles(1024)), reference=EVEN, groups=GROUPS
    )
    density = np.exp(0.5 * np.cos(TURN) + 12 * np.cos(TURN) ** 2)
    share = density[np.cos(TURN) > 0].sum() / density.sum()  # 0.73
    assert abs(error_of(found, np.log(density.mean()))) < FARTHEST
    assert abs(error_of_mean(found, found.positions[:, 0] > 0, share)) < FARTHEST


AXES = np.array([1.5, 0.3])


def ambient_error(measure, seed):
    """By the ambient measure an ellipse's law without an energy is even in its parameter."""
    target = law([-2.0, 0], [0.0, 40.0])
    points = ellipse(angles(1024, seed), AXES)
    sampler = hmc(AXES, target, measure=measure)
    found = tempered_smc(jax.random.key(seed), sampler, points, reference=EVEN, groups=GROUPS)
    exact = np.log(np.mean(np.exp(3 * np.cos(TURN) - 40 * (0.3 * np.sin(TURN)) ** 2)))
    return error_of(found, exact)


def test_an_ellipse_by_the_ambient_measure_and_by_the_wrong_one():
    assert abs(ambient_error("ambient", 0)) < FARTHEST
    assert abs(ambient_error("hausdorff", 0)) > 2 * FARTHEST


# Standard errors ----------------------------------------------------------------------------------


RUNS = 30


def errors(num_steps=10, concentration=12.0):
    """Errors of log Z in standard errors, over seeds, on the circle."""
    sampler, exact = hmc([1, 1], law([-concentration, 0])), log_von_mises_fisher(2, concentration)
    return np.array(
        [
            error_of(
                tempered_smc(
                    jax.random.key(seed),
                    sampler,
                    ellipse(angles(1024, seed)),
                    reference=EVEN,
                    groups=GROUPS,
                    num_steps=num_steps,
                ),
                exact,
            )
            for seed in range(RUNS)
        ]
    )


def root_mean_square(errors):
    return np.sqrt(np.mean(np.square(errors), axis=-1))


def test_standard_errors_are_the_size_of_the_errors(monkeypatch):
    student = np.random.default_rng(0).standard_t(GROUPS - 1, (20_000, RUNS))
    low, high = np.quantile(root_mean_square(student), [1e-3, 1 - 1e-3])
    honest = root_mean_square(errors())
    print(low,honest,high)
    assert low < honest < high
    monkeypatch.setattr(module, "_systematic", lambda key, log_weights: jnp.arange(len(log_weights)))
    module._next.clear_cache()
    unweighted = root_mean_square(errors(num_steps=1))
    print(unweighted)
    module._next.clear_cache()
    assert unweighted > 2 * high
