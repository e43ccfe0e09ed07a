"""The image experiments at their smallest: all models train, sample and are judged; a stopped run goes on as it was."""

import json
from dataclasses import replace
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.images import (
    arithmetic,
    chains,
    denoisers,
    detection,
    dimensions,
    isometry,
    known,
    models,
    runs,
    tables,
)
from experiments.images import run as images
from experiments.images.models import Model, fit_image_model
from experiments.images.noise import normal_noise
from experiments.images.scales import LENGTHS, SETTINGS, TOLERANCE
from implicit_manifolds import InputError
from implicit_manifolds.manifold.nearest import nearest_point
from implicit_manifolds.manifold.projection import project
from implicit_manifolds.training import checkpoint


@pytest.fixture(scope="module")
def ebim(tmp_path_factory):
    """Options and metrics of a whole run."""
    options = images.ImageOptions(scale="smoke", out=tmp_path_factory.mktemp("ebim"))
    return options, images.run_images(options)


def check(options, metrics):
    assert json.loads((options.out / f"{images.stem(options)}.json").read_text()) == metrics
    first = next(name for name in ("manifold_data", "autoencoder_loss", "flow_loss") if name in metrics)
    start, end = metrics[first]
    assert end < start
    assert min(metrics["frechet_lenet"], metrics["frechet_lenet_of_projected"]) > metrics["frechet_lenet_of_train"]
    tried = metrics["tried"]
    assert len(tried) == (0 if options.model in ("im", "fif") else len(LENGTHS))
    tried.pop("0", None)  # their starts
    assert not tried or tried[str(metrics["steps"])] == min(tried.values())
    assert 0 < metrics["precision"] <= 1
    with pytest.raises(InputError, match="--replace"):
        images.run_images(options)


def check_manifold(metrics):
    assert metrics["test_distance"] < 5
    for where in ("singular_values", "singular_values_of_samples"):
        assert metrics[where]["least"] > 0.02  # of all at all points, after a smoke run
        assert metrics[where]["5%"] > 0.9
        assert metrics[where]["median"] == pytest.approx(1, abs=0.05)
    assert metrics["test_lost"] == metrics["starts_lost"] == 0


@pytest.mark.slow
def test_an_ebim_trains_samples_and_is_judged(ebim):
    options, metrics = ebim
    check(options, metrics)
    check_manifold(metrics)
    assert metrics["accepted"] > 0.95
    assert metrics["not_converged"] < 0.05
    assert metrics["energy_negative"][1] - metrics["energy_data"][1] > 0  # samples are told from data


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ebim_score_matching", "vae_ebm", "nae", "fif"])
def test_rivals_do_and_so_does_another_loss(model, tmp_path):
    options = images.ImageOptions(model=model, scale="smoke", out=tmp_path)
    metrics = images.run_images(options)
    check(options, metrics)
    if model == "ebim_score_matching":
        check_manifold(metrics)


def interrupted(*_):
    raise KeyboardInterrupt


def parameters(options):
    found = {}
    for name in ("mdf", "energy"):
        with np.load(options.out / f"{images.stem(options)}-{name}.npz") as arrays:
            found |= {f"{name}.{key}": value for key, value in arrays.items()}
    return found


@pytest.mark.slow
def test_a_run_stopped_in_the_midst_of_its_energy_or_sampling_ends_as_if_it_never_was(ebim, tmp_path, monkeypatch):
    options, whole = ebim
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
    with monkeypatch.context() as patch:
        patch.setattr(images, "judged", interrupted)
        with pytest.raises(KeyboardInterrupt):
            images.run_images(resumed)
    with monkeypatch.context() as patch:
        patch.setattr(models, "start_on", interrupted)  # all starts, of training and of samples, were kept
        metrics = images.run_images(resumed)
    assert metrics["frechet_lenet"] == whole["frechet_lenet"]
    assert metrics["frechet_lenet_of_projected"] == whole["frechet_lenet_of_projected"]
    directory = next(resumed.checkpoints.iterdir())
    kept_seconds = [np.load(directory / name)["seconds"] for name in ("zeros/0.npz", "ebim/starts.npz")]
    expected = metrics["manifold_seconds"] + metrics["energy_seconds"] + sum(kept_seconds)
    assert metrics["fit_seconds"] == pytest.approx(expected)  # so neither was computed again
    assert metrics["manifold_data"] == whole["manifold_data"]
    with pytest.raises(InputError, match="another run"):
        fit_image_model(
            "im", jax.random.key(7), np.ones((9, 784)), SETTINGS["smoke"], next(resumed.checkpoints.iterdir())
        )
    expected, found = parameters(options), parameters(resumed)
    assert set(expected) == set(found)
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name], err_msg=name)


@pytest.mark.slow
def test_images_that_do_not_belong_are_told_by_a_trained_model(ebim):
    options, _ = ebim
    table = detection.run_ood(detection.OodOptions("mnist", "smoke", 0, options.out, count=100))
    assert set(table) == {"fashion_mnist", "turned", "noisy", "lost"}
    assert table["fashion_mnist"]["distance"] > 0.8
    assert table["fashion_mnist"]["nearest"] > 0.8
    assert all(0 <= value <= 1 for row in table.values() for value in row.values())


def test_an_image_without_a_zero_spoils_no_score_of_the_others():
    random = np.random.default_rng(0)
    names = ("sampson", "distance", "nearest", "energy")
    found, typical = ({name: random.normal(size=50) for name in names} for _ in range(2))
    expected = detection.combined(found, typical)
    typical["distance"] = np.append(typical["distance"], np.inf)
    for name, values in detection.combined(found, typical).items():
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.slow
def test_steps_along_tangents_come_near_the_nearest_zero():
    axes = jnp.asarray([1.0, 2.0, 3.0, 4.0])
    ellipsoid = jax.tree_util.Partial(lambda axes, x: jnp.sum((x / axes) ** 2, keepdims=True) - 1, axes)
    for x in jax.random.normal(jax.random.key(0), (5, 4)) + axes:
        zero = project(ellipsoid, x, TOLERANCE).position
        first, last = (jnp.linalg.norm(y - x) for y in (zero, detection.nearer(ellipsoid, x, zero)))
        least = nearest_point(ellipsoid, x).distance
        assert least - 1e-3 <= last <= first
        assert last - least < 0.1 * (first - least) + 1e-3


@pytest.mark.slow
def test_chains_walk_by_either_solver_and_say_what_became_of_their_steps(ebim):
    options, _ = ebim
    lines = chains.run_chains(chains.ChainOptions("mnist", "smoke", 0, options.out, 8, 4, (0.05,)))
    assert [line["solver"] for line in lines] == ["scaled chord", "gradient descent"]
    for line in lines:
        assert line["accepted"] > 0.9
        assert line["residual_max"] <= TOLERANCE * 1.1
        assert 0.1 < line["moved"] < 1  # .05 √16 √4 = .4
    assert (options.out / "mnist-ebim-smoke-seed0-chains.png").exists()


def test_noise_has_the_moments_and_the_shares_of_the_groups_of_data():
    random = np.random.default_rng(0)
    points = np.concatenate([random.normal(size=(3000, 3)) * [1, 2, 0.5], 30 + random.normal(size=(1000, 3))])
    drawn = normal_noise(points, 2)(jax.random.key(0), 20_000)
    left, right = drawn[drawn[:, 0] < 15], drawn[drawn[:, 0] > 15]
    assert len(right) / len(drawn) == pytest.approx(0.25, abs=0.015)  # 5 standard errors
    np.testing.assert_allclose(left.std(axis=0), points[:3000].std(axis=0), rtol=0.03)
    np.testing.assert_allclose(right.mean(axis=0), points[3000:].mean(axis=0), atol=0.08)
    drawn = normal_noise(points)(jax.random.key(1), 20_000)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(points.T), rtol=0.06, atol=0.5)


def test_noise_of_fewer_points_than_pixels_has_their_moments():
    points = 1 + np.random.default_rng(0).normal(size=(5, 12)) * np.linspace(0.1, 2, 12)
    drawn = normal_noise(points)(jax.random.key(0), 20_000)
    np.testing.assert_allclose(drawn.mean(axis=0), points.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(points.T, bias=True), atol=0.2)


def test_conjugate_gradients_end_after_as_many_steps_as_there_are_different_eigenvalues():
    matrix = np.zeros((40, 50), np.float32)
    matrix[np.arange(40), np.arange(40)] = np.repeat([1.0, 2.0, 3.0, 4.0], 10)
    mdf = jax.tree_util.Partial(lambda matrix, x: matrix @ x, matrix)
    found = isometry.iterations(mdf, np.ones((3, 50), np.float32))
    assert ((found >= 4) & (found <= 5)).all()  # four but for rounding


def test_a_run_that_diverges_stops_no_others_and_is_named_at_the_end(tmp_path, monkeypatch):
    tried: list[str] = []

    def diverge(options):
        tried.append(options.model)
        raise ArithmeticError("not finite")

    monkeypatch.setattr(images, "run_images", diverge)
    monkeypatch.setattr(arithmetic, "run_arithmetic", lambda options: None)
    monkeypatch.setattr(isometry, "run_isometry", lambda options: None)
    monkeypatch.setattr(known, "run_known", lambda options: None)
    monkeypatch.setattr(denoisers, "run_denoisers", lambda options: None)
    monkeypatch.setattr(dimensions, "run_dimensions", lambda options: None)
    with pytest.raises(ArithmeticError, match="mnist-nae-smoke-seed0: not finite"):
        runs.run_missing("smoke", 1, tmp_path, tmp_path)
    assert len(tried) == 3 * len(get_args(Model))
    assert {text() for text in tables.tables_of(tmp_path).values()} == {"No run yet."}


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"experiments\.images"):
        detection.run_ood(detection.OodOptions("mnist", "smoke", 7, tmp_path))


@pytest.mark.slow
def test_unions_and_intersections_of_digit_manifolds_are_sampled_and_their_residuals_reported(tmp_path):
    options = arithmetic.ArithmeticOptions("smoke", 0, tmp_path, samples=50)
    metrics = arithmetic.run_arithmetic(options)
    for name in ("1 and 4", "4 and 7", "union", "intersection"):
        assert sum(metrics[name]["digits"]) == pytest.approx(1)
    # On their own manifold chains reach its zeros; on both at once they cannot.
    assert metrics["1 and 4"]["residual"]["1 and 4"] < 0.5
    assert metrics["intersection"]["residual"]["1 and 4"] < metrics["4 and 7"]["residual"]["1 and 4"]
    assert (tmp_path / "arithmetic-smoke-seed0.png").exists()


def test_the_tables_take_medians_over_seeds_and_show_spectra_of_manifolds_alone(tmp_path):
    run = {"data": "mnist", "scale": "reduced", "precision": 0.5, "recall": 0.25, "train_distance": 2.0}
    spectrum = {"least": 0.3, "5%": 0.9, "median": 1.0, "95%": 1.1, "largest": 1.2}
    spectra = {"singular_values": spectrum, "singular_values_of_samples": spectrum | {"least": 0.2}}
    for seed, distance in enumerate([3.0, 1.0, 2.0]):
        more = {
            "model": "ebim",
            "seed": seed,
            "frechet_lenet": distance,
            "tried": {"0": 30.0, "5": 9.0, "10": distance, "40": 8.0},
            **spectra,
        }
        (tmp_path / f"mnist-ebim-reduced-seed{seed}.json").write_text(json.dumps(run | more))
        found = {"fashion_mnist": {"distance": 0.1 * seed}, "noisy": {"distance": 0.9}}
        (tmp_path / f"mnist-ebim-reduced-seed{seed}-ood.json").write_text(json.dumps(found))
    rival = run | {"model": "nae", "seed": 0, "frechet_lenet": 9.0}
    (tmp_path / "mnist-nae-reduced-seed0.json").write_text(json.dumps(rival))
    walk = dict.fromkeys(
        ("accepted", "not_converged", "iterations", "residual_max", "moved", "milliseconds_a_step"), 1.0
    )
    walk |= {"data": "mnist", "scale": "reduced", "solver": "scaled chord", "noise_scale": 0.1}
    (tmp_path / "mnist-ebim-reduced-seed0-chains.json").write_text(json.dumps([walk]))
    sizes = {"1 and 4": 0.5, "4 and 7": 2.0}
    union = {"digits": [0, 0.5, 0, 0, 0.25, 0, 0, 0.125, 0.125, 0], "residual": sizes}
    sums = {"scale": "reduced", "seed": 0, "union": union, "data of digit 4": {"residual": sizes}}
    (tmp_path / "arithmetic-reduced-seed0.json").write_text(json.dumps(sums))
    texts = {name: text() for name, text in tables.tables_of(tmp_path).items()}
    geometry, samples = texts["geometry"], texts["samples"]
    rest = "\n".join([*texts.values(), tables.summary(tables.read(tmp_path), "reduced")])
    assert "| mnist | reduced | EBIM | 3 | 0.30 | 0.90 |" in geometry
    assert "normalised" not in geometry
    assert "| mnist | reduced | EBIM | 3 | 2.0 (1.0 to 3.0) | - | - | 0.50 |" in samples
    assert "| mnist | reduced | normalised autoencoder | 1 | 9.0 |" in samples
    assert "| mnist | reduced | scaled chord | 0.1 | 100.0% | 100.0% | 1.0 | 1.0e+00 | 1.0 | 1 |" in rest
    assert "| EBIM | 2.0 (1.0 to 3.0) | 0.50 | 0.25 | - | - | - | 3, 0 |" in rest
    lengths = "30.0 | 9.0 | 2.0 (1.0 to 3.0) | - | 8.0"
    assert f"| mnist | reduced | EBIM | 3 | {lengths} |" in rest
    assert "| reduced | union | 50% | 25% | 12% | 12% | 0.50 | 2.00 |" in rest
    assert "| reduced | data of digit 4 |  |  |  |  | 0.50 | 2.00 |" in rest
    assert "| mnist | reduced | 3 | distance |  | 0.100 |  | 0.900 |" in rest
