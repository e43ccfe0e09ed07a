"""A mass matrix from the draws of warm-up: the scale L of a sampler, with L Lᵀ their covariance."""

from typing import Literal

import numpy as np

from .._types import relative_tolerance

Metric = Literal["auto", "identity", "diagonal", "dense"]

UNEVEN = 3.0
"""Coordinates whose spreads differ less gain less by a scale than its determinants cost."""
CLEARLY = 1.5
"""How much faster the slowest coordinate must move under a scale than without for it to be kept."""
PRIOR = 5.0
"""Draws' worth of doubt in a covariance, as in Stan: so much of it is taken back towards the diagonal."""
STILL = 10
"""What is below this many times the accuracy of a position does not move."""
LEAST = 1e-10
"""A coordinate's variance over the largest, at least: one that the constraints hold still needs some."""


def accuracy_of(positions: np.ndarray) -> float:
    """Spread below which a coordinate of points (..., n) of one dtype is held by the constraints."""
    reach = max(1.0, float(np.median(np.linalg.norm(positions, axis=-1))))
    return STILL * relative_tolerance(positions.dtype) * reach


def scale_of(covariance: np.ndarray, draws: int) -> np.ndarray:
    """L, (n,) of variances (n,), or lower triangular (n, n) of a covariance matrix."""
    variances = np.diag(covariance) if covariance.ndim == 2 else covariance
    variances = np.maximum(variances, LEAST * variances.max())
    if covariance.ndim == 1:
        return np.sqrt(variances)
    spread = np.sqrt(variances)
    correlation = covariance / np.outer(spread, spread) * draws / (draws + PRIOR)
    np.fill_diagonal(correlation, 1 + 1e-6)  # what constraints hold still in a slanting direction needs some, too
    return spread[:, None] * np.linalg.cholesky(correlation)


def is_uneven(variances: np.ndarray, accuracy: float) -> bool:
    """Whether spreads of coordinates differ much, those apart that do not vary beyond the accuracy of a point."""
    spread = np.sqrt(variances)
    varying = spread[spread > accuracy]
    return len(varying) > 1 and bool(varying.max() > UNEVEN * varying.min())


def is_faster(step_size: float, scale: np.ndarray, step_size_without: float) -> bool:
    """Whether steps under a diagonal scale carry the widest coordinate farther than those without."""
    return bool(step_size * scale.max() > CLEARLY * step_size_without)
