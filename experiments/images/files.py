"""Files of arrays that appear whole or not at all, and work that a stopped run need not do again."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from implicit_manifolds.training.pause import pause_if_late


def save_whole(path: Path, **arrays: Any) -> None:
    """Write an .npz that appears whole or not at all, and its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **arrays)
    partial.replace(path)


def kept(directory: Path | None, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What `make` gave, and the seconds that took; from NAME.npz of the directory, written there the first time.

    Raises `Paused` after that, when the time of `stopping_after` is over.
    """
    path = None if directory is None else directory / f"{name}.npz"
    if path is not None and path.exists():
        with np.load(path) as arrays:
            return dict(arrays)
    started = time.perf_counter()
    made = make()
    made |= {"seconds": np.asarray(time.perf_counter() - started)}
    if path is not None:
        save_whole(path, **made)
        pause_if_late()
    return made
