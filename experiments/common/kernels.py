"""Kernel densities of two bandwidths, chosen by validation: what the models are held against."""

from itertools import combinations

import numpy as np

SHARES = np.linspace(0.05, 0.95, 19)


def two_bandwidths(judged: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Log-densities of test points, (M,), under the best mixture of two of the given bandwidths.

    judged (V, c), tested (M, c): kernel densities of each bandwidth at validation and test points. The pair and its
    shares are those of greatest validation likelihood.
    """

    def log_mixture(densities, option):
        share, i, j = option
        return np.log(share * densities[:, i] + (1 - share) * densities[:, j] + 1e-300)

    options = [(share, i, j) for i, j in combinations(range(judged.shape[1]), 2) for share in SHARES]
    return log_mixture(tested, max(options, key=lambda option: log_mixture(judged, option).mean()))
