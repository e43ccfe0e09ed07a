"""Faults of machines and files: kills, full disks, two at once, old models, bits that flip."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reliability import kills
from implicit_manifolds import InputError, load
from implicit_manifolds.training import checkpoint

TESTED = kills.ROOT / "tests" / "data"
FULL = "200k"
"""Size of a file system that a model or a table does not fit on."""


def rows(number: int) -> list[dict[str, Any]]:
    """All of them, `number` kills shared among the stages."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stages = kills.stages(folder)
        found = list(_killed(stages, folder, number))
        found += [
            *_full(folder),
            _at_once(stages[0], folder),
            *_old(),
            _damaged_model(folder),
            _damaged_checkpoint(folder),
        ]
    return found


def _row(fault: str, tried: str, happened: str, right: bool) -> dict[str, Any]:
    """A line of the table, without paths that are this machine's."""
    happened = re.sub(re.escape(tempfile.gettempdir()) + r"/[^/]+", "(a temporary folder)", happened)
    return {"fault": fault, "tried": tried, "what happened": happened, "right": bool(right)}


def _killed(stages: list[kills.Stage], folder: Path, number: int) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(0)
    for place, stage in enumerate(stages):
        share = number // len(stages) + (place < number % len(stages))
        told = kills.killed(stage, folder, share, random)
        happened = (
            f"{told['same as never killed']} of {told['runs']} runs ended as one that is never killed, bit for bit; "
            f"{told['broken in between']} files were broken in between"
        )
        right = told["same as never killed"] == told["runs"] and not told["broken in between"]
        yield _row(
            "kill -9", f"{stage.name}: {told['kills']} kills of a run of {told['seconds']:.0f} s", happened, right
        )


def _full(folder: Path) -> Iterator[dict[str, Any]]:
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL}", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        return
    try:
        commands = {
            "a table of samples": ["sample", "fitted", "-n", "50000", "--out", "disk/samples.csv"],
            "a model": ["fit", "ring.csv", "--out", "disk/model", *kills.QUICK],
            "checkpoints": ["fit", "ring.csv", "--out", "disk/model", "--resume", "True", *kills.QUICK],
        }
        for name, words in commands.items():
            (disk / "filling").write_bytes(bytes(150_000))
            ended = subprocess.run([*kills.COMMAND, *words], cwd=folder, capture_output=True, text=True)
            left = sorted(path.name for path in disk.iterdir() if path.name not in ("filling", "model.checkpoints"))
            said = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
            happened = (
                f"exit code {ended.returncode}, {said[-1] if said else ended.stderr.strip()[-200:]!r}, left: {left}"
            )
            right = ended.returncode == 2 and len(said) == 1 and not left and "Traceback" not in ended.stderr
            yield _row("a full disk", name, happened, right)
            shutil.rmtree(disk / "model.checkpoints", ignore_errors=True)
    finally:
        subprocess.run(["umount", disk], check=True)


def _at_once(stage: kills.Stage, folder: Path) -> dict[str, Any]:
    here = folder / "at-once"
    here.mkdir()
    both = [subprocess.Popen(stage.words, cwd=here, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(process.communicate()[1], process.returncode) for process in both]
    codes = sorted(code for _, code in ended)
    said = [line for text, _ in ended for line in text.splitlines() if line.startswith("error:")]
    happened = f"exit codes {codes}; {'; '.join(said)}"
    right = codes == [0, 2] and load(here / "model").manifold.dimension == 1
    return _row("two at once", f"two of `{stage.name}` into one directory", happened, right)


def _old() -> Iterator[dict[str, Any]]:
    for path in sorted(TESTED.glob("model-*")):
        model = load(path)
        happened = f"loads: {model.manifold.dimension} dimension in R{model.manifold.ambient_dimension}"
        yield _row("an old model", f"one of version {path.name.removeprefix('model-')}", happened, True)


def _damaged_model(folder: Path) -> dict[str, Any]:
    random, said, tried = np.random.default_rng(0), [], 0
    files = [path for path in (folder / "fitted").rglob("*") if path.is_file() and path.stat().st_size]
    for file in files:
        for cut in (True, *[False] * 5):
            copy = folder / "damaged"
            shutil.copytree(folder / "fitted", copy)
            _damage(copy / file.relative_to(folder / "fitted"), random, cut)
            tried += 1
            try:
                load(copy)
            except InputError as error:
                said.append(str(error))
            shutil.rmtree(copy)
    one = said[-1] if said else ""
    return _row(
        "bits",
        f"a model's files, each cut short once and with a bit flipped five times: {tried}",
        f"{len(said)} refused in a sentence, such as: {one}",
        len(said) == tried,
    )


def _damaged_checkpoint(folder: Path) -> dict[str, Any]:
    import warnings

    random, told = np.random.default_rng(0), 0
    tree = {"values": np.arange(1000.0)}
    for number in range(20):
        directory = folder / f"checkpoints-{number}"
        for done in (1, 2):
            checkpoint.save(directory, done, tree, [{"loss": np.arange(done)}])
        files = [path for path in (directory / "2").rglob("*") if path.is_file() and path.stat().st_size]
        _damage(files[random.integers(len(files))], random, cut=bool(number % 2))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = checkpoint.restore_latest(directory, tree)
        told += found is not None and found[0] == 1 and any("damaged" in str(one.message) for one in caught)
    return _row(
        "bits",
        "the newest of two checkpoints, a file cut short or with a bit flipped: 20",
        f"{told} told, removed, and the one before taken",
        told == 20,
    )


def _damage(file: Path, random: np.random.Generator, cut: bool) -> None:
    content = bytearray(file.read_bytes())
    content[random.integers(len(content))] ^= 1 << int(random.integers(8))
    file.write_bytes(bytes(content[: len(content) // 2] if cut else content))
