"""Models come back from disk as they went, whatever they are made of, and those of version 0.1.0 still do."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from implicit_manifolds import EBIM, Box, InputError, Manifold, load, log_density, nearest_points, sample, save
from implicit_manifolds.ebim.kernels import KernelEnergy
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.networks.energy import FourierEnergy
from implicit_manifolds.networks.mixtures import EnergyMixture, PiecewiseMixture
from implicit_manifolds.networks.mlp import MLP, EnergyMLP
from implicit_manifolds.pieces import Pieces
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.manifold import Atlas
from implicit_manifolds.volumes.pools import Estimate

OLD = Path(__file__).parents[1] / "data" / "model-0.1.0"
BEFORE = Path(__file__).parents[1] / "data" / "model-0.2.0"
"""Made by versions 0.1.0 and 0.2.0: a circle of radius 3 about (10, 0), hidden widths of 8."""


def members():
    one = FourierEnergy(3, (5, 7), 3, (0.5, 1.0, 2.0), rngs=nnx.Rngs(1))
    return jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 1]), one)


ENERGIES = {
    "perceptron": EnergyMLP([3, 6, 4], rngs=nnx.Rngs(0)),
    "normalised perceptron": EnergyMLP([3, 6], spectral_norm=True, rngs=nnx.Rngs(0)),
    "networks": EnergyMixture(members(), None, jnp.asarray([0.1, 0.2])),
    "with kernels": EnergyMixture(
        members(), KernelEnergy(jnp.ones((7, 3)), jnp.full((4, 7), 0.3), jnp.full(4, 0.25), 2), jnp.arange(3.0)
    ),
    "by parts": PiecewiseMixture(members(), jnp.eye(3), jnp.asarray([0, 1, 1]), jnp.arange(4.0).reshape(2, 2)),
    "one network": FourierEnergy(3, (5,), 3, (0.5, 1.0, 2.0), rngs=nnx.Rngs(2)),
}


def model_of(energy, mdf, charted=True):
    random = np.random.default_rng(0)
    normals = random.normal(size=(6, 1, 3)).astype(np.float32)
    atlas = Atlas(random.normal(size=(6, 3)).astype(np.float32), normals, np.ones(6), np.full(6, 0.125), 0.25, 0.5)
    manifold = Manifold(mdf, Box(-jnp.ones(3), jnp.ones(3)), jnp.ones((4, 3))).charted(atlas if charted else None)
    scales = ChainScales(0.125, 0.5 if charted else None)
    scaling = Scaling(np.arange(3.0), 2.0 if charted else np.array([2.0, 3.0, 4.0]))
    return EBIM(manifold, energy, scaling, scales, Estimate(0.25, 0.125) if charted else None)


@pytest.mark.parametrize("name", ENERGIES)
def test_a_model_of_any_widths_is_loaded_as_it_was_saved(name, tmp_path):
    model = model_of(ENERGIES[name], MLP([3, 16, 1], rngs=nnx.Rngs(3)), charted=name != "perceptron")
    save(str(tmp_path / "model"), model)
    loaded = load(str(tmp_path / "model"))
    assert jax.tree.structure(loaded) == jax.tree.structure(model)
    for before, after in zip(jax.tree.leaves(model), jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(before, after)
    x = jnp.asarray([0.1, -0.4, 0.7])
    assert float(loaded.energy(x)) == float(model.energy(x))
    assert float(loaded.manifold.mdf(x)[0]) == float(model.manifold.mdf(x)[0])


def test_a_model_of_parts_is_loaded_as_it_was_saved(tmp_path):
    many = np.arange(6.0).reshape(2, 3)
    parts = Pieces(Scaling(np.ones(3), 3.0), many, np.array([1.0, 2.0]), many + 1, many + 2, many + 3)
    model = replace(model_of(ENERGIES["perceptron"], MLP([3, 8, 1], rngs=nnx.Rngs(3))), scaling=parts)
    save(tmp_path / "model", model)
    loaded = load(tmp_path / "model")
    for before, after in zip(jax.tree.leaves(model), jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(before, after)
    assert isinstance(loaded.scaling, Pieces)


def test_a_model_directory_of_the_first_version_still_loads():
    model = load(OLD)
    assert model.manifold.atlas is not None
    # What version 0.1.0 itself said of the same directory, in float32.
    points = [[13.0, 0.5], [7.2, 0.1]]
    np.testing.assert_allclose(log_density(model, points).log_density, [-2.10442902, -5.16179909], atol=2e-4)
    nearest = [[12.95961368, 0.49319892], [7.07522226, 0.10509526]]
    np.testing.assert_allclose(nearest_points(model, points).points, nearest, atol=1e-4)
    assert sample(jax.random.key(0), model, 5).on_manifold.all()


def test_a_model_directory_of_version_0_2_0_still_loads():
    model, points = load(BEFORE), [[13.0, 0.5], [7.2, 0.1]]
    np.testing.assert_allclose(log_density(model, points).log_density, [-2.98421288, -3.11893845], atol=2e-4)
    nearest = [[12.96011955, 0.49333336], [7.0019139, 0.10691639]]
    np.testing.assert_allclose(nearest_points(model, points).points, nearest, atol=1e-4)


def test_a_newer_format_and_a_damaged_directory_are_told_apart(tmp_path):
    for name, change in (("newer", {"format": 99}), ("damaged", {"charts": 3})):
        shutil.copytree(OLD, tmp_path / name)
        described = json.loads((OLD / "model.json").read_text()) | change
        (tmp_path / name / "model.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="format 99"):
        load(tmp_path / "newer")
    with pytest.raises(InputError, match="damaged"):
        load(tmp_path / "damaged")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    save(path, model_of(ENERGIES["with kernels"], MLP([3, 16, 1], rngs=nnx.Rngs(3))))
    return path


def test_any_file_of_a_model_that_is_cut_short_or_has_a_bit_flipped_is_refused_in_a_sentence(saved, tmp_path):
    random = np.random.default_rng(0)
    for number, file in enumerate(sorted(path for path in saved.rglob("*") if path.is_file() and path.stat().st_size)):
        for damage in ("cut", "flipped"):
            copy = tmp_path / f"{number}-{damage}"
            shutil.copytree(saved, copy)
            content = bytearray(file.read_bytes())
            content[random.integers(len(content))] ^= 1 << random.integers(8)
            whole = content if damage == "flipped" else content[: len(content) // 2]
            (copy / file.relative_to(saved)).write_bytes(bytes(whole))
            with pytest.raises(InputError, match=r"is damaged \(.*\); fit the model again$|is not a model directory"):
                load(copy)
