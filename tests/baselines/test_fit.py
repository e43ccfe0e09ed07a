from dataclasses import replace

import jax
import numpy as np
import pytest

from implicit_manifolds import EnergyConfig, InputError, LikelihoodConfig
from implicit_manifolds.baselines.autoencoder_ebm import AutoencoderConfig, fit_ambient_ebm, fit_autoencoder_ebm
from implicit_manifolds.baselines.flows import FlowConfig, fit_ambient_flow, fit_inflated_flow, fit_manifold_flow
from implicit_manifolds.baselines.free_form_flow import FreeFormConfig, fit_free_form_flow
from implicit_manifolds.baselines.latent_energy import LatentEnergyConfig
from implicit_manifolds.baselines.model import log_density, reconstruct, sample
from implicit_manifolds.baselines.normalized_autoencoder import NormalizedAutoencoderConfig, fit_normalized_autoencoder

SPREAD = 0.4
RADIUS = 5.0
ENTROPY = 0.5 * np.log(2 * np.pi * np.e * (RADIUS * SPREAD) ** 2)
"""Of the arc's length, where angles are normal with this spread."""


def arc(seed, count):
    """Points of an arc of a circle, normal in the angle: a curve that any decoder can be."""
    angle = np.random.default_rng(seed).normal(np.pi / 2, SPREAD, count)
    return 20.0 + RADIUS * np.column_stack([np.cos(angle), np.sin(angle)])


TRAIN, TEST = arc(0, 2000), arc(1, 2000)
NETWORKS = AutoencoderConfig(hidden=(32, 32), num_steps=2000)
FLOW = FlowConfig(layers=3, inner_layers=2, bins=6, width=24, num_steps=1000, learning_rate=0.005)
LIKELIHOOD = LatentEnergyConfig(LikelihoodConfig(num_steps=300, members=2, held_out=2000, kernel=False))
CONTRASTIVE = LatentEnergyConfig(contrastive=EnergyConfig(num_steps=1500, square_weight=0.01), loss="contrastive")
FREE = FreeFormConfig(width=48, blocks=2, num_steps=3000, learning_rate=0.003)
FITS = {
    "autoencoder": lambda key: fit_autoencoder_ebm(key, TRAIN, 1, NETWORKS, LIKELIHOOD),
    "variational": lambda key: fit_autoencoder_ebm(
        key, TRAIN, 1, AutoencoderConfig(hidden=(32, 32), num_steps=2000, kl_weight=1e-4), LIKELIHOOD
    ),
    "M-flow": lambda key: fit_manifold_flow(key, TRAIN, 1, FLOW),
    "M-flow, sequential, own encoder": lambda key: fit_manifold_flow(
        key, TRAIN, 1, replace(FLOW, schedule="sequential", encoder=True)
    ),
    "free form": lambda key: fit_free_form_flow(key, TRAIN, 1, FREE),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FITS)
def test_each_pushforward_model_reaches_the_entropy_of_an_arc_and_stays_on_it(name):
    found = FITS[name](jax.random.key(0))
    density = log_density(found.model, TEST)
    # The mean over 2,000 points of -log p has standard error .016; what is left is what a short fit lacks.
    assert -density.log_density.mean() == pytest.approx(ENTROPY, abs=0.1)
    assert reconstruct(found.model, TEST).distance.mean() < 0.02 * RADIUS
    drawn = sample(jax.random.key(1), found.model, 2000)
    radii = np.linalg.norm(drawn - 20.0, axis=1)
    assert np.median(np.abs(radii - RADIUS)) < 0.02 * RADIUS
    angles = np.arctan2(drawn[:, 1] - 20.0, drawn[:, 0] - 20.0)
    assert abs(angles.mean() - np.pi / 2) < 0.06
    assert angles.std() == pytest.approx(SPREAD, rel=0.15)
    if name in ("autoencoder", "variational"):
        codes = np.asarray(jax.vmap(found.model.autoencoder.encode)(found.model.scaling.standardize(TRAIN)))
        assert np.sqrt((codes**2).mean()) == pytest.approx(1.0, abs=1e-3)
    for history in found.histories.values():
        assert history.terms["loss"][-1] < history.terms["loss"][0]


@pytest.mark.slow
def test_an_inflated_flow_has_the_entropy_of_noisy_points_and_samples_without_the_noise():
    noise = 0.1
    random = np.random.default_rng(2)
    noisy = [points + noise * random.normal(size=points.shape) for points in (TRAIN, TEST)]
    model = fit_inflated_flow(jax.random.key(0), noisy[0], 1, replace(FLOW, inflation=0.05)).model
    # Nearly: noise across the arc adds its own entropy, noise along it next to nothing.
    entropy = ENTROPY + 0.5 * np.log(2 * np.pi * np.e * noise**2)
    assert -log_density(model, noisy[1]).log_density.mean() == pytest.approx(entropy, abs=0.1)
    radii = np.linalg.norm(sample(jax.random.key(1), model, 1000) - 20.0, axis=1)
    assert np.abs(radii - RADIUS).mean() < noise / 2


@pytest.mark.slow
def test_a_normalised_autoencoder_puts_its_density_on_the_arc_and_knows_what_is_off_it():
    config = NormalizedAutoencoderConfig(num_steps=500, langevin_steps=5, latent_steps=5, buffer_size=1000)
    model = fit_normalized_autoencoder(
        jax.random.key(0), TRAIN, 1, config, AutoencoderConfig(hidden=(32, 32), num_steps=1000)
    ).model
    drawn = sample(jax.random.key(1), model, 500)
    thickness = (config.temperature / 2) ** 0.5 * float(model.scaling.scale)
    assert np.median(np.abs(np.linalg.norm(drawn - 20.0, axis=1) - RADIUS)) < 2 * thickness
    off = 20.0 + (TEST - 20.0) * 1.2
    gap = log_density(model, TEST).log_density.mean() - log_density(model, off).log_density.mean()
    # At 0.2 RADIUS from the arc the energy is the square of that in standard units over the temperature.
    expected = (0.2 * RADIUS / float(model.scaling.scale)) ** 2 / config.temperature
    assert gap == pytest.approx(expected, rel=0.5)


def gaussian(seed, count):
    return np.random.default_rng(seed).normal([3.0, -1.0], [2.0, 0.5], (count, 2))


def ambient(name, key):
    if name == "flow":
        return fit_ambient_flow(key, gaussian(0, 2000), FLOW)
    return fit_ambient_ebm(key, gaussian(0, 2000), LIKELIHOOD if name == "likelihood" else CONTRASTIVE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flow", "likelihood", "contrastive"])
def test_ambient_models_reach_the_entropy_of_a_normal_law(name):
    model = ambient(name, jax.random.key(0)).model
    entropy = np.log(2 * np.pi * np.e * 2.0 * 0.5)
    density = log_density(model, gaussian(1, 2000)).log_density
    inside = np.isfinite(density)  # a model of a box gives nothing to the odd point outside
    assert inside.mean() > 0.99
    # Short chains and the energy penalty keep contrastive divergence from the law itself.
    slack = 3 if name == "contrastive" else 1
    assert -density[inside].mean() == pytest.approx(entropy, abs=slack * 0.1)
    drawn = sample(jax.random.key(1), model, 2000)
    np.testing.assert_allclose(drawn.mean(axis=0), [3.0, -1.0], atol=0.5 if name == "contrastive" else 0.25)
    np.testing.assert_allclose(drawn.std(axis=0), [2.0, 0.5], rtol=slack * 0.15)


@pytest.mark.slow
def test_a_flow_of_a_context_learns_how_the_law_depends_on_it():
    random = np.random.default_rng(0)
    contexts = random.uniform(-1, 1, (3000, 1))
    points = np.concatenate([random.normal(2 * contexts, 0.3), random.normal(0, 1, (3000, 1))], axis=1)
    model = fit_ambient_flow(jax.random.key(0), points, FLOW, contexts).model
    for context in (-0.7, 0.7):
        drawn = sample(jax.random.key(1), model, 2000, np.array([context]))
        np.testing.assert_allclose(drawn.mean(axis=0), [2 * context, 0.0], atol=0.12)
        assert drawn[:, 0].std() == pytest.approx(0.3, rel=0.25)


def test_as_many_codes_as_coordinates_are_refused():
    with pytest.raises(InputError, match="codimension 0"):
        fit_autoencoder_ebm(jax.random.key(0), TRAIN, 2)


@pytest.mark.slow
def test_a_flow_trained_by_transport_has_the_law_of_the_arc():
    config = replace(FLOW, schedule="transport", batch_size=200, num_steps=300)
    found = fit_manifold_flow(jax.random.key(0), TRAIN, 1, config)
    drawn = sample(jax.random.key(1), found.model, 2000) - 20.0
    angles = np.arctan2(drawn[:, 1], drawn[:, 0])
    assert np.abs(np.linalg.norm(drawn, axis=1) - RADIUS).mean() < 0.03 * RADIUS
    assert abs(angles.mean() - np.pi / 2) < 0.06
    assert angles.std() == pytest.approx(SPREAD, rel=0.15)
