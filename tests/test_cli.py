"""The command line: the whole path on small data, and every kind of bad input."""

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import vonmises

from implicit_manifolds import FitConfig, ManifoldConfig, cli
from implicit_manifolds.cli import (
    dimension_command,
    fit_command,
    fitting,
    plot_command,
    project_command,
    report_command,
    run_safely,
    sample_command,
    score_command,
    topology_command,
)
from implicit_manifolds.cli.tables import Columns
from implicit_manifolds.ebim import storage
from implicit_manifolds.ebim.verbs import NearestPoints
from implicit_manifolds.errors import InputError


def ring(count=200, offset=1000.0, scale=50.0):
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, count)
    return offset + scale * np.column_stack([np.cos(angle), np.sin(angle)])


@pytest.fixture(scope="module")
def model(tmp_path_factory, quick):
    folder = tmp_path_factory.mktemp("cli")
    np.savetxt(folder / "ring.csv", ring(600), delimiter=",", header="x,y", comments="")
    assert run_safely(lambda: fit_command(folder / "ring.csv", folder / "model", 1, config=quick)) == 0
    assert (folder / "model.png").stat().st_size > 10_000
    return folder / "model"


def outcome(capsys, call):
    """Exit code and what was said on stderr, which must be one line without a traceback."""
    capsys.readouterr()
    with warnings.catch_warnings():
        code = run_safely(call)
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) <= 1
    return code, said


def test_a_fitted_ring_is_sampled_projected_scored_and_drawn_in_data_units(model, tmp_path, capsys):
    for method in ("importance", "chains"):
        out = tmp_path / f"{method}.npy"
        assert (
            run_safely(lambda out=out, method=method: sample_command(model, 300, out, num_steps=20, method=method)) == 0
        )
        drawn = np.load(out)
        assert drawn.shape == (300, 2)
        np.testing.assert_allclose(np.linalg.norm(drawn - 1000, axis=1), 50, atol=2.5)
    np.savetxt(tmp_path / "far.csv", [[1100.0, 1000.0], [1000.0, 960.0]], delimiter=",")
    assert run_safely(lambda: project_command(model, tmp_path / "far.csv", tmp_path / "p.csv")) == 0
    table = np.genfromtxt(tmp_path / "p.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["distance"], [50, 10], atol=2.5)
    np.testing.assert_allclose(table["x"], [1050, 1000], atol=2.5)
    assert table["converged"].all()
    assert run_safely(lambda: score_command(model, tmp_path / "far.csv", tmp_path / "e.csv")) == 0
    capsys.readouterr()
    scores = np.genfromtxt(tmp_path / "e.csv", delimiter=",", names=True)
    np.testing.assert_allclose(scores["distance"], table["distance"], rtol=1e-6)
    np.testing.assert_allclose(np.exp(scores["log_density"]), 1 / (2 * np.pi * 50), rtol=0.3)  # uniform, per data unit
    topology_command(model)
    assert capsys.readouterr().out.startswith("1 component, closed; ")
    assert run_safely(lambda: plot_command(model, tmp_path / "m.png", tmp_path / "far.csv")) == 0
    assert (tmp_path / "m.png").stat().st_size > 5000


def test_angles_in_degrees_come_back_in_degrees_and_are_scored_per_radian(tmp_path, quick, capsys):
    angle = np.random.default_rng(0).vonmises(np.pi, 2, 600)  # about the seam
    rows = [f"G{i},{np.degrees(np.angle(np.exp(1j * a))):.6f}" for i, a in enumerate(angle)]
    (tmp_path / "a.csv").write_text("\n".join(["residue,phi", *rows]))
    table = Columns(angles="deg")
    assert (
        run_safely(lambda: fit_command(tmp_path / "a.csv", tmp_path / "m", 1, figure=False, table=table, config=quick))
        == 0
    )
    assert "column residue left out" in capsys.readouterr().err
    assert run_safely(lambda: sample_command(tmp_path / "m", 2000, tmp_path / "s.csv")) == 0
    drawn = np.genfromtxt(tmp_path / "s.csv", delimiter=",", names=True)["phi"]
    assert drawn.min() < -170
    assert drawn.max() > 170
    # The mean direction, to four standard errors and what a short fit is off.
    assert abs(np.angle(-np.exp(1j * np.radians(drawn)).mean())) < 0.15
    assert run_safely(lambda: score_command(tmp_path / "m", tmp_path / "a.csv", tmp_path / "d.parquet")) == 0
    scores = pl.read_parquet(tmp_path / "d.parquet")
    truth = vonmises.logpdf(angle, 2, loc=np.pi).mean()
    assert abs(scores["log_density_per_rad"].mean() - truth) < 0.05
    assert run_safely(lambda: plot_command(tmp_path / "m", tmp_path / "p.png", tmp_path / "a.csv")) == 0
    assert run_safely(lambda: report_command(tmp_path / "m", tmp_path / "r.html", tmp_path / "a.csv")) == 0
    page = (tmp_path / "r.html").read_text()
    assert page.count("data:image/png;base64,") == 4  # manifold, samples, scores, training
    assert "1 component, closed" in page
    assert "negative log-density per rad" in page
    ours, kernel = (
        float(re.search(rf"{name}</th><td>(-?[0-9.]+) ±", page)[1]) for name in ("density, model", "density on it")
    )
    assert abs(ours + truth) < 0.05
    # Each point against the others: a fifth fewer, and as smooth as they allow.
    assert -truth - 0.02 < kernel < -truth + 0.15


def test_a_model_directory_describes_itself_and_holds_no_pickle(model):
    description = json.loads((model / "model.json").read_text())
    assert description["dimension"] == 2
    assert description["codimension"] == 1
    assert description["config"]["zero_set"]["hidden"] == [16]
    loaded = storage.load(model)
    np.testing.assert_allclose(np.asarray(loaded.scaling.shift), 1000, atol=10)
    assert not [path for path in model.rglob("*") if path.suffix in (".pkl", ".pickle")]


@pytest.mark.parametrize(
    ("name", "content", "codimension", "expected"),
    [
        ("nan.csv", "1,2\n3,nan\n5,6\n7,8\n", 1, "row 2 has a missing cell"),
        ("inf.csv", "1,2\n3,4\n5,inf\n7,8\n", 1, "1 points hold NaN or infinite values (first: row 3)"),
        ("empty.csv", "", 1, "is empty"),
        ("header.csv", "x,y\n", 1, "holds no numbers"),
        ("column.csv", "1\n2\n3\n", 1, "one coordinate"),
        ("text.csv", "1,2\nhello,4\n5,6\n", 1, "row 2 holds 'hello' in column x0"),
        ("ragged.csv", "1,2\n3\n5,6\n", 1, "row 2 has a missing cell"),
        ("good.csv", "1,2\n3,4\n5,7\n", 0, "codimension 0 is not between 1 and 1"),
        ("good.csv", "1,2\n3,4\n5,7\n", 2, "codimension 2 is not between 1 and 1"),
        ("few.csv", "1,2\n3,4\n1,2\n", 1, "2 distinct points are too few"),
        ("points.xls", "1,2\n3,4\n5,7\n", 1, "must end in .csv, "),
        ("broken.npy", "1,2\n3,4\n5,7\n", 1, "is not a numeric .npy file"),
    ],
)
def test_points_that_cannot_be_used_are_refused_in_one_line(
    tmp_path, capsys, name, content, codimension, expected, quick
):
    (tmp_path / name).write_text(content)
    code, said = outcome(capsys, lambda: fit_command(tmp_path / name, tmp_path / "out", codimension, config=quick))
    assert code == 2
    assert expected in said
    assert not (tmp_path / "out").exists()


def test_the_dimension_of_points_is_told_and_its_spectrum_drawn(tmp_path, capsys, quick):
    np.save(tmp_path / "ring.npy", ring(400))
    brief = replace(quick.ridge.denoising, num_steps=300, hidden=(32, 32))
    dimension_command(tmp_path / "ring.npy", tmp_path / "spectrum.png", config=brief)
    said = capsys.readouterr().out
    assert "codimension 1: voted for by" in said
    assert (tmp_path / "spectrum.png").stat().st_size > 5000
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(400, 2)))
    assert run_safely(lambda: dimension_command(tmp_path / "cloud.npy", config=brief)) == 2
    assert "may fill their space" in capsys.readouterr().err


def test_a_missing_file_and_an_object_array_are_refused(tmp_path, capsys, quick):
    code, said = outcome(capsys, lambda: fit_command(tmp_path / "no.csv", tmp_path / "out", 1, config=quick))
    assert (code, "is not a file" in said) == (2, True)
    np.save(tmp_path / "o.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    code, said = outcome(capsys, lambda: fit_command(tmp_path / "o.npy", tmp_path / "out", 1, config=quick))
    assert (code, "numeric .npy" in said) == (2, True)


def test_nothing_that_exists_is_overwritten(model, tmp_path, capsys, quick):
    before = {path: path.stat().st_mtime_ns for path in model.rglob("*")}
    np.save(tmp_path / "ring.npy", ring())
    code, said = outcome(capsys, lambda: fit_command(tmp_path / "ring.npy", model, 1, config=quick))
    assert (code, "exists; name a new path" in said) == (2, True)
    assert before == {path: path.stat().st_mtime_ns for path in model.rglob("*")}
    (tmp_path / "s.csv").write_text("mine")
    for call in (
        lambda: sample_command(model, 3, tmp_path / "s.csv"),
        lambda: project_command(model, tmp_path / "ring.npy", tmp_path / "s.csv"),
        lambda: score_command(model, tmp_path / "ring.npy", tmp_path / "s.csv"),
    ):
        code, said = outcome(capsys, call)
        assert (code, "exists" in said) == (2, True)
    assert (tmp_path / "s.csv").read_text() == "mine"


def test_a_damaged_or_missing_model_is_refused_in_one_line(model, tmp_path, capsys):
    code, said = outcome(capsys, lambda: sample_command(tmp_path, 3, tmp_path / "s.csv"))
    assert (code, "is not a model directory" in said) == (2, True)
    for damage in ("truncate", "remove", "json", "format"):
        broken = tmp_path / damage
        shutil.copytree(model, broken)
        if damage == "truncate":
            for path in (broken / "parameters").rglob("*"):
                if path.is_file():
                    path.write_bytes(path.read_bytes()[:10])
        if damage == "remove":
            shutil.rmtree(broken / "parameters")
        if damage == "json":
            (broken / "model.json").write_text("{")
        if damage == "format":
            description = json.loads((broken / "model.json").read_text())
            (broken / "model.json").write_text(json.dumps(description | {"format": 99}))
        code, said = outcome(capsys, lambda broken=broken: sample_command(broken, 3, tmp_path / "s.csv"))
        assert code == 2, damage
        assert str(broken) in said
        assert "fit" in said


def test_points_of_another_dimension_are_refused(model, tmp_path, capsys):
    np.save(tmp_path / "three.npy", np.zeros((4, 3)))
    code, said = outcome(capsys, lambda: score_command(model, tmp_path / "three.npy", tmp_path / "e.csv"))
    assert (code, "has 3 columns" in said) == (2, True)


@pytest.mark.slow
def test_repeated_points_and_constant_columns_are_counted_and_kept(tmp_path, capsys, quick):
    flat = np.column_stack([ring(100), np.full(100, 7.0)])
    np.save(tmp_path / "flat.npy", np.concatenate([flat, flat[:3]]))
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert (
            run_safely(lambda: fit_command(tmp_path / "flat.npy", tmp_path / "model", 2, figure=False, config=quick))
            == 0
        )
    said = capsys.readouterr().err
    assert "warning: 3 of 103 points repeat others; they are kept" in said
    assert "warning: 1 of 3 coordinates are constant; they are kept" in said


def test_training_that_diverges_ends_with_exit_code_3_and_no_model(tmp_path, capsys):
    wild = FitConfig(
        ManifoldConfig(hidden=(4,), restarts=1, warmup_steps=0, num_steps=50, learning_rate=1e30), manifold="zero-set"
    )
    np.save(tmp_path / "ring.npy", ring())
    capsys.readouterr()
    assert run_safely(lambda: fit_command(tmp_path / "ring.npy", tmp_path / "model", 1, config=wild)) == 3
    assert "was not finite at step" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_the_command_parses_its_words_and_exits_with_a_code(tmp_path, capsys, monkeypatch):
    words = ["implicit-manifolds", "fit", str(tmp_path / "no.csv"), "--codimension", "1", "--out", str(tmp_path / "m")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "is not a file" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["implicit-manifolds", "sample", "--help", "--no-compilation-cache"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "-n" in capsys.readouterr().out


def test_programs_are_kept_in_the_users_cache_unless_jax_is_told_otherwise(tmp_path):
    told = (
        "import jax; from implicit_manifolds._compilation import keep_programs; folder = keep_programs(); "
        "jax.jit(lambda x: 2 * x)(1.0); print(folder and len(list(folder.iterdir())))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    clean |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    run = lambda more: subprocess.run(
        [sys.executable, "-c", told], env=clean | more, capture_output=True, text=True, check=True
    )
    first, again = run({}), run({})
    assert int(first.stdout) > 0
    assert "--no-compilation-cache turns that off" in first.stderr
    assert again.stderr == ""
    assert run({"JAX_ENABLE_COMPILATION_CACHE": "false"}).stdout.strip() == "None"


def test_points_none_of_which_has_a_nearest_one_are_told(capsys):
    near = NearestPoints(np.zeros((3, 2)), np.ones(3), np.zeros(3, bool))
    assert outcome(capsys, lambda: fitting._report_distances(near)) == (
        0, "3 of 3 searches for nearest points did not converge",
    )  # fmt: skip


def test_a_surface_that_no_point_reaches_is_a_sentence_and_a_bug_is_not(capsys):
    def unreached():
        raise ArithmeticError("no training point could be projected; train longer")

    assert outcome(capsys, unreached) == (3, "error: no training point could be projected; train longer")
    with pytest.raises(ZeroDivisionError):
        run_safely(lambda: 1 / 0)


def test_a_model_that_cannot_be_written_is_kept_elsewhere_and_a_path_that_never_could_is_refused_at_once(
    tmp_path, capsys, monkeypatch, quick
):
    np.save(tmp_path / "ring.npy", ring(100))
    saved = storage.save

    def full(path, *rest):
        if path.parent == tmp_path:
            raise OSError(28, "No space left on device")
        saved(path, *rest)

    monkeypatch.setattr(storage, "save", full)
    assert run_safely(lambda: fit_command(tmp_path / "ring.npy", tmp_path / "model", 1, config=quick)) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device" in said
    kept = Path(said.rsplit(" ", 1)[1])
    assert storage.load(kept).manifold.dimension == 1
    shutil.rmtree(kept.parent)
    (tmp_path / "file").write_text("")
    code, said = outcome(capsys, lambda: fit_command(tmp_path / "ring.npy", tmp_path / "file" / "m", 1, config=quick))
    assert (code, "cannot be made" in said) == (2, True)


JUNK = [
    "0",
    "-1",
    "7",
    "1e999",
    "nan",
    "",
    "x",
    "x,y",
    "x,x",
    "é",
    "--",
    "/",
    "a.csv",
    "b.csv",
    "MODEL",
    "deg",
    "drop",
    "ridge",
]
OPTIONS = ["--seed", "--codimension", "--columns", "--angles", "--angle-columns", "--missing", "--lonlat", "--manifold"]
OPTIONS += [
    "--energy-loss",
    "--zero-set.restarts",
    "--box-margin",
    "-n",
    "--num-steps",
    "--points",
    "--method",
    "--out",
]
COMMANDS = [
    "fit",
    "report",
    "sample",
    "score",
    "project",
    "plot",
    "topology",
    "dimension",
    "--version",
    "--help",
    "other",
]
PAIRS = st.lists(st.tuples(st.sampled_from([*OPTIONS, "--what"]), st.sampled_from(JUNK)), max_size=3)
PLACES = st.lists(st.sampled_from(["a.csv", "MODEL", "none.npy"]), max_size=2)
OUTS = st.sampled_from([[], ["--out", "new.csv"], ["--out", "new.png"], ["--out", "a.csv"], ["--out", "a.csv/new.npy"]])


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(command=st.sampled_from(COMMANDS), places=PLACES, out=OUTS, pairs=PAIRS)
def test_whatever_words_are_given_the_command_ends_with_a_code(
    command, places, out, pairs, model, monkeypatch, tmp_path_factory
):
    def refused(*_, **__):
        raise InputError("nothing is trained here")

    folder = tmp_path_factory.mktemp("words")
    (folder / "a.csv").write_text("x,y\n1,2\n3,4\n5,7\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(fitting, "fit", refused)
    monkeypatch.setattr(fitting, "denoised", refused)
    words = [command, *places, *out, *(word for pair in pairs for word in pair)]
    given = [str(model) if word == "MODEL" else word for word in words]
    monkeypatch.setattr(sys, "argv", ["implicit-manifolds", "--no-compilation-cache", *given])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code in (None, 0, 2, 3)
