"""Maximum mean discrepancy between point sets (Gretton et al. 2012)."""

import numpy as np

from .._types import Float


def squared_mmd(
    first: Float[np.ndarray, "N n"], second: Float[np.ndarray, "M n"], bandwidth: float | None = None
) -> float:
    """Unbiased squared MMD of two point sets, Gaussian kernel; it may be negative where they are alike.

    bandwidth: standard deviation of the kernel in data units, the median distance among `second` unless given
    (Gretton et al. 2012, lemma 6).
    """
    within, across, reference = _squared(first, first), _squared(first, second), _squared(second, second)
    if bandwidth is None:
        bandwidth = float(np.sqrt(np.median(reference[np.triu_indices(len(second), 1)])))
    kernels = [np.exp(-squared / (2 * bandwidth**2)) for squared in (within, across, reference)]
    means = [(kernel.sum() - len(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in kernels[::2]]
    return float(sum(means) - 2 * kernels[1].mean())


def _squared(first, second):
    return np.maximum((first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T, 0)
