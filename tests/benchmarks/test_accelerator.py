"""The measurements for accelerators run on a CPU as well, and go on where they were."""

import json

import pytest

from benchmarks.accelerator.__main__ import Options, main
from benchmarks.accelerator.figures import Figures, Measurement


@pytest.mark.slow
def test_chains_and_rivals_are_measured_once(tmp_path, capsys):
    options = Options(minutes=20, out=tmp_path, parts=("info", "hmc", "rivals", "training"))
    main(options)
    lines = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    assert [line["part"] for line in lines] == ["info", *["hmc"] * 3, *["rivals"] * 2, "training"]
    assert all(line["leapfrogs_a_second"] > 0 for line in lines[1:-1])
    assert (tmp_path / lines[-1]["samples"]).exists()
    main(options)
    assert len((tmp_path / "figures.jsonl").read_text().splitlines()) == 7


def test_what_fails_or_has_no_time_is_told_and_tried_again(tmp_path, capsys):
    def broken():
        raise ZeroDivisionError("nothing")

    for _ in range(2):
        figures = Figures(tmp_path / "figures.jsonl")
        measurements = [
            Measurement({"n": 1}, 0, broken), Measurement({"n": 2}, 1e12, dict), Measurement({"n": 3}, 0, dict)
        ]  # fmt: skip
        figures.fill("part", iter(measurements), 1e11)
    lines = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    assert [(line["n"], "failed" in line) for line in lines] == [(1, True), (3, False), (1, True)]
    assert "no time" in capsys.readouterr().out
