"""Models come back from disk as they went, whatever their energy is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from implicit_manifolds import EBIM, FitConfig, LikelihoodConfig, ScoreMatchingConfig, load, save
from implicit_manifolds.ebim.kernels import KernelEnergy
from implicit_manifolds.networks.energy import FourierEnergy
from implicit_manifolds.networks.mixtures import EnergyMixture, PiecewiseMixture
from implicit_manifolds.networks.mlp import MLP, EnergyMLP
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volume.atlas import Atlas
from implicit_manifolds.volume.importance import LogNormalizer

CONFIG = FitConfig(
    likelihood=LikelihoodConfig(hidden=(5,), features=3, members=2),
    score_matching=ScoreMatchingConfig(hidden=(5,), features=3, members=2),
)


def members():
    one = FourierEnergy(3, (5,), 3, (0.5, 1.0, 2.0), rngs=nnx.Rngs(1))
    return jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 1]), one)


ENERGIES = {
    "perceptron": EnergyMLP([3, *CONFIG.energy.hidden], rngs=nnx.Rngs(0)),
    "networks": EnergyMixture(members(), None, jnp.asarray([0.1, 0.2])),
    "with kernels": EnergyMixture(
        members(), KernelEnergy(jnp.ones((7, 3)), jnp.full((4, 7), 0.3), jnp.full(4, 0.25), 2), jnp.arange(3.0)
    ),
    "by parts": PiecewiseMixture(members(), jnp.eye(3), jnp.asarray([0, 1, 1]), jnp.arange(4.0).reshape(2, 2)),
    "one network": FourierEnergy(3, (5,), 3, (0.5, 1.0, 2.0), rngs=nnx.Rngs(2)),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_a_model_is_loaded_as_it_was_saved(name, tmp_path):
    charted = name != "perceptron"
    random = np.random.default_rng(0)
    normals = random.normal(size=(6, 1, 3)).astype(np.float32)
    atlas = Atlas(random.normal(size=(6, 3)).astype(np.float32), normals, np.ones(6), np.full(6, 0.125), 0.25, 0.5)
    model = EBIM(
        MLP([3, *CONFIG.manifold.hidden, 1], rngs=nnx.Rngs(3)),
        ENERGIES[name],
        Scaling(np.arange(3.0), 2.0),
        -jnp.ones(3),
        jnp.ones(3),
        jnp.ones((4, 3)),
        0.125,
        None,
        atlas if charted else None,
        LogNormalizer(0.25, 0.125) if charted else None,
    )
    save(tmp_path / "model", model, CONFIG)
    loaded = load(tmp_path / "model")
    assert jax.tree.structure(loaded) == jax.tree.structure(model)
    for before, after in zip(jax.tree.leaves(model), jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(before, after)
    x = jnp.asarray([0.1, -0.4, 0.7])
    assert float(loaded.energy(x)) == float(model.energy(x))
