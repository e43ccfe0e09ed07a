"""Fréchet distance between normal laws with the moments of two point sets (Dowson & Landau 1982)."""

import numpy as np
from scipy.linalg import eigh

from .._types import Float


def frechet_distance(first: Float[np.ndarray, "N n"], second: Float[np.ndarray, "M n"]) -> float:
    """‖m₁ - m₂‖² + tr(C₁ + C₂ - 2 (C₁C₂)^½), means and covariances of the two sets: squared, in squared data units.

    By eigenvalues of C₁^½ C₂ C₁^½, which is symmetric, so that singular covariances do no harm.
    """
    covariances = [np.atleast_2d(np.cov(points, rowvar=False)) for points in (first, second)]
    values, vectors = eigh(covariances[0])
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(eigh(root @ covariances[1] @ root, eigvals_only=True), 0)).sum()
    means = np.sum((first.mean(axis=0) - second.mean(axis=0)) ** 2)
    return float(means + sum(np.trace(covariance) for covariance in covariances) - 2 * cross)
