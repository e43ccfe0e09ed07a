"""Cells of the comparison with rivals: a JSON file each, with seed, version and time, so that runs can be resumed."""

import hashlib
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import implicit_manifolds
from experiments.common.places import RESULTS

CELLS = RESULTS / "cells"


def cell_path(directory: Path, *names: str, seed: int) -> Path:
    """The file of a cell: its names, and its seed."""
    return directory / f"{'-'.join(names)}-seed{seed}.json"


def made_by(*more: Path) -> dict[str, str]:
    """The library's version and a hash of its code, and of `more` files, so that what other code made can be told."""
    files = sorted(Path(implicit_manifolds.__file__).parent.rglob("*.py")) + sorted(more)
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    return {"version": version("implicit-manifolds"), "sources": sources}


def write_cell(path: Path, identity: dict[str, Any], fit: Callable[[], Any], judge: Callable[[Any], dict]) -> dict:
    """Fit, judge what was fitted, and write both results and the seconds of either to `path`; returns the cell."""
    started, cpu_started = time.perf_counter(), time.process_time()
    fitted = fit()
    seconds, cpu_fitted = time.perf_counter() - started, time.process_time()
    judged = judge(fitted)
    cpu = {"fit_cpu_seconds": cpu_fitted - cpu_started, "judge_cpu_seconds": time.process_time() - cpu_fitted}
    cell = identity | made_by() | judged | {"fit_seconds": seconds} | cpu
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cell, indent=1) + "\n")
    print(json.dumps(cell, indent=1))
    return cell
