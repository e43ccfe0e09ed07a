"""Two normals on a polynomial surface in R³, one of a width that depends on θ (Brehmer & Cranmer 2020, §4.2)."""

import numpy as np

from .._types import Float

# The authors' draw of the surface (johannbrehmer/manifold-flow, experiments/data/samples/power/manifold.npz, MIT).
COEFFICIENTS = np.array(
    [
        *(-1.21685866, 1.52221851, -1.21371848, 0.0565082878, -0.0238915801, -0.0466790086, -0.0556848662),
        *(-0.00767494636, -0.0571792899, -0.0516948423, 0.0137135698, 0.000195783210, -0.00708568474, -0.00662611590),
        *(0.00333050257, -0.00832319399, -0.0109518626, 0.00408106786, -0.00464777968, -0.00880600820, 0.0121157044),
    ]
)
ROTATION = np.array(
    [
        [0.973887216, -0.226860567, -0.00883026976],
        [0.227031938, 0.973073894, 0.0397956792],
        [-0.000435565375, -0.0407612565, 0.999168820],
    ]
)
POWERS = np.array([(degree - power, power) for degree in range(6) for power in range(degree + 1)])
DAMPING = 0.1
WIDE_SHARE, WIDE_MEAN, WIDE_WIDTH = 0.6, (1.0, -1.0), 2.0
NARROW_MEAN = (-1.0, 1.0)
Contexts = Float[np.ndarray, " N"]


def polynomial_surface(random: np.random.Generator, theta: Contexts) -> Float[np.ndarray, "N 3"]:
    """A point for each θ in [-1, 1], (N,) to (N, 3)."""
    noise, wide = random.normal(size=(len(theta), 2)), random.random(len(theta)) < WIDE_SHARE
    width = np.where(wide, WIDE_WIDTH, _narrow_width(theta))
    return surface_point(np.where(wide[:, None], WIDE_MEAN, NARROW_MEAN) + width[:, None] * noise)


def surface_point(z: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 3"]:
    """The point of the surface above z (N, 2)."""
    return np.column_stack([z, _height(z)[0]]) @ ROTATION.T


def vertical_offset(points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
    """Signed distance from the surface along its unrotated third axis: not the nearest, but what is published."""
    unrotated = points @ ROTATION
    return unrotated[:, 2] - _height(unrotated[:, :2])[0]


def polynomial_log_density(points: Float[np.ndarray, "N 3"], theta: Contexts) -> Float[np.ndarray, " N"]:
    """Log density by area of the surface, of points on it (or of what is above or below a point) given θ (N,)."""
    z = (points @ ROTATION)[:, :2]
    narrow = _normal(z, NARROW_MEAN, _narrow_width(theta))
    density = WIDE_SHARE * _normal(z, WIDE_MEAN, WIDE_WIDTH) + (1 - WIDE_SHARE) * narrow
    return np.log(density) - 0.5 * np.log1p(np.sum(_height(z)[1] ** 2, axis=1))


def _narrow_width(theta):
    return 0.6 + 0.4 * np.asarray(theta)


def _normal(z, mean, width):
    return np.exp(-np.sum((z - np.asarray(mean)) ** 2, axis=1) / (2 * width**2)) / (2 * np.pi * width**2)


def _height(z):
    """Height (N,) and its gradient (N, 2): exp(-0.1 |z|²) times the polynomial."""
    damping = np.exp(-DAMPING * np.sum(z**2, axis=1))
    powers = z[:, None, :] ** POWERS
    polynomial = powers.prod(axis=2) @ COEFFICIENTS
    slopes = []
    for axis in range(2):
        other = z[:, None, 1 - axis] ** POWERS[:, 1 - axis]
        lowered = POWERS[:, axis] * z[:, None, axis] ** np.maximum(POWERS[:, axis] - 1, 0)
        slopes.append((other * lowered) @ COEFFICIENTS - 2 * DAMPING * z[:, axis] * polynomial)
    return damping * polynomial, damping[:, None] * np.column_stack(slopes)
