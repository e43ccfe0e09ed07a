"""Image runs in pieces, with the networks of the paper: they go on, say what is left, and have small checkpoints."""

import json
from dataclasses import replace
from typing import get_args

import jax
import numpy as np
import pytest

from experiments.images import pieces
from experiments.images.files import kept
from experiments.images.models import Model
from experiments.images.networks import constraints, image_energy, pair
from experiments.images.run import ImageOptions
from experiments.images.scales import SETTINGS, settings_of


@pytest.mark.slow
@pytest.mark.parametrize("model", ["im", "ebim"])
def test_the_networks_of_the_paper_run_in_pieces_that_say_what_is_left(model, tmp_path, capsys):
    options = pieces.PieceOptions(("mnist",), (model,), "dry", out=tmp_path, checkpoints=tmp_path / "saved")
    assert len(pieces.run_piece(replace(options, minutes=0.0))) == 1
    assert "manifold 4 of 4 updates" in capsys.readouterr().out
    assert pieces.run_piece(options) == []
    assert "0 of 1 runs left" in capsys.readouterr().out
    assert json.loads((tmp_path / f"mnist-{model}-dry-seed0.json").read_text())["samples"] == 8
    assert pieces.carried(ImageOptions("mnist", model, "dry", checkpoints=options.checkpoints)) < 100e6


def test_every_training_of_a_model_is_named_among_its_pieces():
    assert set(pieces.TRAININGS) == set(get_args(Model))
    for trainings in pieces.TRAININGS.values():
        assert all(hasattr(SETTINGS["paper"], name) for name in trainings.values())


@pytest.mark.parametrize("data", ["mnist", "cifar10"])
def test_checkpoints_at_the_scale_of_the_paper_are_small(data):
    settings, key = settings_of(data, "paper"), jax.random.key(0)
    numbers = lambda networks: sum(leaf.size for leaf in jax.tree.leaves(networks))
    buffer = settings.energy.buffer_size * settings.pixels
    autoencoder = numbers(pair(key, settings, 2 * settings.latent))
    # Each parameter has two moments; all in four bytes.
    sizes = [
        3 * numbers(constraints(key, settings)),
        3 * numbers(image_energy(key, settings)) + buffer,
        3 * autoencoder,
    ]
    assert max(sizes) * 4 < 40e6


def test_work_is_kept_once_it_is_whole(tmp_path):
    directory, made = tmp_path / "new", []

    def stopped():
        raise KeyboardInterrupt

    def make():
        made.append(len(made))
        return {"rows": np.full((2, 3), len(made))}

    with pytest.raises(KeyboardInterrupt):
        kept(directory, "few/0", stopped)
    first, again = (kept(directory, "few/0", make) for _ in range(2))
    np.testing.assert_array_equal(first["rows"], np.ones((2, 3)))
    assert first.keys() == again.keys() == {"rows", "seconds"}
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)
    kept(None, "few/0", make)
    assert len(made) == 2
    assert list(directory.rglob("*.npz")) == [directory / "few" / "0.npz"]
