"""What a user waits for, and in how much memory: the first fit of a process, draws, scores, and a million points.

Each figure is of a process of its own, so that its memory is its own. `--label` names the code that is timed, so that
what landed before stands beside it. Run it from another commit's directory with this file's path to time that commit.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

RESULTS = Path(__file__).parent / "results" / "workloads.json"
PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
NAMES = {
    "first": "`fit` of a sphere, 1,000 points, in a fresh process",
    "cached": "the same, programs kept by an earlier process",
    "again": "the same, programs compiled in this process",
    "samples": "10,000 samples, programs compiled",
    "scores": "1,000 log-densities, programs compiled",
    "fit": "`fit` of {:,} points of a sphere",
    "fit mapped": "`fit` of {:,}, from a memory map",
    "score all": "`log_density` of {:,} points",
    "sample all": "`sample` of {:,} points",
}


@dataclass(frozen=True)
class Options:
    """Options of the benchmark.

    out: JSON to add to. label: what is timed. parts: which of `NAMES`, all unless given. points: of the large fits.
    rows: of the large draws and scores. worker: a part that this very process times. model: where workers find or
    leave a model. page: write the table of docs/scale.md from OUT.
    """

    out: Path = RESULTS
    label: str = "now"
    parts: tuple[str, ...] = tuple(NAMES)
    points: int = 1_000_000
    rows: int = 10_000_000
    worker: str | None = None
    model: Path = Path("model")
    page: bool = False


def main(options: Options) -> None:
    """Time every part in a process of its own, and print the table; or be such a process."""
    if options.worker is not None:
        print(json.dumps(PARTS[options.worker](options)))
        return
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        for part in options.parts if not options.page else ():
            row = _measured(part, options, Path(scratch))
            found.setdefault(options.label, {})[part] = row
            print(f"{part}: {row}", flush=True)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    if options.page:
        from experiments.common.markdown import replace_between_marks

        replace_between_marks(PAGE, "workloads", table(found))


def _measured(part: str, options: Options, scratch: Path) -> dict[str, float]:
    """Seconds and peak MiB of a part in a process that keeps programs under the scratch directory, or finds them."""
    environment = dict(os.environ)
    if part != "first":
        environment["JAX_COMPILATION_CACHE_DIR"] = str(scratch / "programs")
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    sizes = ["--points", str(options.points), "--rows", str(options.rows)]
    command = [sys.executable, __file__, "--worker", part, "--model", str(scratch / "model"), *sizes]
    times = []
    for _ in range(2 if part == "cached" else 1):  # the first fills the cache
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        times.append(time.perf_counter() - began)
    row = json.loads(done.stdout.splitlines()[-1])
    return row | {"process_seconds": times[-1]}


def sphere(count: int) -> np.ndarray:
    """Points on the unit sphere, more on one side, (count, 3)."""
    points = np.random.default_rng(0).normal((1.0, 0.0, 0.0), size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _told(seconds: float) -> dict[str, float]:
    return {"seconds": seconds, "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _median(call: Callable, repeats: int = 9) -> float:
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def _fit(options: Options, count: int, again: bool = False, mapped: bool = False) -> dict[str, float]:
    import jax

    import implicit_manifolds as im

    points = sphere(count)
    if mapped:
        np.save(options.model.with_suffix(".npy"), points)
        points = np.load(options.model.with_suffix(".npy"), mmap_mode="r")
    if again:
        im.fit(jax.random.key(1), points, 1)
    began = time.perf_counter()
    model = im.fit(jax.random.key(0), points, 1).model
    seconds = time.perf_counter() - began
    if not options.model.exists():
        im.save(options.model, model, im.FitConfig(), 0)
    return _told(seconds)


def _scores(options: Options, count: int, repeats: int) -> dict[str, float]:
    import implicit_manifolds as im

    model, points = im.load(options.model), sphere(count)
    im.log_density(model, points[:1000])
    score = lambda: im.log_density(model, points)
    return _told(_median(score, repeats) if repeats else _once(score))


def _samples(options: Options, count: int, repeats: int) -> dict[str, float]:
    import jax

    import implicit_manifolds as im

    model = im.load(options.model)
    im.sample(jax.random.key(1), model, 10_000)
    draw = lambda: im.sample(jax.random.key(0), model, count)
    return _told(_median(draw, repeats) if repeats else _once(draw))


def _once(call: Callable) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


PARTS: dict[str, Callable[[Options], dict[str, float]]] = {
    "first": lambda options: _fit(options, 1000),
    "cached": lambda options: _fit(options, 1000),
    "again": lambda options: _fit(options, 1000, again=True),
    "samples": lambda options: _samples(options, 10_000, 9),
    "scores": lambda options: _scores(options, 1000, 9),
    "fit": lambda options: _fit(options, options.points) | {"count": options.points},
    "fit mapped": lambda options: _fit(options, options.points, mapped=True) | {"count": options.points},
    "score all": lambda options: _scores(options, options.rows, 0) | {"count": options.rows},
    "sample all": lambda options: _samples(options, options.rows, 0) | {"count": options.rows},
}


def table(found: dict[str, dict]) -> str:
    """A row a workload: seconds and peak memory by each label."""
    labels = list(found)
    heads = [head for label in labels for head in (f"s, {label}", f"peak MiB, {label}")]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for part, name in NAMES.items():
        rows = [found[label].get(part) for label in labels]
        if not any(rows):
            continue
        counts = [row["count"] for row in rows if row and "count" in row]
        cells = [cell for row in rows for cell in (_seconds(row), f"{row['peak_MiB']:,.0f}" if row else "")]
        lines.append(f"| {name.format(*counts[:1])} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seconds(row: dict | None) -> str:
    if row is None:
        return ""
    return f"{row['seconds']:.3f}" if row["seconds"] < 1 else f"{row['seconds']:.1f}"


if __name__ == "__main__":
    main(tyro.cli(Options))
