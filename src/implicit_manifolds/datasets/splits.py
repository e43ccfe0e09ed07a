"""Training, validation and test parts of a data set."""

import numpy as np

from ..errors import InputError


def split(
    points: np.ndarray, seed: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, validation and test rows of `points` (N, ...), permuted by `seed`; each row is in exactly one.

    Sizes are the fractions of N rounded, so parts of a small set can be empty. Raises InputError where the
    fractions are negative or do not add up to 1.
    """
    if min(fractions) < 0 or not np.isclose(sum(fractions), 1):
        raise InputError(f"fractions are {fractions}; give three that are not negative and add up to 1")
    ends = np.rint(np.cumsum(fractions)[:2] * len(points)).astype(int)
    train, validation, test = np.split(points[np.random.default_rng(seed).permutation(len(points))], ends)
    return train, validation, test
