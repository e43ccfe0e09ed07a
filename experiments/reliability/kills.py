"""Runs that are killed at random moments and taken up again, and what is there afterwards."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.common.places import README
from experiments.reliability.models import ring
from implicit_manifolds.training.checkpoint import load_arrays

ROOT = README.parent
COMMAND = [sys.executable, "-c", "from implicit_manifolds.cli import main; main()"]
REWRITE = """
from pathlib import Path
from experiments.common.markdown import replace_between_marks
for number in range(300):
    replace_between_marks(Path("page.md"), "numbers", f"new {number}")
"""
IMAGES = """
from pathlib import Path
from experiments.images import run
run.have_public_network = lambda: False
here = Path(".").absolute()
run.run_images(run.ImageOptions("mnist", "ae_ebm", "smoke", 0, here / "results", here / "checkpoints"))
"""
QUICK = [
    *(
        "--manifold",
        "zero-set",
        "--zero-set.hidden",
        "16",
        "--zero-set.restarts",
        "2",
        "--zero-set.warmup-steps",
        "500",
    ),
    *(
        "--zero-set.num-steps",
        "50",
        "--energy-loss",
        "score-matching",
        "--score-matching.num-steps",
        "200",
        "--figure",
        "False",
    ),
]
"""Settings under which a fit takes seconds; its stages and files are those of any."""


SAID = "said.txt"
"""What a command printed, for those whose end was another."""


class Stage(NamedTuple):
    """What is killed: the words of its command, and what it leaves.

    left(folder) gives what can be compared with that of another run, or None where there is nothing yet; it raises
    where what is there is broken.
    """

    name: str
    words: list[str]
    left: Callable[[Path], Any]


def stages(folder: Path) -> list[Stage]:
    """Fits, files of samples, tables, images. Their inputs are made in `folder`."""
    np.savetxt(folder / "ring.csv", ring(400), delimiter=",", header="x,y", comments="")
    run([*COMMAND, "fit", "ring.csv", "--out", "fitted", *QUICK], folder)
    return [
        Stage("fit --resume", [*COMMAND, "fit", "../ring.csv", "--out", "model", "--resume", "True", *QUICK], _model),
        Stage("sample to a file", [*COMMAND, "sample", "../fitted", "-n", "50000", "--out", "samples.csv"], _table),
        Stage("a table of a page", [sys.executable, "-c", REWRITE], _page),
        Stage(
            "an image model, --checkpoints",
            [sys.executable, "-c", IMAGES],
            _images,
        ),
    ]


def run(words: list[str], folder: Path, seconds: float | None = None) -> int | None:
    """The exit code of a command in a folder; None where it was killed after so many seconds, by signal 9."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (folder / SAID).open("a") as said:
        options: dict[str, Any] = {"stdout": said, "stderr": said, "start_new_session": True}
        process = subprocess.Popen(words, cwd=folder, env=environment, **options)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def killed(stage: Stage, folder: Path, kills: int, random: np.random.Generator) -> dict[str, Any]:
    """Kill a stage so many times in all, each time at a moment drawn evenly, and take it up until it is done.

    It is done, too, where what it should leave was there when it was killed.
    """
    whole = folder / "never-killed"
    whole.mkdir()
    _prepare(whole)
    started = time.perf_counter()
    code = run(stage.words, whole)
    seconds = time.perf_counter() - started
    if code != 0:
        raise RuntimeError(f"{stage.name} ends with exit code {code} though nobody kills it")
    expected, done, same, broken, rounds = stage.left(whole), 0, 0, 0, 0
    while done < kills:
        here = folder / f"round-{rounds}"
        here.mkdir()
        _prepare(here)
        rounds += 1
        code = None
        while code is None:
            code = run(stage.words, here, float(random.uniform(0, 1.1 * seconds)) if done < kills else None)
            done += code is None
            broken += _is_broken(stage, here)
            if code is None and not _is_broken(stage, here) and _equal(stage.left(here), expected):
                code = 0
        if code == 0 and _equal(stage.left(here), expected):
            same += 1
        else:
            print(stage.name, code, (here / SAID).read_text()[-2000:], flush=True)
        shutil.rmtree(here)
    shutil.rmtree(whole)
    told = {"stage": stage.name, "kills": done, "runs": rounds, "seconds": round(seconds, 1)}
    return told | {"same as never killed": same, "broken in between": broken}


def _prepare(folder: Path) -> None:
    lines = [f"line {number}" for number in range(100_000)]
    table = ["<!-- numbers: made by nobody -->", "old", "<!-- end of numbers -->"]
    (folder / "page.md").write_text("\n".join([*lines, *table, *lines]) + "\n")


def _is_broken(stage: Stage, folder: Path) -> bool:
    try:
        stage.left(folder)
    except Exception:
        return True
    return False


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return (
            found is not None
            and found.keys() == expected.keys()
            and all(np.array_equal(found[name], expected[name], equal_nan=True) for name in expected)
        )
    return bool(found == expected)


def _model(folder: Path) -> dict[str, np.ndarray] | None:
    return load_arrays(folder / "model" / "parameters") if (folder / "model").exists() else None


def _table(folder: Path) -> dict[str, np.ndarray] | None:
    path = folder / "samples.csv"
    if not path.exists():
        return None
    values = np.loadtxt(path, delimiter=",", skiprows=1)
    if values.shape != (50_000, 2):
        raise ValueError(f"{values.shape} samples")
    return {"values": values}


def _page(folder: Path) -> str:
    text = (folder / "page.md").read_text()
    if text.count("line ") != 200_000 or "<!-- end of numbers -->" not in text:
        raise ValueError("the page is cut")
    return text


def _images(folder: Path) -> dict[str, np.ndarray] | None:
    found = list((folder / "results").glob("*.json")) if (folder / "results").exists() else []
    if not found:
        return None
    metrics = json.loads(found[0].read_text())
    return {name: np.asarray(value) for name, value in metrics.items() if name.startswith(("frechet", "precision"))}
