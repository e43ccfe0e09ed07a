"""The comparison with rivals: a cell is judged and written, missing cells are run once, tables come from files."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import rivals, tables
from implicit_manifolds import fit
from implicit_manifolds.ebim import Projections
from implicit_manifolds.pushforward.config import AutoencoderConfig, LatentEnergyConfig
from implicit_manifolds.pushforward.fit import fit_autoencoder_ebm


def perfect(key, problem):
    """A model that knows the circle and the law."""

    def nearest(points):
        distance = problem.distance(points)
        return Projections(points / np.linalg.norm(points, axis=1, keepdims=True), distance, np.isfinite(distance))

    draw = lambda key, count: problem.law.draw(np.random.default_rng(5), count)  # noqa: E731
    return rivals.Judged(draw, lambda points: -float(problem.law.log_density(points).mean()), nearest)


def test_a_perfect_model_scores_the_floor_and_no_distance(tmp_path, monkeypatch):
    monkeypatch.setitem(rivals.FITS, "ebim", perfect)
    options = rivals.CellOptions("von_mises", "ebim", 3, tmp_path)
    cell = rivals.run_cell(options)
    assert json.loads(rivals.path_of(options).read_text()) == cell
    assert cell["w1"] == pytest.approx(cell["w1_floor"], rel=0.3)
    assert abs(cell["mmd"]) < 2e-3
    for name in ("train_to_model_max", "test_to_model_max", "samples_to_truth_max"):
        assert cell[name] < 1e-6
    # log 2πI₀(2) - 2 I₁(2)/I₀(2) = 1.266; of 1,000 points the standard error is about .03.
    assert cell["nll_test"] == pytest.approx(1.266, abs=0.15)


def test_an_ebim_and_a_rival_fill_the_same_cell(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(rivals, "fit", lambda key, points, codimension: fit(key, points, codimension, quick))
    monkeypatch.setattr(rivals, "NUM_SAMPLES", 5000)
    networks = AutoencoderConfig((16,), num_steps=100)
    energy = LatentEnergyConfig(replace(quick.likelihood, kernel=False))
    monkeypatch.setitem(rivals.FITS, "ae_ebm", rivals._rival(fit_autoencoder_ebm, networks, energy))
    cells = [rivals.run_cell(rivals.CellOptions("von_mises", model, 0, tmp_path)) for model in ("ebim", "ae_ebm")]
    assert set(cells[0]) == set(cells[1])
    assert np.isfinite([value for cell in cells for value in cell.values() if isinstance(value, float)]).all()
    assert cells[0]["train_to_model_mean"] < 0.1


def cell(model, seed, w1):
    numbers = {"w1": w1, "w1_floor": 0.1, "mmd": 0.01, "nll_test": 2.0, "fit_seconds": 3.0}
    return {"data": "von_mises", "model": model, "seed": seed, **numbers}


def test_only_missing_cells_are_run_and_the_page_says_what_the_files_say(tmp_path, monkeypatch):
    ran = []

    def run_cell(options):
        ran.append((options.model, options.seed))
        w1 = 0.1 + 0.01 * options.seed + (0.05 + 0.002 * options.seed) * (options.model == "fif")
        rivals.path_of(options).write_text(json.dumps(cell(options.model, options.seed, w1)))

    monkeypatch.setattr(tables, "run_cell", run_cell)
    page = tmp_path / "page.md"
    page.write_text("<!-- laws: x -->\n<!-- end of laws -->\n<!-- distances: x -->\n<!-- end of distances -->\n")
    options = tables.TableOptions(2, ("von_mises",), ("ebim", "fif"), tmp_path, page)
    tables.tables(options)
    tables.tables(replace(options, seeds=3))
    assert ran == [(model, seed) for seed in range(3) for model in ("ebim", "fif")]
    line = next(line for line in page.read_text().splitlines() if "free-form" in line)
    # Differences .050, .052, .054: mean .052, t(.975, 2) = 4.303 times .002/√3 is .005.
    assert "| 3 | 0.162 (0.150 to 0.174) | 1.62 | +0.052 ± 0.005 |" in line
