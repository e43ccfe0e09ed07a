"""Exact samples of known laws on circles, the sphere and the torus, and the circles' exact densities."""

import numpy as np
from scipy.special import comb, i0e, iv, ndtr

from .proteins import torus_embedding

SINUSOID_SCALE = np.sqrt((1 - np.exp(-(np.pi**2) / 2)) / 2)


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


def gaussian_circle(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points (count, 2) at an angle N(π/2, (π/4)²) and a radius N(1, 0.01²) (Brehmer & Cranmer 2020, §4.1)."""
    angle, radius = rng.normal(np.pi / 2, np.pi / 4, count), rng.normal(1.0, 0.01, count)
    return radius[:, None] * _circle_point(angle)


def sinusoid(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points (count, 2) of x₂ = sin(π x₁/2) / σ, x₁ ~ N(0, 1), σ making x₂ of unit variance (Sorrenson et al. 2024)."""
    return sinusoid_point(rng.normal(size=count))


def sinusoid_point(x: np.ndarray) -> np.ndarray:
    """The points (N, 2) of `sinusoid` with first coordinates x (N,)."""
    return np.column_stack([x, np.sin(np.pi / 2 * x) / SINUSOID_SCALE])


def sinusoid_log_density(points: np.ndarray) -> np.ndarray:
    """Log density of `sinusoid` for arc length, (N, 2) to (N,); a point off the curve counts as the one above it."""
    slope = np.pi / 2 * np.cos(np.pi / 2 * points[:, 0]) / SINUSOID_SCALE
    return -0.5 * (points[:, 0] ** 2 + np.log(2 * np.pi) + np.log1p(slope**2))


def projected_normal_sphere(
    rng: np.random.Generator, count: int, means=((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
) -> np.ndarray:
    """Directions (count, n) of x ~ N(mean, I), the mean drawn uniformly from `means` (m, n)."""
    means = np.asarray(means, np.float64)
    return _normalised(means[rng.integers(len(means), size=count)] + rng.normal(size=(count, means.shape[1])))


def projected_normal_sphere_density(points: np.ndarray, means=((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))) -> np.ndarray:
    """Density by area of `projected_normal_sphere` at unit vectors (N, 3), (N,) (Mardia & Jupp 2000, §9.3.3)."""
    means = np.asarray(means, np.float64)
    along = points @ means.T
    # ∫ r² exp(-(r - t)²/2) dr over r > 0, and what is left of the normal density
    radial = along * np.exp(-(along**2) / 2) + (1 + along**2) * np.sqrt(2 * np.pi) * ndtr(along)
    return np.mean(radial * np.exp((along**2 - np.sum(means**2, axis=1)) / 2), axis=1) / (2 * np.pi) ** 1.5


def uniform_sphere(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points (count, 3) uniform on the unit sphere."""
    return _normalised(rng.normal(size=(count, 3)))


def von_mises_torus(
    rng: np.random.Generator, count: int, concentration: float = 1.0, radius: float = 3.0, tube: float = 1.0
) -> np.ndarray:
    """Points (count, 3) of `torus_embedding` at two independent angles, each von Mises about 0."""
    return torus_embedding(rng.vonmises(0.0, concentration, (count, 2)), radius, tube)


def sine_torus(
    rng: np.random.Generator,
    count: int,
    concentrations: tuple[float, float] = (2.0, 2.0),
    correlation: float = 1.0,
    radius: float = 3.0,
    tube: float = 1.0,
) -> np.ndarray:
    """Points (count, 3) of `torus_embedding` at angles of the sine law, ∝ exp(κ₁ cos φ + κ₂ cos ψ + λ sin φ sin ψ).

    The bivariate von Mises of Singh, Hnizdo & Demchuk (2002), exactly, by rejection.
    """
    peak = sum(concentrations) + abs(correlation)
    drawn: list[np.ndarray] = []
    while sum(map(len, drawn)) < count:
        angles = rng.uniform(-np.pi, np.pi, (16 * count, 2))
        kept = np.log(rng.random(len(angles))) < _sine_exponent(angles, concentrations, correlation) - peak
        drawn.append(angles[kept])
    return torus_embedding(np.concatenate(drawn)[:count], radius, tube)


def sine_torus_density(
    points: np.ndarray,
    concentrations: tuple[float, float] = (2.0, 2.0),
    correlation: float = 1.0,
    radius: float = 3.0,
    tube: float = 1.0,
) -> np.ndarray:
    """Density of `sine_torus` by area, (N, 3) to (N,); a point off the torus counts as the one at its angles."""
    phi = np.arctan2(points[:, 1], points[:, 0])
    psi = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]) - radius)
    first, second = concentrations
    order = np.arange(60)
    terms = comb(2 * order, order) * (correlation**2 / (4 * first * second)) ** order * iv(order, first)
    normalizer = 4 * np.pi**2 * np.sum(terms * iv(order, second))
    exponent = _sine_exponent(np.column_stack([phi, psi]), concentrations, correlation)
    return np.exp(exponent) / normalizer / (tube * (radius + tube * np.cos(psi)))


def _sine_exponent(angles, concentrations, correlation):
    return np.cos(angles) @ np.asarray(concentrations) + correlation * np.prod(np.sin(angles), axis=1)


def _circle_point(angle: np.ndarray) -> np.ndarray:
    return np.column_stack([np.cos(angle), np.sin(angle)])


def _angle_density(angle: np.ndarray, concentration: float) -> np.ndarray:
    """Von Mises density; i0e is I₀(κ) exp(-κ), so nothing overflows at a large κ."""
    return np.exp(concentration * (np.cos(angle) - 1.0)) / (2.0 * np.pi * i0e(concentration))


def _normalised(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=1, keepdims=True)
