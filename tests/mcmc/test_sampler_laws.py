"""Does constrained Langevin keep the law it claims? Started from the exact law, on a circle and a torus."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax.tree_util import Partial

from implicit_manifolds.manifold.algebra import pull_back
from implicit_manifolds.manifold.analytic import sphere, torus, torus_point
from implicit_manifolds.mcmc.chains import advance, initial_states
from implicit_manifolds.mcmc.constrained_langevin import ConstrainedLangevin
from implicit_manifolds.mcmc.outcome import Reason

CONCENTRATION, RADIUS, TUBE = 2.0, 3.0, 1.0
CHAINS, STEPS = 50_000, 200

# Kolmogorov–Smirnov at 50,000 independent chains: P(D > 0.01) = 2 exp(-2 n D²) = 9e-5 for each angle under the
# exact law, and the discretisation (α = ε² = 0.01) adds about 1e-3 to D.
LARGEST = 0.01


def _linear(slope, x):
    return jnp.vdot(slope, x)


def _stretch(factors, x):
    return factors * x


@jax.jit
def final(sampler, key, positions):
    states, info = advance(key, sampler, initial_states(sampler, positions), STEPS)
    return states.position, info, jax.vmap(sampler.mdf)(states.position)


def finish(sampler, positions):
    position, info, residual = final(sampler, jax.random.key(0), jnp.asarray(positions, jnp.float32))
    return np.asarray(position, np.float64), info, np.abs(residual).max()


def uniform_torus_angles(count):
    """Ring angles uniform, tube angles with density ∝ R + r cos ψ, by rejection."""
    rng = np.random.default_rng(1)
    proposals = rng.uniform(-np.pi, np.pi, size=4 * count)
    height = rng.uniform(0, RADIUS + TUBE, size=4 * count)
    tube = proposals[height < RADIUS + TUBE * np.cos(proposals)][:count]
    assert len(tube) == count
    return rng.uniform(-np.pi, np.pi, size=count), tube


def tube_law(angle):
    return (angle + np.pi) / (2 * np.pi) + TUBE * np.sin(angle) / (2 * np.pi * RADIUS)


def ring_law(angle):
    return (angle + np.pi) / (2 * np.pi)


@functools.cache
def von_mises(noise_scale=0.1, drift_scale=None, start_concentration=CONCENTRATION, chains=CHAINS):
    angle = np.random.default_rng(0).vonmises(0.0, start_concentration, size=chains)
    energy = Partial(_linear, jnp.asarray([-CONCENTRATION, 0.0]))
    sampler = ConstrainedLangevin(sphere(1.0), energy, noise_scale, drift_scale)
    position, info, residual = finish(sampler, np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return np.arctan2(position[:, 1], position[:, 0]), info, residual


@functools.cache
def uniform_torus(stretch=1.0, chains=CHAINS):
    """Final ring and tube angles; `stretch` runs the chain on the torus seen with its third axis in other units."""
    positions = np.asarray(torus_point(*uniform_torus_angles(chains), RADIUS, TUBE)) / [1, 1, stretch]
    seen = torus(RADIUS, TUBE) if stretch == 1 else pull_back(torus(), Partial(_stretch, jnp.asarray([1, 1, stretch])))
    sampler = ConstrainedLangevin(seen, Partial(_linear, jnp.zeros(3)), 0.1)
    position, info, residual = finish(sampler, positions)
    x, y, z = (position * [1, 1, stretch]).T
    return np.arctan2(y, x), np.arctan2(z, np.hypot(x, y) - RADIUS), info, residual


def distance(angles, law):
    return scipy.stats.kstest(angles, law).statistic


def test_on_the_circle_the_law_stays_von_mises():
    angle, info, residual = von_mises()
    assert distance(angle, scipy.stats.vonmises(CONCENTRATION).cdf) <= LARGEST
    assert residual <= 1e-5
    assert (info.reason[:, Reason.ACCEPTED] == STEPS).all()


def test_on_the_torus_the_law_stays_uniform_in_area():
    ring, tube, info, _ = uniform_torus()
    assert distance(ring, ring_law) <= LARGEST
    assert distance(tube, tube_law) <= LARGEST
    assert (info.reason[:, Reason.ACCEPTED] == STEPS).all()


def test_on_the_torus_every_chain_ends_within_a_hundred_thousandth():
    assert uniform_torus()[-1] <= 1e-5


def test_another_ratio_of_step_size_to_noise_targets_the_tempered_law_and_would_be_noticed():
    # ε scaled by 1.2 and α left alone: the law is exp(-(α/ε²) E), von Mises with κ = 2 / 1.44. At 20,000 chains
    # P(D > 0.016) = 2 exp(-2 n D²) = 7e-5; against κ = 2 the distance is 0.05.
    tempered = CONCENTRATION / 1.2**2
    angle, _, _ = von_mises(0.12, 0.01, tempered, chains=20_000)
    assert distance(angle, scipy.stats.vonmises(tempered).cdf) <= 0.016
    assert distance(angle, scipy.stats.vonmises(CONCENTRATION).cdf) > 3 * LARGEST


def test_noise_scaled_without_the_energy_is_noticed_from_the_exact_start():
    angle, _, _ = von_mises(0.12, 0.01, chains=20_000)
    assert distance(angle, scipy.stats.vonmises(CONCENTRATION).cdf) > 3 * LARGEST


def test_a_wrong_metric_on_the_torus_is_noticed_from_the_exact_start():
    # Uniform in the area of a torus flattened by 2 is another law of the tube angle.
    _, tube, _, _ = uniform_torus(2.0, chains=20_000)
    assert distance(tube, tube_law) > 3 * LARGEST
