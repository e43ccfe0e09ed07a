"""Words that must be one of a few are checked where they are set: another would give another law, silently."""

import dataclasses
from functools import partial
from typing import Literal

import jax
import jaxtyping
import pytest

from implicit_manifolds import (
    EnergyConfig,
    FitConfig,
    InputError,
    LikelihoodConfig,
    ManifoldConfig,
    baselines,
    fit,
    sample,
)
from implicit_manifolds.choices import Choices, check_choice
from implicit_manifolds.datasets.earth import load_earth
from implicit_manifolds.datasets.images import load_images
from implicit_manifolds.ebim.manifold_loss import residual_norm
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import ConstrainedHMC, GeodesicLangevin

FLAT = jax.tree_util.Partial(lambda x: 0.0 * x[0])
MISSPELT = {
    "measure of HMC": partial(ConstrainedHMC, sphere(), FLAT, measure="Ambient"),
    "measure of geodesic Langevin": partial(GeodesicLangevin, sphere(), FLAT, measure="volume"),
    "energy_loss": partial(FitConfig, energy_loss="Contrastive"),
    "norm": partial(ManifoldConfig, norm="L2"),
    "negative_norm": partial(ManifoldConfig, negative_norm="squared"),
    "solver": partial(EnergyConfig, solver="quasi_newton"),
    "loss of latents": partial(baselines.LatentEnergyConfig, loss="score-matching"),
    "schedule": partial(baselines.FlowConfig, schedule="together"),
    "kind of norm": partial(residual_norm, jax.numpy.ones(2), "L1"),
    "earth": partial(load_earth, "floods"),
    "images": partial(load_images, "cifar100"),
    "part of the images": partial(load_images, "mnist", "validation"),
    "method": partial(sample, jax.random.key(0), None, 1, method="chain"),
}


@pytest.fixture(autouse=True)
def _unchecked_types():
    """As for a user: no type is checked at run time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_choice_is_refused_with_all_that_is_allowed(name):
    with pytest.raises(InputError, match=r"is '\S+'; it must be one of '"):
        MISSPELT[name]()


def test_the_sentence_lists_what_is_allowed():
    with pytest.raises(InputError, match=r"measure is 'Ambient'; it must be one of 'hausdorff', 'ambient'$"):
        ConstrainedHMC(sphere(), FLAT, measure="Ambient")
    with pytest.raises(InputError, match=r"method is 'chain'; it must be one of 'importance', 'chains'$"):
        check_choice("method", "chain", Literal["importance", "chains"])


def test_nothing_chosen_and_copies_with_other_fields_are_taken():
    assert FitConfig().energy_loss is None
    sampler = ConstrainedHMC(sphere(), FLAT, measure="ambient")
    assert dataclasses.replace(sampler, step_size=0.5).measure == "ambient"
    leaves, structure = jax.tree.flatten(sampler)
    assert jax.tree.unflatten(structure, leaves).measure == "ambient"
    assert issubclass(FitConfig, Choices)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (partial(ManifoldConfig, restarts=0), "restarts is 0; it must be a finite number of at least 1"),
        (partial(LikelihoodConfig, members=1), "members is 1; it must be at least 2"),
        (partial(ManifoldConfig, num_steps=0), "num_steps is 0"),
        (partial(ManifoldConfig, hidden=(8, 0)), "hidden is 0"),
        (partial(EnergyConfig, learning_rate=float("nan")), "learning_rate is nan"),
        (partial(FitConfig, box_margin=-1), "box_margin is -1; it must be a finite number of at least 0"),
        (partial(fit, 0, [[1, 2], [3, 4]], 1), "the key is 0; give a random key of JAX"),
        (partial(sample, jax.random.key(0), None, 0), "number of points and of steps must be at least 1"),
        (partial(fit, jax.random.key(0), [["a", "b"]]), "no table of numbers"),
    ],
)
def test_numbers_and_keys_that_cannot_be_meant_are_refused_where_they_are_given(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_counts_that_may_be_zero_and_whole_numbers_for_lengths_are_taken():
    assert ManifoldConfig(warmup_steps=0).warmup_steps == 0
    assert FitConfig(box_margin=0).box_margin == 0
