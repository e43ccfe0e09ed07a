"""Chains on a ridge that is written down, against quadrature along it; p-values as in test_exact_laws."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds import Box
from implicit_manifolds._pytree import pytree
from implicit_manifolds.manifold import Ridge, gradient_of, project
from implicit_manifolds.manifold.tangent import linearize, linearized
from implicit_manifolds.mcmc import ConstrainedHMC, ConstrainedLangevin, Reason, run

WIDTH = 2.0
SMALLEST_P = 1e-4


def _steep_valley(x):
    """A bent valley with so much slope along it that its ridge lies up to .3 beside its bottom."""
    return 2 * (x[1] - 0.8 * jnp.cos(1.5 * x[0])) ** 2 + 2 * x[0]


def valley():
    return Ridge(gradient_of(_steep_valley), 1, gap=0.05)


def _first(x):
    return x[0]


@pytree
@dataclass(frozen=True)
class WithoutTurning(Ridge):
    """A ridge whose Jacobian leaves out how its frame turns."""

    def linearize(self, x):
        at = super().linearize(x)
        jacobian = at.frame.T @ jax.jacfwd(self.field)(x)
        return linearized(x, at.residual, jacobian, at.frame, at.within)


@pytest.fixture(scope="module")
def cdf():
    """Distribution of the first coordinate under exp(-x) by arc length of the valley's ridge within |x| < WIDTH."""
    with jax.enable_x64(True):
        across = np.linspace(-WIDTH - 0.3, WIDTH + 0.3, 8001)
        bottom = np.stack([across, 0.8 * np.cos(1.5 * across)], axis=1)
        found = jax.jit(jax.vmap(project, (None, 0)))(valley(), bottom)
        points = np.asarray(found.position)
    assert found.converged.all()
    assert (np.diff(points[:, 0]) > 0).all()
    assert np.abs(points[:, 1] - bottom[:, 1]).max() > 0.2
    density = np.exp(-points[:, 0]) * (abs(points[:, 0]) < WIDTH)
    pieces = (density[1:] + density[:-1]) / 2 * np.linalg.norm(np.diff(points, axis=0), axis=1)
    total = np.append(0, np.cumsum(pieces))
    return lambda x: np.interp(x, points[:, 0], total / total[-1])


@pytest.mark.parametrize(
    ("ridge", "exact"), [(Ridge, True), pytest.param(WithoutTurning, False, marks=pytest.mark.slow)]
)
def test_hmc_has_the_law_on_a_ridge_and_not_where_the_jacobian_leaves_out_the_turning_of_its_frame(ridge, exact, cdf):
    box = Box(jnp.array([-WIDTH, -3.0]), jnp.array([WIDTH, 3.0]))
    known = valley()
    sampler = ConstrainedHMC(ridge(known.field, 1, known.gap), Partial(_first), step_size=0.35, num_steps=3, box=box)
    start = project(known, jnp.array([0.0, 0.8])).position
    chains = run(jax.random.key(0), sampler, jnp.tile(start, (4000, 1)), 1, 60)
    drawn = np.asarray(chains.positions[-1, :, 0], np.float64)
    assert (scipy.stats.kstest(drawn, cdf).pvalue > SMALLEST_P) == exact


def _off_sphere(x):
    """X less the nearest point of the upper half of the unit sphere."""
    above = jnp.where(x[2] >= 0, x, x.at[2].set(0))
    return x - above / jnp.linalg.norm(above)


@pytest.mark.slow
def test_chains_stay_on_the_half_of_a_sphere_where_the_field_has_a_ridge_and_fill_it_evenly():
    ridge = Ridge(Partial(_off_sphere), 1, reach=0.1)
    starts = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (2000, 1))
    for sampler in (
        ConstrainedHMC(ridge, Partial(_zero), step_size=0.5, num_steps=3),
        ConstrainedLangevin(ridge, Partial(_zero), noise_scale=0.1),
    ):
        steps = 40 if isinstance(sampler, ConstrainedHMC) else 400
        chains = run(jax.random.key(1), sampler, starts, 1, steps)
        drawn = np.asarray(chains.positions[-1], np.float64)
        at = jax.jit(jax.vmap(linearize, (None, 0)))(ridge, chains.positions[-1])
        assert at.within.all()
        np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
        assert (drawn[:, 2] >= 0).all()
        assert chains.info.reason[:, Reason.OUT_OF_BOUNDS].mean() > 0
        if isinstance(sampler, ConstrainedHMC):
            # Archimedes: heights of uniform points are uniform.
            assert scipy.stats.kstest(drawn[:, 2], "uniform").pvalue > SMALLEST_P


def _zero(x):
    return jnp.zeros((), x.dtype)
