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

from experiments.common import markdown
from experiments.common import run as common
from experiments.laws import projected_normals, torus
from experiments.paper import fig1_circle as von_mises
from experiments.paper import fig3_arithmetic as manifold_arithmetic
from experiments.paper import fig4_two_circles as von_mises_mixture
from experiments.paper import fig5_earth as earth
from experiments.paper import fig6_amino_acids as amino_acids
from experiments.paper import table as report
from experiments.studies import energy_losses as sweep
from experiments.studies import topology as topology_seeds
from implicit_manifolds import InputError, fit, log_density, nearest_points, sample
from implicit_manifolds.datasets.synthetic import von_mises_mixture_density
from implicit_manifolds.metrics.transport import wasserstein1, wasserstein1_floor

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


def test_an_experiment_writes_metrics_figures_and_model_and_refuses_to_overwrite_others(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(common, "NUM_SAMPLES", 1200)
    monkeypatch.setattr(common, "LAW_POINTS", 2000)
    problem = replace(von_mises.problem(0), presets={"default": quick})
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


def test_what_a_stopped_run_left_can_be_replaced(tmp_path):
    out = common.claim(tmp_path / "run", replaceable=False)
    (out / "density.png").touch()
    with pytest.raises(InputError, match="--replace"):
        common.claim(out, replaceable=False)
    common.claim(out, replaceable=True)
    assert not (out / "density.png").exists()


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
    assert nearest_points(model, np.concatenate(circles)).distance.max() <= 0.1  # no gap where data are few


@pytest.mark.parametrize("module", [von_mises, von_mises_mixture, earth, amino_acids, projected_normals, torus])
def test_a_problem_holds_disjoint_data_on_its_manifold_and_its_presets(module):
    problem = module.problem(3)
    assert set(problem.presets) == ({"default", "paper"} if hasattr(module, "PAPER") else {"default"})
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
    assert earth.PAPER.energy.step_size is None


def test_kernels_on_the_true_manifolds_are_normalised():
    random = np.random.default_rng(0)
    sphere = random.normal(size=(200_000, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    found = earth.von_mises_fisher_densities(sphere[:5], sphere, np.array([1.0, 30.0]))
    np.testing.assert_allclose(found.mean(axis=0) * 4 * np.pi, 1, atol=0.02)
    grid = np.stack(np.meshgrid(*[np.linspace(-np.pi, np.pi, 101)[:-1]] * 2), axis=-1).reshape(-1, 2)
    found = amino_acids.von_mises_densities(grid[:5], grid, np.array([1.0, 30.0]))
    np.testing.assert_allclose(found.mean(axis=0) * 4 * np.pi**2, 1, rtol=1e-6)


def test_tables_are_made_of_runs():
    runs = [
        {"data": "Floods", "loss": "likelihood", "nll_test": x, "w1": x, "w1_floor": 1.0, "seconds": 3.0}
        for x in (0.2, 0.4, 0.3)
    ]
    assert "| Floods | likelihood | 0.300 (0.200 to 0.400) | 0.300 | 1.000 | 3.0 |" in sweep.table(runs)
    right = {"data": "circle", "betti": [1, 1], "settled": True, "topology": "1 component, closed; and so on"}
    wrong = right | {"betti": [1, 0], "topology": "1 component, open at the box; and so on"}
    assert "| circle | 2 of 3 | 1 component, open at the box |" in topology_seeds.table([right, right, wrong])


def test_text_between_marks_is_replaced_and_the_rest_kept(tmp_path):
    (tmp_path / "a.md").write_text("before\n<!-- x: made by this -->\nold\n<!-- end of x -->\nafter\n")
    markdown.replace_between_marks(tmp_path / "a.md", "x", "new")
    assert (tmp_path / "a.md").read_text() == "before\n<!-- x: made by this -->\nnew\n<!-- end of x -->\nafter\n"


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
    words = [sys.executable, "-m", "experiments.earth", "--out", str(tmp_path / "run")]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "flood" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_the_table_takes_medians_over_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    for seed, w1 in enumerate([0.3, 0.1, 0.2]):
        run = dict.fromkeys(report.COLUMNS.values(), 1.0) | {"experiment": "floods", "preset": "default", "seed": seed}
        run |= {"w1": w1, "cpu_seconds_total": 30.4}
        (tmp_path / f"run{seed}").mkdir()
        (tmp_path / f"run{seed}" / "metrics.json").write_text(json.dumps(run))
    report.collect(sorted(tmp_path.glob("run*")))
    assert "| Floods, sphere | default | 3 | 0.2 | 1 | 1 | 1.00 | 1.00 | 1 | 1.000 | 30 |" in report.table()
