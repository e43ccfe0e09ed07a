"""The comparison with baselines: a cell is judged and written, missing cells are run once, tables come from files."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import stats

from experiments.common import judging
from experiments.comparison import fits, polynomial, runs, sinusoid, tables
from experiments.laws import shapes
from implicit_manifolds import fit
from implicit_manifolds.baselines.autoencoder_ebm import AutoencoderConfig, fit_autoencoder_ebm
from implicit_manifolds.baselines.latent_energy import LatentEnergyConfig
from implicit_manifolds.datasets.polynomial import polynomial_surface, vertical_offset
from implicit_manifolds.ebim.verbs import NearestPoints
from implicit_manifolds.metrics.detection import auc


def perfect(key, problem):
    """A model that knows the circle and the law."""

    def nearest(points):
        distance = problem.distance(points)
        return NearestPoints(points / np.linalg.norm(points, axis=1, keepdims=True), distance, np.isfinite(distance))

    draw = lambda key, count: problem.law.draw(np.random.default_rng(5), count)
    return judging.Candidate(draw, problem.law.log_density, nearest)


@pytest.mark.slow
def test_a_perfect_model_scores_the_floor_and_no_distance(tmp_path, monkeypatch):
    monkeypatch.setitem(fits.FITS, "ebim", perfect)
    options = fits.CellOptions("von_mises", "ebim", 3, tmp_path)
    cell = fits.run_cell(options)
    assert json.loads(fits.path_of(options).read_text()) == cell
    assert cell["w1"] == pytest.approx(cell["w1_floor"], rel=0.3)
    assert abs(cell["mmd"]) < 2e-3
    for name in ("train_to_model_max", "test_to_model_max", "samples_to_truth_max"):
        assert cell[name] < 1e-6
    # log 2πI₀(2) - 2 I₁(2)/I₀(2) = 1.266; of 1,000 points the standard error is about .03.
    assert cell["nll_excess"] == 0
    assert cell["topology_right"]
    assert cell["nll_test"] == pytest.approx(1.266, abs=0.15)


@pytest.mark.slow
def test_an_ebim_and_a_rival_fill_the_same_cell(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(fits, "fit", lambda key, points, codimension, config: fit(key, points, codimension, quick))
    monkeypatch.setattr(fits, "metrics", partial(judging.metrics, num_samples=2000))
    monkeypatch.setattr(judging, "ENTROPY_POINTS", 2000)
    networks = AutoencoderConfig(hidden=(16,), num_steps=100)
    energy = LatentEnergyConfig(likelihood=replace(quick.likelihood, kernel=False))
    monkeypatch.setitem(fits.FITS, "ae_ebm", fits._rival(fit_autoencoder_ebm, networks, energy))
    cells = [fits.run_cell(fits.CellOptions("von_mises", model, 0, tmp_path)) for model in ("ebim", "ae_ebm")]
    assert set(cells[0]) == set(cells[1])
    assert np.isfinite([value for cell in cells for value in cell.values() if isinstance(value, float)]).all()
    assert cells[0]["train_to_model_mean"] < 0.1


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_samples_of_each_law_have_its_topology_even_with_strays(name):
    problem = shapes.problem(name, 0)
    random = np.random.default_rng(1)
    drawn = problem.law.draw(random, judging.HOMOLOGY_POINTS)
    assert judging.betti_of_samples(drawn, problem) == (problem.betti, True)
    drawn[:30] *= random.uniform(0.5, 1, (30, 1))
    assert judging.betti_of_samples(drawn, problem)[0] == problem.betti


def cell(model, seed, w1):
    numbers = {"w1": w1, "w1_floor": 0.1, "mmd": 0.01, "nll_test": 2.0, "fit_cpu_seconds": 3.0}
    return {"data": "von_mises_mixture", "model": model, "seed": seed, **numbers}


def test_only_missing_cells_are_run_and_tables_say_what_the_files_say(tmp_path, monkeypatch):
    ran: list[tuple[str, int]] = []
    seeds = [2]

    def wanted():
        models = ("ebim", "fif")
        return [
            fits.CellOptions("von_mises_mixture", model, seed, tmp_path) for seed in range(*seeds) for model in models
        ]

    def run_cell(options):
        ran.append((options.model, options.seed))
        w1 = 0.1 + 0.01 * options.seed + (0.05 + 0.002 * options.seed) * (options.model == "fif")
        fits.path_of(options).write_text(json.dumps(cell(options.model, options.seed, w1)))

    monkeypatch.setattr(runs, "wanted", wanted)
    monkeypatch.setattr(fits, "run_cell", run_cell)
    for seeds[0] in (2, 3):
        runs.run_missing()
    assert ran == [(model, seed) for seed in range(3) for model in ("ebim", "fif")]
    cells = tables.read(tmp_path)
    line = next(line for line in tables.laws(cells).splitlines() if "free-form" in line)
    # Differences .050, .052, .054: mean .052, t(.975, 2) = 4.303 times .002/√3 is .005.
    assert "| 3 | 0.162 (0.150 to 0.174) | 1.62 | +0.052 ± 0.005 |" in line
    summary = next(line for line in tables.summary(cells).splitlines() if "free-form" in line)
    assert summary.startswith("| free-form injective flow | 3 | 1.62 |  |  |")


def test_every_wanted_cell_has_a_file_of_its_own():
    cells = runs.wanted()
    assert len({runs.MODULES[type(cell)].path_of(cell) for cell in cells}) == len(cells)


@pytest.mark.slow
def test_short_cells_of_flows_fill_their_tables(tmp_path):
    polynomial.run_cell(polynomial.PolynomialOptions("fif", 0, tmp_path, points=2000, steps=100))
    sinusoid.run_cell(sinusoid.SinusoidOptions("fif", 30.0, 0, tmp_path, steps=200))
    cells = tables.read(tmp_path)
    assert "\n| free-form injective flow | 1 |" in tables.polynomials(cells)
    assert "\n| free-form, β = 30 | 1 | 0 |" in tables.sinusoids(cells)


@pytest.mark.slow
def test_the_truth_scores_best_on_the_polynomial_surface():
    def log_densities(points, thetas):
        rows = polynomial.true_log_densities(points, thetas)
        off = np.abs(vertical_offset(points)) > 1e-6
        return np.where(off[:, None], -np.inf, rows)

    judged = polynomial.ConditionalCandidate(
        lambda key, count: polynomial_surface(np.random.default_rng(3), np.zeros(count)), log_densities, lambda x: x
    )
    found = polynomial.metrics(judged, None, 0)
    assert found["distance"] < 1e-6
    assert found["reconstruction_error"] == 0
    assert abs(found["posterior_mmd"]) < 1e-3
    assert found["auc"] == 1
    assert abs(found["nll_excess"]) < 1e-12


def test_posterior_draws_have_the_density_they_are_given():
    draws = polynomial.posterior_draws(np.random.default_rng(0), -0.5 * (polynomial.THETAS[None] - 0.2) ** 2 / 0.01)
    assert stats.kstest(draws[:, 0], stats.norm(0.2, 0.1).cdf).pvalue > 1e-3


def test_auc_counts_pairs():
    inside, outside = np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0, 5.0])
    # Of eight pairs 2 > 1, 2 = 2 and 5 > 1, 2, 3; a score that is no number is the highest.
    assert auc(inside, outside) == (1 + 0.5 + 3) / 8
