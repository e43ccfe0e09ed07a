"""Sequential Monte Carlo against normalising constants in closed form, and its standard errors against its errors.

Errors are held against Student's law of the groups: each test of one fails by chance once in 10,000 seeds.
"""

import importlib

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
from implicit_manifolds.mcmc.tempered_smc import _systematic, tempered_smc

module = importlib.import_module("implicit_manifolds.mcmc.tempered_smc")  # its front has the function by that name
GROUPS = 16
FARTHEST = scipy.stats.t(GROUPS - 1).isf(0.5e-4)


def _quadric(curvature, x):
    return jnp.sum(curvature * x**2, keepdims=True) - 1


def _energy(slope, curvature, wall, outside, x):
    """Linear and quadratic, and `outside` behind a wall; laws of one shape share a program."""
    return slope @ x + curvature @ x**2 + jnp.where(wall @ x < 0, outside, 0)


def law(slope, curvature=None, wall=None, outside=0.0, dtype=jnp.float32):
    slope = np.asarray(slope)
    zero = np.zeros_like(slope)
    given = (slope, zero if curvature is None else curvature, zero if wall is None else wall, outside)
    return Partial(_energy, *(jnp.asarray(part, dtype) for part in given))


def hmc(axes, energy, **settings):
    curvature = jnp.asarray(np.asarray(axes) ** -2.0, energy.args[0].dtype)
    return ConstrainedHMC(Partial(_quadric, curvature), energy, num_steps=2, **settings)


def directions(dimension=3, dtype=np.float32, seed=0):
    """1,024 for all tests, which share programs."""
    drawn = np.random.default_rng(seed).normal(size=(1024, dimension))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(dtype)


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
    concentration, points, mass = 10.0, directions(dtype=dtype), 0.0
    if before:  # x₃ by inversion of its distribution, exp(κ t) on [-1, 1]
        uniform = np.random.default_rng(1).uniform(size=len(points))
        height = 1 + np.log1p(uniform * np.expm1(-2 * before)) / before
        around = np.sqrt(1 - height**2)[:, None] * directions(2, np.float64)
        points, mass = np.column_stack([around, height]).astype(dtype), log_von_mises_fisher(3, before)
    reference, target = law([0, 0, -before], dtype=dtype), law([-concentration, 0, 0], dtype=dtype)
    found = tempered_smc(jax.random.key(0), hmc(np.ones(3), target), points, reference=reference, groups=GROUPS)
    assert found.positions.dtype == found.step_sizes.dtype == dtype
    assert np.abs((found.positions**2).sum(axis=1) - 1).max() < 1e-4
    assert found.inverse_temperatures[-1] == 1
    assert (np.diff(found.inverse_temperatures) > 0).all()
    assert abs(found.acceptance - 0.8).max() < 0.1
    assert found.standard_error < 0.06
    assert found.dropped == 0
    assert 0.2 < found.distinct < 1
    assert abs(error_of(found, log_von_mises_fisher(3, concentration) - mass)) < FARTHEST
    mean = 1 / np.tanh(concentration) - 1 / concentration
    assert abs(error_of_mean(found, found.positions[:, 0], mean)) < FARTHEST
    assert abs(error_of_mean(found, found.positions[:, 2], 0)) < FARTHEST


def test_von_mises_fisher_in_ten_dimensions_with_no_reference_given(dtype):
    sampler, points = hmc(np.ones(10), law(-20 * np.eye(10)[0], dtype=dtype)), directions(10, dtype)
    found = tempered_smc(jax.random.key(0), sampler, points, groups=GROUPS, target_ess=0.6)
    assert found.standard_error < 0.15
    assert abs(error_of(found, log_von_mises_fisher(10, 20.0))) < FARTHEST
    mean = scipy.special.ive(5, 20) / scipy.special.ive(4, 20)
    assert abs(error_of_mean(found, found.positions[:, 0], mean)) < FARTHEST


HEIGHT = np.linspace(-1, 1, 20_001)[:-1] + 5e-5
"""Even on [-1, 1], as a coordinate is under the even law of the sphere."""
EVEN = law([0, 0, 0])


def test_two_modes_that_no_chain_crosses_between_get_their_shares():
    sampler = hmc(np.ones(3), law([-0.5, 0, 0], [-12.0, 0, 0]))
    found = tempered_smc(jax.random.key(0), sampler, directions(), reference=EVEN, groups=GROUPS)
    density = np.exp(0.5 * HEIGHT + 12 * HEIGHT**2)
    share = density[HEIGHT > 0].sum() / density.sum()
    assert 0.7 < share < 0.75
    assert abs(error_of(found, np.log(density.mean()))) < FARTHEST
    assert abs(error_of_mean(found, found.positions[:, 0] > 0, share)) < FARTHEST


AXES = np.array([1.5, 0.3, 0.3])


def test_an_ellipsoid_by_the_ambient_measure_and_by_the_wrong_one():
    """With x = AXES u, area over |∇F| is even in u: starts are draws by the ambient measure."""
    target, points = law([-2.0, 0, 0], [0, 40.0, 40.0]), (AXES * directions()).astype(np.float32)
    exact = np.log(np.mean(np.exp(3 * HEIGHT - 40 * 0.3**2 * (1 - HEIGHT**2))))
    off = {}
    for measure in ("ambient", "hausdorff"):
        sampler = hmc(AXES, target, measure=measure)
        found = tempered_smc(jax.random.key(0), sampler, points, reference=EVEN, groups=GROUPS)
        off[measure] = error_of(found, exact)
    assert abs(off["ambient"]) < FARTHEST
    assert abs(off["hausdorff"]) > 2 * FARTHEST


def test_standard_errors_are_the_size_of_the_errors(monkeypatch):
    """30 seeds; particles that are weighed and not resampled, and so lag behind the temperatures, would be noticed."""
    sampler, exact = hmc(np.ones(3), law([-12.0, 0, 0])), log_von_mises_fisher(3, 12.0)

    def root_mean_square(num_steps):
        settings = {"reference": EVEN, "groups": GROUPS, "num_steps": num_steps}
        runs = (tempered_smc(jax.random.key(seed), sampler, directions(seed=seed), **settings) for seed in range(30))
        return np.sqrt(np.mean([error_of(found, exact) ** 2 for found in runs]))

    student = np.random.default_rng(0).standard_t(GROUPS - 1, (20_000, 30))
    low, high = np.quantile(np.sqrt((student**2).mean(axis=1)), [1e-3, 1 - 1e-3])  # 0.63, 1.63
    for num_steps in (1, 10):
        assert low < root_mean_square(num_steps) < high
    try:
        monkeypatch.setattr(module, "_systematic", lambda key, log_weights: jnp.arange(len(log_weights)))
        module._next.clear_cache()
        assert root_mean_square(1) > 2 * high
    finally:
        module._next.clear_cache()


# What happens besides -----------------------------------------------------------------------------


@pytest.mark.parametrize("outside", [np.inf, np.nan])
def test_half_a_sphere_behind_a_wall_has_no_mass(outside):
    sampler, points = hmc(np.ones(3), law([-5.0, 0, 0], wall=[1.0, 0, 0], outside=outside)), directions()
    found = tempered_smc(jax.random.key(0), sampler, points, reference=EVEN, groups=GROUPS)
    assert found.dropped == (points[:, 0] < 0).sum()
    assert (found.positions[:, 0] >= 0).all()
    assert found.refused[0] > 0.01
    assert abs(error_of(found, np.log(np.expm1(5.0) / 10))) < FARTHEST


def test_steps_that_the_energy_alone_refuses_are_no_failed_steps():
    steep = hmc(np.ones(3), law([100.0, 0.0, 0.0]))
    found = tempered_smc(0, steep, directions(), groups=GROUPS, target_acceptance=0.4)
    assert found.acceptance[-1] < 0.7
    assert found.refused[-1] < 0.02


def test_another_key_energy_step_size_and_other_settings_compile_nothing():
    settings = {"reference": EVEN, "groups": GROUPS}
    tempered_smc(jax.random.key(0), hmc(np.ones(3), law([-1.0, 0, 0])), directions(), **settings)
    before = module._next._cache_size(), module._gaps._cache_size()
    other = hmc(np.ones(3), law([0, -4.0, 0], [1.0, 0, 0]), step_size=jnp.asarray(0.3))
    settings |= {"reference": law([0, 0, 0.5]), "num_steps": 3, "target_ess": 0.5, "target_acceptance": 0.7}
    tempered_smc(jax.random.key(1), other, directions(seed=1), **settings)
    assert (module._next._cache_size(), module._gaps._cache_size()) == before


def test_runs_repeat_by_their_key():
    sampler = hmc(np.ones(3), law([-2.0, 0, 0]))
    first, again, other = (
        tempered_smc(jax.random.key(seed), sampler, directions(), reference=EVEN, groups=GROUPS) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.positions, again.positions)
    assert first.log_normalizer == again.log_normalizer != other.log_normalizer


@pytest.mark.parametrize(
    ("told", "settings"),
    [
        ("1024 particles do not make 1 groups", {"groups": 1}),
        ("1024 particles do not make 7 groups", {"groups": 7}),
        ("1024 particles do not make 128 groups", {"groups": 128}),
        ("num_steps is 0", {"num_steps": 0}),
        ("target_ess is 1.0", {"target_ess": 1.0}),
        ("target_acceptance is 0.0", {"target_acceptance": 0.0}),
        ("without a Metropolis step", {"sampler": GeodesicLangevin(sphere(1.0), EVEN, 0.1)}),
        ("no start of 16 groups", {"sampler": hmc(np.ones(3), law([0, 0, 0], wall=[1.0, 0, 0], outside=np.inf))}),
        ("hardly rises", {"sampler": hmc(np.ones(3), law([1e25, 0, 0]))}),
    ],
)
def test_what_cannot_work_is_refused(told, settings):
    points = directions()
    if "no start" in told:
        points[:, 0] = -abs(points[:, 0])
    given = {"key": jax.random.key(0), "sampler": hmc(np.ones(3), EVEN), "reference": EVEN, "groups": GROUPS} | settings
    with pytest.raises(InputError, match=told):
        tempered_smc(given.pop("key"), given.pop("sampler"), points, **given)


def test_starts_off_the_manifold_are_refused():
    with pytest.raises(ValueError, match="do not lie on"):
        tempered_smc(jax.random.key(0), hmc(np.ones(3), EVEN), 2 * directions(), reference=EVEN, groups=GROUPS)


def test_places_go_to_particles_by_their_weights_the_first_and_the_last_too():
    weights = np.array([0.3, 2.5, 0.0, 0.2, 4.0])
    shares, drawn = 5 * weights / weights.sum(), jax.jit(jax.vmap(_systematic, (0, None)))
    chosen = np.asarray(drawn(jax.random.split(jax.random.key(0), 4000), jnp.log(jnp.asarray(weights))))
    counts = np.stack([(chosen == number).sum(axis=1) for number in range(5)], axis=1)
    assert (counts >= np.floor(shares)).all()
    assert (counts <= np.ceil(shares)).all()
    # Each count is one of two neighbours: z = 4.5 of at most a half, false alarm 7e-6.
    np.testing.assert_allclose(counts.mean(axis=0), shares, atol=4.5 * 0.5 / np.sqrt(4000))
