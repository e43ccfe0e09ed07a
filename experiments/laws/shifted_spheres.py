"""Two unit spheres half a radius up and down, each with projected normals: their union, and the circle they share."""

import numpy as np

from experiments.common.problem import Law, Problem, fresh_data
from implicit_manifolds.datasets.synthetic import projected_normal_sphere, projected_normal_sphere_density

SHIFT = np.array([0.0, 0.0, 0.5])
"""The spheres' centres are at ±SHIFT."""
RADIUS = float(np.sqrt(1 - SHIFT @ SHIFT))
"""Of the circle where they meet."""


def draw_union(random: np.random.Generator, count: int) -> np.ndarray:
    """Exact draws of the equal mixture of the two shifted laws, (count, 3)."""
    side = random.choice([-1.0, 1.0], count)
    return projected_normal_sphere(random, count) + side[:, None] * SHIFT


def union_log_density(points: np.ndarray) -> np.ndarray:
    """Log density by area of the union at points on either sphere, (N, 3) to (N,)."""
    nearer = np.where(np.abs(np.linalg.norm(points - SHIFT, axis=1) - 1) < 1e-6, 1.0, -1.0)
    return np.log(projected_normal_sphere_density(points - nearer[:, None] * SHIFT) / 2)


def distance_to_union(points: np.ndarray) -> np.ndarray:
    """Distance of (N, 3) from the nearer sphere, (N,)."""
    return np.min([np.abs(np.linalg.norm(points - sign * SHIFT, axis=1) - 1) for sign in (-1, 1)], axis=0)


def product_density(points: np.ndarray) -> np.ndarray:
    """The product of the two densities at points of the circle, (N, 3) to (N,), not normalised."""
    return projected_normal_sphere_density(points - SHIFT) * projected_normal_sphere_density(points + SHIFT)


def _circle(angle: np.ndarray) -> np.ndarray:
    return np.column_stack([RADIUS * np.cos(angle), RADIUS * np.sin(angle), np.zeros_like(angle)])


GRID = np.linspace(0, 2 * np.pi, 20_001)
PRODUCT = product_density(_circle(GRID))


def draw_intersection(random: np.random.Generator, count: int) -> np.ndarray:
    """Exact draws of the product density by length of the circle, (count, 3), by inversion on a grid."""
    cumulative = np.concatenate([[0], np.cumsum((PRODUCT[1:] + PRODUCT[:-1]) / 2)])
    return _circle(np.interp(random.uniform(0, cumulative[-1], count), cumulative, GRID))


def intersection_log_density(points: np.ndarray) -> np.ndarray:
    """Log of the product density, normalised by length of the circle, (N, 3) to (N,)."""
    return np.log(product_density(points) / (RADIUS * np.trapezoid(PRODUCT, GRID)))


def distance_to_intersection(points: np.ndarray) -> np.ndarray:
    """Distance of (N, 3) from the circle where the spheres meet, (N,)."""
    return np.hypot(np.hypot(points[:, 0], points[:, 1]) - RADIUS, points[:, 2])


def union(seed: int) -> Problem:
    """The mixture of both."""
    return _problem("union", Law(draw_union, union_log_density), distance_to_union, seed)


def intersection(seed: int) -> Problem:
    """The product of both."""
    return _problem("intersection", Law(draw_intersection, intersection_log_density), distance_to_intersection, seed)


def _problem(name: str, law: Law, distance, seed: int) -> Problem:
    return Problem(name, distance=distance, original=None, presets={}, draw=None, **fresh_data(law, seed, 1000))
