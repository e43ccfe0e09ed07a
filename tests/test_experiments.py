"""Experiments: the whole path on a quick setting, the paper's presets, and what happens without data."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import integrate

from experiments import amino_acids, common, floods, manifold_arithmetic, report, von_mises, von_mises_mixture
from implicit_manifolds import (
    EnergyConfig,
    FitConfig,
    InputError,
    LikelihoodConfig,
    ManifoldConfig,
    fit,
    log_density,
    project_points,
    sample,
)
from implicit_manifolds.datasets.synthetic import von_mises_mixture_density
from implicit_manifolds.metrics.transport import wasserstein1, wasserstein1_floor

QUICK = FitConfig(
    ManifoldConfig(hidden=(16,), restarts=2, warmup_steps=500, num_steps=50, langevin_steps=5, buffer_size=100),
    EnergyConfig(hidden=(8,), num_steps=50, langevin_steps=3, buffer_size=100, starts=50),
    LikelihoodConfig(hidden=(8,), features=4, members=2, num_steps=100, pool_size=1000, pool_batch=200, held_out=1000),
)
KEYS = {
    "w1", "w1_floor", "original_cost", "distance_mean", "distance_max", "residual_max", "converged_fraction",
    "seconds_manifold", "seconds_energy", "seconds_total", "seed", "preset", "temperature",
    "nll_test", "log_ratio_mean", "log_normalizer_standard_error", "method", "effective_size",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _offline_data(monkeypatch):
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    folder = os.environ.get("IMPLICIT_MANIFOLDS_DATA", str(beside))
    assert Path(folder).is_dir(), "set IMPLICIT_MANIFOLDS_DATA to the folder that holds the data sets"
    monkeypatch.setenv("IMPLICIT_MANIFOLDS_DATA", folder)


def test_an_experiment_writes_metrics_figures_and_model_and_refuses_to_overwrite_others(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "NUM_SAMPLES", 1200)
    monkeypatch.setattr(common, "LAW_POINTS", 2000)
    problem = replace(von_mises.problem(0), presets={"default": QUICK})
    options = common.Options(out=tmp_path / "run")
    metrics = common.run_problem(problem, options)
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written == metrics
    assert set(written) >= KEYS
    assert written["distance_mean"] < 0.05
    assert written["w1_floor"] == pytest.approx(0.04, abs=0.02)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "metrics.json", "model", "density.png", "training.png",
    }  # fmt: skip
    with pytest.raises(InputError, match="exists"):
        common.claim(tmp_path / "run", replaceable=False)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="exists"):
        common.claim(tmp_path / "mine", replaceable=True)


def test_the_defaults_close_both_circles_of_the_mixture_and_sample_all_of_them():
    problem = von_mises_mixture.problem(0)
    model = fit(jax.random.key(0), problem.train, 1).model
    drawn = sample(jax.random.key(1), model, 1000)
    distance = problem.distance(drawn.points)
    assert distance.mean() <= 0.02
    assert distance.max() <= 0.1
    assert drawn.on_manifold.all()
    assert wasserstein1(drawn.points, problem.test) <= 2 * wasserstein1_floor(problem.true_pair)
    assert drawn.method == "importance"
    fresh = von_mises_mixture.problem(1).test
    true = np.log(von_mises_mixture_density(fresh, offset=1.8))
    assert abs(np.mean(true - log_density(model, fresh).log_density)) <= 0.03
    angle = np.linspace(-np.pi, np.pi, 400)
    circles = [np.column_stack([np.cos(angle) + shift, np.sin(angle)]) for shift in (-1.8, 1.8)]
    assert project_points(model, np.concatenate(circles)).distance.max() <= 0.1  # no gap where data are few


@pytest.mark.parametrize("module", [von_mises, von_mises_mixture, floods, amino_acids])
def test_a_problem_holds_disjoint_data_on_its_manifold_and_both_presets(module):
    problem = module.problem(3)
    assert set(problem.presets) == {"default", "paper"}
    assert problem.distance(problem.train).max() < 1e-9
    assert problem.distance(problem.test).max() < 1e-9
    assert {tuple(row) for row in problem.true_pair(0)[0]} != {tuple(row) for row in problem.true_pair(1)[0]}
    assert [len(part) for part in problem.true_pair(0)] == [len(problem.test)] * 2
    again = module.problem(3)
    np.testing.assert_array_equal(problem.train, again.train)


def test_the_papers_temperatures_are_what_their_hyperparameters_imply():
    energies = {name: module.PAPER.energy for name, module in (("circle", von_mises), ("mixture", von_mises_mixture))}
    assert energies["circle"].step_size / energies["circle"].noise_scale ** 2 == pytest.approx(11.1, abs=0.05)
    assert energies["mixture"].step_size / energies["mixture"].noise_scale ** 2 == 4
    assert floods.PAPER.energy.step_size is None


def test_the_density_of_projected_normals_is_that_of_their_draws():
    total, _ = integrate.quad(lambda z: 2 * np.pi * float(_density_at_height(z)), -1, 1)
    above, _ = integrate.quad(lambda z: 2 * np.pi * float(_density_at_height(z)), 0.5, 1)
    draws = manifold_arithmetic.projected_normal_sphere(np.random.default_rng(0), 200_000)
    # 200,000 draws: standard error of the share is below 0.001; four of them.
    assert np.mean(draws[:, 0] > 0.5) == pytest.approx(above / total, abs=0.004)


def _density_at_height(x0):
    ring = np.sqrt(1 - x0**2)
    return manifold_arithmetic.sphere_density(np.array([[x0, ring, 0.0]]))[0]


def test_the_true_intersection_and_union_lie_where_they_should():
    random = np.random.default_rng(0)
    circle = manifold_arithmetic.true_intersection(random, 500)
    np.testing.assert_allclose(manifold_arithmetic.distance_to_intersection(circle), 0, atol=1e-9)
    for sign in (-1, 1):
        centre = sign * manifold_arithmetic.SHIFT
        np.testing.assert_allclose(np.linalg.norm(circle - centre, axis=1), 1, atol=1e-9)
    union = manifold_arithmetic.true_union(random, 500)
    np.testing.assert_allclose(manifold_arithmetic.distance_to_union(union), 0, atol=1e-9)


def test_without_data_and_network_an_experiment_says_one_sentence_and_exits_with_2(tmp_path):
    environment = {
        **os.environ,
        "IMPLICIT_MANIFOLDS_DATA": str(tmp_path),
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "https_proxy": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    words = [sys.executable, "-m", "experiments.floods", "--out", str(tmp_path / "run")]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "flood" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_the_table_takes_medians_over_seeds_and_the_largest_distance(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    for seed, w1 in enumerate([0.3, 0.1, 0.2]):
        run = dict.fromkeys(report.COLUMNS.values(), 1.0) | {"experiment": "floods", "preset": "default", "seed": seed}
        run |= {"w1": w1, "distance_max": w1, "seconds_total": 30.4}
        (tmp_path / f"run{seed}").mkdir()
        (tmp_path / f"run{seed}" / "metrics.json").write_text(json.dumps(run))
    report.collect(sorted(tmp_path.glob("run*")))
    assert "| Floods, sphere | default | 3 | 0.2 | 1 | 1 | 0.3 | 1 | 1.00 | 30 |" in report.table()
