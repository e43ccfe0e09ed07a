"""Denoisers of images: spectra and samples against those of a normal law, dimensions of a torus, a whole run."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.images import denoiser_tables, denoisers, diffusion
from experiments.images.dimensions import NEIGHBOURS, likelihood_estimates
from experiments.images.noise import normal_noise
from implicit_manifolds.errors import Paused
from implicit_manifolds.manifold import DenoiserManifold
from implicit_manifolds.networks.denoiser import start_as_normal_law
from implicit_manifolds.training.pause import stopping_after

DEVIATIONS = np.array([2.0, 1.0, 0.5, 0.2, 0.1, 0.1])


@pytest.fixture(scope="module")
def normal():
    points = (1 + np.random.default_rng(0).normal(size=(20_000, 6)) * DEVIATIONS).astype(np.float32)
    return points, start_as_normal_law(points, (4,), 5, rngs=nnx.Rngs(0))


def test_spectra_and_samples_of_a_normal_laws_denoiser_are_its_own(normal):
    points, denoiser = normal
    values, asymmetry = diffusion.spectra(denoiser, points[:3], 0.3)
    np.testing.assert_allclose(values, np.tile(DEVIATIONS**2 / (DEVIATIONS**2 + 0.09), (3, 1)), atol=0.02)
    assert asymmetry.max() < 1e-5
    assert diffusion.local_dimensions(values).tolist() == [3, 3, 3]
    ends = diffusion.fallen(jax.random.key(0), denoiser, normal_noise(points), 20_000, 0.3)
    # Standard errors of a mean are a 140th of a deviation, of a deviation a 200th.
    np.testing.assert_allclose(ends.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(ends.std(axis=0), np.hypot(DEVIATIONS, 0.3), rtol=0.03)


def test_the_energy_of_chains_has_the_slope_of_the_denoisers_own_density(normal):
    _, denoiser = normal
    ridge = DenoiserManifold(denoiser, 2, 0.3)
    x = jnp.array([1.0, 2.0, 0.5, 1.2, 1.0, 1.1])
    slope = jax.grad(denoisers.own_energy, argnums=1)(ridge, x)
    exact = (x - 1) / (DEVIATIONS**2 + 0.09)
    np.testing.assert_allclose(slope, exact, atol=0.15)  # the moments are those of 20,000 points


def test_likelihood_tells_the_dimension_of_a_torus_among_copies():
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, (4000, 3))
    torus = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    found = likelihood_estimates(np.concatenate([torus, torus[:1], torus[:1]]))
    assert found.keys() == set(NEIGHBOURS)
    assert max(abs(value - 3) for value in found.values()) < 0.2


@pytest.mark.slow
def test_a_denoiser_of_digits_is_trained_judged_and_put_into_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(denoisers, "SIGMAS", (0.5,))
    monkeypatch.setattr(denoisers, "PROJECTED", 20)
    monkeypatch.setattr(denoisers, "LENGTHS", (0, 2))
    options = denoisers.DenoiserOptions(scale="smoke", updates=1000, out=tmp_path)
    metrics = denoisers.run_denoisers(options)
    assert json.loads(denoisers.path_of(options).read_text()) == metrics
    assert metrics["loss"] < 1
    assert all(0 <= value <= 1 for scores in metrics["auc"].values() for value in scores.values())
    assert metrics["auc"]["noisy"]["-log p"] > 0.9
    assert metrics["rows"][0]["dimension"] == 16
    for table in (denoiser_tables.denoisers_table, denoiser_tables.denoiser_detection_table):
        assert table(tmp_path).count("| mnist |") >= 2


def test_a_denoisers_training_goes_on_to_the_same_bits(normal, tmp_path):
    fit = lambda folder: diffusion.fit_denoiser(
        jax.random.key(0), normal[0], (8,), (0.1, 1.0), 200, checkpoint_dir=folder
    )
    with stopping_after(0), pytest.raises(Paused):
        fit(tmp_path)
    for part, whole in zip(*(jax.tree.leaves(fit(folder)[0]) for folder in (tmp_path, None)), strict=True):
        np.testing.assert_array_equal(part, whole)
