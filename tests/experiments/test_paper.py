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

from experiments import pages
from experiments.common import command, judging, markdown, run
from experiments.laws import projected_normals, shifted_spheres, torus
from experiments.paper import (
    fig1_circle,
    fig3_arithmetic,
    fig4_two_circles,
    fig5_earth,
    fig6_amino_acids,
    runs,
    tables,
)
from experiments.studies import energy_losses, topology
from implicit_manifolds import InputError, fit, log_density, nearest_points, sample
from implicit_manifolds.datasets.synthetic import von_mises_mixture_density
from implicit_manifolds.metrics.transport import wasserstein1, wasserstein1_floor

ROOT = Path(__file__).parents[2]
KEYS = {
    "w1", "w1_floor", "mmd", "original_cost", "samples_to_truth_mean", "samples_to_truth_max", "residual_max",
    "test_converged", "seconds_manifold", "seconds_energy", "seconds_total", "seed", "preset", "temperature",
    "nll_test", "nll_excess", "log_normalizer_standard_error", "method", "effective_size", "volume_ratio", "topology",
}  # fmt: skip


@pytest.mark.slow
def test_an_experiment_writes_metrics_figures_and_model_and_refuses_to_overwrite_others(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(run, "NUM_SAMPLES", 1200)
    monkeypatch.setattr(judging, "ENTROPY_POINTS", 2000)
    problem = replace(fig1_circle.problem(0), presets={"default": quick})
    options = run.Options(out=tmp_path / "run")
    metrics = run.run_problem(problem, options)
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written == metrics
    assert set(written) >= KEYS
    assert written["samples_to_truth_mean"] < 0.05
    assert written["w1_floor"] == pytest.approx(0.04, abs=0.02)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "metrics.json", "model", "density.png", "training.png",
    }  # fmt: skip
    with pytest.raises(InputError, match="exists"):
        command.claim(tmp_path / "run", replaceable=False)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="exists"):
        command.claim(tmp_path / "mine", replaceable=True)


def test_what_a_stopped_run_left_can_be_replaced(tmp_path):
    out = command.claim(tmp_path / "run", replaceable=False)
    (out / "density.png").touch()
    with pytest.raises(InputError, match="--replace"):
        command.claim(out, replaceable=False)
    command.claim(out, replaceable=True)
    assert not (out / "density.png").exists()


@pytest.mark.slow
def test_the_defaults_close_both_circles_of_the_mixture_and_sample_all_of_them():
    problem = fig4_two_circles.problem(0)
    model = fit(jax.random.key(0), problem.train, 1).model
    drawn = sample(jax.random.key(1), model, 1000)
    distance = problem.distance(drawn.points)
    assert distance.mean() <= 0.02
    assert distance.max() <= 0.1
    assert drawn.on_manifold.all()
    assert wasserstein1(drawn.points, problem.test) <= 2 * wasserstein1_floor(problem.true_pair)
    assert drawn.method == "importance"
    fresh = fig4_two_circles.problem(1).test
    true = np.log(von_mises_mixture_density(fresh, offset=1.8))
    assert abs(np.mean(true - log_density(model, fresh).log_density)) <= 0.03
    angle = np.linspace(-np.pi, np.pi, 400)
    circles = [np.column_stack([np.cos(angle) + shift, np.sin(angle)]) for shift in (-1.8, 1.8)]
    assert nearest_points(model, np.concatenate(circles)).distance.max() <= 0.1  # no gap where data are few


@pytest.mark.parametrize(
    "module", [fig1_circle, fig4_two_circles, fig5_earth, fig6_amino_acids, projected_normals, torus]
)
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
    energies = {name: module.PAPER.energy for name, module in (("circle", fig1_circle), ("mixture", fig4_two_circles))}
    assert energies["circle"].drift_scale / energies["circle"].noise_scale ** 2 == pytest.approx(11.1, abs=0.05)
    assert energies["mixture"].drift_scale / energies["mixture"].noise_scale ** 2 == 4
    assert fig5_earth.PAPER.energy.drift_scale is None


def test_kernels_on_the_true_manifolds_are_normalised():
    random = np.random.default_rng(0)
    sphere = random.normal(size=(200_000, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    found = fig5_earth.von_mises_fisher_densities(sphere[:5], sphere, np.array([1.0, 30.0]))
    np.testing.assert_allclose(found.mean(axis=0) * 4 * np.pi, 1, atol=0.02)
    grid = np.stack(np.meshgrid(*[np.linspace(-np.pi, np.pi, 101)[:-1]] * 2), axis=-1).reshape(-1, 2)
    found = fig6_amino_acids.von_mises_densities(grid[:5], grid, np.array([1.0, 30.0]))
    np.testing.assert_allclose(found.mean(axis=0) * 4 * np.pi**2, 1, rtol=1e-6)


def test_tables_are_made_of_runs(monkeypatch):
    losses = [
        {"data": "floods", "loss": "likelihood", "nll_test": x, "w1": x, "w1_floor": 1.0, "seconds": 3.0}
        for x in (0.2, 0.4, 0.3)
    ]
    monkeypatch.setattr(energy_losses, "read", lambda: losses)
    assert "| Floods, sphere | likelihood | 0.300 (0.200 to 0.400) | 0.300 | 1.000 | 3.0 |" in energy_losses.table()
    right = {"data": "circle", "betti": [1, 1], "settled": True, "topology": "1 component, closed; and so on"}
    wrong = right | {"betti": [1, 0], "topology": "1 component, open at the box; and so on"}
    monkeypatch.setattr(topology, "read", lambda: [right, right, wrong])
    assert "| circle | 2 of 3 | 1 component, open at the box |" in topology.table()


def test_text_between_marks_is_replaced_and_the_rest_kept(tmp_path):
    (tmp_path / "a.md").write_text("before\n<!-- x: made by this -->\nold\n<!-- end of x -->\nafter\n")
    markdown.replace_between_marks(tmp_path / "a.md", "x", "new")
    assert (tmp_path / "a.md").read_text() == "before\n<!-- x: made by this -->\nnew\n<!-- end of x -->\nafter\n"


def test_the_true_intersection_and_union_lie_where_they_should_with_their_densities():
    random = np.random.default_rng(0)
    circle = shifted_spheres.draw_intersection(random, 500)
    np.testing.assert_allclose(shifted_spheres.distance_to_intersection(circle), 0, atol=1e-9)
    for sign in (-1, 1):
        np.testing.assert_allclose(np.linalg.norm(circle - sign * shifted_spheres.SHIFT, axis=1), 1, atol=1e-9)
    union = shifted_spheres.draw_union(random, 20_000)
    np.testing.assert_allclose(shifted_spheres.distance_to_union(union), 0, atol=1e-9)
    # The mean of 1/p over draws is the measure: the area of two spheres, the length of the circle.
    for points, log_density_of, size in (
        (union, shifted_spheres.union_log_density, 8 * np.pi),
        (shifted_spheres.draw_intersection(random, 20_000), shifted_spheres.intersection_log_density, 3**0.5 * np.pi),
    ):
        inverse = np.exp(-log_density_of(points))
        assert abs(inverse.mean() - size) < 5 * inverse.std() / len(points) ** 0.5


@pytest.mark.slow
def test_the_figure_of_arithmetic_samples_each_half_at_its_own_height(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(fig3_arithmetic, "NUM_SAMPLES", 4000)
    monkeypatch.setattr(fig3_arithmetic, "PRESETS", {"default": quick})
    found = fig3_arithmetic.run(run.Options(out=tmp_path / "run"))
    # The sphere's law is even in z, so halves have means ±1/2; with charts left behind they had .42. A mean of 2,000
    # has a standard error of .013, and a quick fit is off by about as much.
    np.testing.assert_allclose(found["mean_heights_of_halves"], [-0.5, 0.5], atol=0.06)
    assert found["union_w1"] < 2 * found["union_w1_floor"]
    assert found["intersection_samples_to_truth_mean"] < 0.05
    assert (tmp_path / "run" / "density.png").is_file()


def test_without_data_and_network_an_experiment_says_one_sentence_and_exits_with_2(tmp_path):
    environment = {
        **os.environ,
        "IMPLICIT_MANIFOLDS_DATA": str(tmp_path),
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "https_proxy": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    words = [sys.executable, "-m", "experiments.paper.fig5_earth", "--out", str(tmp_path / "run")]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "flood" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_the_table_takes_medians_over_seeds_and_leaves_out_what_no_run_has(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "RESULTS", tmp_path)
    for seed, w1 in enumerate([0.3, 0.1, 0.2]):
        found = {metric: 1.0 for metric, _ in tables.COLUMNS.values() if metric != "nll_excess"}
        found |= {"w1": w1, "cpu_seconds_total": 30.4}
        runs.path_of(runs.Run("floods", "default", seed)).write_text(json.dumps(found))
    assert "| Floods, sphere | default | 3 | 0.2 | 1 | 1 | 1.00 | 1.00 |  | 1.000 | 30 |" in tables.results()


def test_every_table_has_its_place_in_a_page():
    for name, entry in pages.TABLES.items():
        text = entry.page.read_text()
        assert text.count(f"<!-- {name}: made by `python -m experiments.pages` -->") == 1, name
        assert text.count(f"<!-- end of {name} -->") == 1, name
    with pytest.raises(InputError, match="there is no table 'losses'; there are times, results, "):
        pages.write(pages.Options(only=("losses",)))


def test_the_pages_say_what_the_results_say():
    """Whoever changes results or tables runs `python -m experiments.pages`."""
    for name, entry in pages.TABLES.items():
        assert f"-->\n{entry.text()}\n<!-- end of {name} -->" in entry.page.read_text(), name
