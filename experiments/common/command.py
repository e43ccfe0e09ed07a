"""How experiments run from a command line, and where they may write."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import tyro

from implicit_manifolds.cli import run_safely
from implicit_manifolds.errors import DataUnavailable, InputError

STARTED = ".experiment"
"""A file that marks a directory as an experiment's until it has metrics: what a stopped one left can be replaced."""


def main(run: Callable[[Any], object], options: type) -> None:
    """Parse the options, run, and exit as the command line does: 2 for what the user can mend."""

    def call() -> None:
        try:
            # Some accelerators round products to ten bits unless told not to; zeros are then out of reach.
            jax.config.update("jax_default_matmul_precision", "highest")
            run(tyro.cli(options))
        except DataUnavailable as error:
            raise InputError(str(error)) from error

    sys.exit(run_safely(call))


def claim(out: Path, replaceable: bool) -> Path:
    """The output directory, made anew; raises InputError where it exists and may not be replaced."""
    if out.exists():
        ours = any((out / name).is_file() for name in (STARTED, "metrics.json"))
        if not (replaceable and ours):
            raise InputError(f"{out} exists; name another --out, or pass --replace for one that an experiment wrote")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / STARTED).touch()
    return out


def claim_file(path: Path, replaceable: bool) -> None:
    """Raises InputError where a file exists and may not be replaced."""
    if path.exists() and not replaceable:
        raise InputError(f"{path} exists; name another --out, or pass --replace")
