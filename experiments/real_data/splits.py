"""Which rows are held out: at random, at random of distinct rows, or whole groups of rows at once."""

from typing import Literal

import numpy as np

from implicit_manifolds.datasets.splits import split

HELD_OUT = 0.2
How = Literal["random", "distinct", "tiles", "entries"]


def split_rows(rows: np.ndarray, groups: np.ndarray | None, how: How, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of rows (N, d) to train on and to test by.

    "random" is the order of `datasets.splits.split`, so that its 80 % to train are these; "distinct" does it to the
    rows without repeats; "tiles" and "entries" hold out whole groups (N,), in a random order, as long as the test has
    no more than `HELD_OUT` of the rows.
    """
    if how in ("tiles", "entries"):
        assert groups is not None
        return _by_group(groups, seed)
    kept = np.arange(len(rows))
    if how == "distinct":
        kept = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    train, _, test = split(kept, seed, (1 - HELD_OUT, 0.0, HELD_OUT))
    return train, test


def _by_group(groups: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    held, left = [], HELD_OUT * len(groups)
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        if sizes[group] <= left:
            held.append(group)
            left -= sizes[group]
    out = np.isin(member, held)
    return np.flatnonzero(~out), np.flatnonzero(out)


def tiles(points: np.ndarray, degrees: float = 10.0) -> np.ndarray:
    """The tile of each unit vector (N, 3), (N,): a cell of so many degrees of latitude and longitude."""
    latitude = np.degrees(np.arcsin(np.clip(points[:, 2], -1, 1)))
    longitude = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    row, column = (np.floor((angle + 180) / degrees).astype(int) for angle in (latitude, longitude))
    return row * 1000 + column


def twins(train: np.ndarray, test: np.ndarray) -> float:
    """Share of the test rows (M, d) that stand among the training rows (N, d) as well."""
    seen = {row.tobytes() for row in np.ascontiguousarray(train)}
    return float(np.mean([row.tobytes() in seen for row in np.ascontiguousarray(test)]))
