"""Files of arrays that appear whole or not at all, and work that a stopped run need not do again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def save_whole(path: Path, **arrays: Any) -> None:
    """Write an .npz that appears whole or not at all, and its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **arrays)
    partial.replace(path)


def kept(path: Path | None, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays in the file, if there is one; else what `make` gives, written there."""
    if path is not None and path.exists():
        with np.load(path) as arrays:
            return dict(arrays)
    made = make()
    if path is not None:
        save_whole(path, **made)
    return made
