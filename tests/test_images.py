"""The image experiments at their smallest: all models train, sample and are judged; a stopped run goes on as it was."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from experiments import image_arithmetic, image_ood, image_tables, images
from experiments.image_models import Model
from implicit_manifolds import InputError
from implicit_manifolds.training import checkpoint


@pytest.fixture(scope="module", autouse=True)
def _offline_data():
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPLICIT_MANIFOLDS_DATA", os.environ.get("IMPLICIT_MANIFOLDS_DATA", str(beside)))
        yield


@pytest.fixture(scope="module")
def ebim(tmp_path_factory):
    """Options and metrics of a whole run."""
    options = images.ImageOptions(scale="smoke", out=tmp_path_factory.mktemp("ebim"))
    return options, images.run_images(options)


def check(options, metrics):
    assert json.loads((options.out / f"{images.stem(options)}.json").read_text()) == metrics
    start, end = metrics["manifold_data" if "manifold_data" in metrics else "autoencoder_loss"]
    assert end < start
    assert np.isfinite(metrics["frechet_lenet"])
    assert 0 < metrics["precision"] <= 1
    with pytest.raises(InputError, match="--replace"):
        images.run_images(options)


def check_manifold(metrics):
    assert metrics["residual_max"] < 2e-3
    assert metrics["test_distance"] < 5
    assert metrics["singular_values"]["least"] > 0.3
    assert metrics["singular_values"]["median"] == pytest.approx(1, abs=0.05)
    assert metrics["test_lost"] == metrics["starts_lost"] == 0


def test_an_ebim_trains_samples_and_is_judged(ebim):
    options, metrics = ebim
    check(options, metrics)
    check_manifold(metrics)
    assert metrics["accepted"] > 0.95
    assert metrics["not_converged"] < 0.05


@pytest.mark.parametrize("model", [name for name in get_args(Model) if name != "ebim"])
def test_every_other_model_does(model, tmp_path):
    options = images.ImageOptions(model=model, scale="smoke", out=tmp_path)
    metrics = images.run_images(options)
    check(options, metrics)
    if model in ("im", "ebim_score_matching"):
        check_manifold(metrics)


def parameters(options):
    with np.load(options.out / f"{images.stem(options)}.npz") as arrays:
        return dict(arrays)


def test_a_run_stopped_in_the_midst_of_its_energy_ends_as_if_it_never_was(ebim, tmp_path, monkeypatch):
    options, _ = ebim
    resumed = replace(options, out=tmp_path / "resumed", checkpoints=tmp_path / "checkpoints")
    save = checkpoint.save

    def save_once(directory, done, state, rows):
        save(directory, done, state, rows)
        if directory.name == "energy":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_once)
        with pytest.raises(KeyboardInterrupt):
            images.run_images(resumed)
    images.run_images(resumed)
    expected, found = parameters(options), parameters(resumed)
    assert set(expected) == set(found)
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name], err_msg=name)


def test_images_that_do_not_belong_are_told_by_a_trained_model(ebim):
    options, _ = ebim
    table = image_ood.run_ood(image_ood.OodOptions("mnist", "smoke", 0, options.out, count=100))
    assert set(table) == {"fashion_mnist", "turned", "noisy"}
    assert table["fashion_mnist"]["distance"] > 0.8
    assert all(0 <= value <= 1 for row in table.values() for value in row.values())
    with pytest.raises(InputError, match=r"experiments\.images"):
        image_ood.run_ood(image_ood.OodOptions("mnist", "smoke", 7, options.out))


def test_unions_and_intersections_of_digit_manifolds_are_sampled_and_their_residuals_reported(tmp_path):
    options = image_arithmetic.ArithmeticOptions("smoke", 0, tmp_path, samples=50)
    metrics = image_arithmetic.run_arithmetic(options)
    for name in ("1 and 4", "4 and 7", "union", "intersection"):
        assert sum(metrics[name]["digits"]) == pytest.approx(1)
    # On their own manifold chains reach its zeros; on both at once they cannot.
    assert metrics["1 and 4"]["residual"]["1 and 4"] < 0.5
    assert metrics["intersection"]["residual"]["1 and 4"] < metrics["4 and 7"]["residual"]["1 and 4"]
    assert (tmp_path / "arithmetic-smoke-seed0.png").exists()


def test_the_tables_take_medians_over_seeds_and_show_spectra_of_manifolds_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- geometry: x -->\n<!-- end of geometry -->\n<!-- samples: x -->\n<!-- end of samples -->\n")
    run = {"data": "mnist", "scale": "reduced", "precision": 0.5, "recall": 0.25, "train_distance": 2.0}
    spectrum = {"least": 0.3, "5%": 0.9, "median": 1.0, "95%": 1.1, "largest": 1.2}
    for seed, distance in enumerate([3.0, 1.0, 2.0]):
        more = {"model": "ebim", "seed": seed, "frechet_lenet": distance, "singular_values": spectrum}
        (tmp_path / f"mnist-ebim-reduced-seed{seed}.json").write_text(json.dumps(run | more))
    rival = run | {"model": "nae", "seed": 0, "frechet_lenet": 9.0}
    (tmp_path / "mnist-nae-reduced-seed0.json").write_text(json.dumps(rival))
    image_tables.write_tables(image_tables.ImageTableOptions(tmp_path, page))
    geometry, samples = page.read_text().split("<!-- end of geometry -->")
    assert "| mnist | reduced | EBIM | 3 | 0.30 | 0.90 | 1.00 | 1.20 | 2.00 |" in geometry
    assert "normalised" not in geometry
    assert "| mnist | reduced | EBIM | 3 | 2.0 | 0.50 | 0.25 | - |" in samples
    assert "| mnist | reduced | normalised autoencoder | 1 | 9.0 |" in samples
