"""Exact samples of known laws on circles, the sphere and the torus, and the circles' exact densities."""

import numpy as np
from scipy.special import i0e

from .proteins import torus_embedding


def von_mises_circle(rng: np.random.Generator, count: int, concentration: float = 2.0) -> np.ndarray:
    """Points (count, 2) of the unit circle whose angle is von Mises about 0."""
    return _circle_point(rng.vonmises(0.0, concentration, count))


def von_mises_circle_density(points: np.ndarray, concentration: float = 2.0) -> np.ndarray:
    """Density of `von_mises_circle` for arc length, exp(κ cos θ) / (2π I₀(κ)), (N, 2) to (N,).

    A point off the circle counts as the one in its direction.
    """
    return _angle_density(np.arctan2(points[:, 1], points[:, 0]), concentration)


def von_mises_mixture(
    rng: np.random.Generator, count: int, concentration: float = 2.0, offset: float = 1.8
) -> np.ndarray:
    """Points (count, 2) of two unit circles about (±offset, 0), each as likely, their modes face to face.

    The angle is von Mises about 0 on the left circle and about π on the right one.
    """
    side = rng.choice([-1.0, 1.0], count)
    angle = rng.vonmises(0.0, concentration, count)
    # Minus the left circle is the right one, its angle turned by π.
    return -side[:, None] * _circle_point(angle) + np.outer(side, [offset, 0.0])


def von_mises_mixture_density(points: np.ndarray, concentration: float = 2.0, offset: float = 1.8) -> np.ndarray:
    """Density of `von_mises_mixture` for arc length, (N, 2) to (N,); offset > 0.

    A point counts as the one in its direction on the nearer circle.
    """
    to_centres = points[:, None] - np.array([[-offset, 0.0], [offset, 0.0]])
    nearer = np.abs(np.linalg.norm(to_centres, axis=-1) - 1.0).argmin(axis=1)
    x, y = to_centres[np.arange(len(points)), nearer].T
    return 0.5 * _angle_density(np.arctan2(y, x) - np.pi * nearer, concentration)


def projected_normal_sphere(
    rng: np.random.Generator, count: int, means=((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
) -> np.ndarray:
    """Directions (count, n) of x ~ N(mean, I), the mean drawn uniformly from `means` (m, n)."""
    means = np.asarray(means, np.float64)
    return _normalised(means[rng.integers(len(means), size=count)] + rng.normal(size=(count, means.shape[1])))


def uniform_sphere(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points (count, 3) uniform on the unit sphere."""
    return _normalised(rng.normal(size=(count, 3)))


def von_mises_torus(
    rng: np.random.Generator, count: int, concentration: float = 1.0, radius: float = 3.0, tube: float = 1.0
) -> np.ndarray:
    """Points (count, 3) of `torus_embedding` at two independent angles, each von Mises about 0."""
    return torus_embedding(rng.vonmises(0.0, concentration, (count, 2)), radius, tube)


def _circle_point(angle: np.ndarray) -> np.ndarray:
    return np.column_stack([np.cos(angle), np.sin(angle)])


def _angle_density(angle: np.ndarray, concentration: float) -> np.ndarray:
    """Von Mises density; i0e is I₀(κ) exp(-κ), so nothing overflows at a large κ."""
    return np.exp(concentration * (np.cos(angle) - 1.0)) / (2.0 * np.pi * i0e(concentration))


def _normalised(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=1, keepdims=True)
