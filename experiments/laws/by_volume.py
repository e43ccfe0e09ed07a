"""Laws in closed form, by volume, on a knot, on a Klein bottle and on the rotations of space."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import i0

from experiments.common.problem import Law
from experiments.laws.more_shapes import FINE, TURN, klein_point, shape
from experiments.laws.shapes import RADIUS, TUBE, torus_points

KAPPA = 2.0
SINGULAR = np.array([2.0, 1.0, 0.5])
FRAMES = Rotation.from_euler("zyz", [[0.3, 1.0, 0.7], [1.1, 0.4, -0.6]]).as_matrix()
MODE = FRAMES[0] @ np.diag(SINGULAR) @ FRAMES[1].T
"""A of the matrix Fisher law; its frames are rotations, so its proper singular values are these."""


def trefoil() -> Law:
    """The von Mises law, κ = 2 about (3, 0, 0), of 2π times the share of the knot's length."""
    angle = np.linspace(0, TURN, FINE)
    speed = np.hypot(2 * (RADIUS + TUBE * np.cos(3 * angle)), 3 * TUBE)
    length = np.append(0, np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(angle)))

    def draw(random, count):
        at = np.interp(random.vonmises(0, KAPPA, count) % TURN / TURN * length[-1], length, angle)
        return torus_points(2 * at, 3 * at)

    def log_density(points):
        ring = np.arctan2(points[:, 1], points[:, 0])
        tube = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]) - RADIUS)
        # On the knot the one is twice the parameter and the other thrice, so their difference is the parameter.
        share = np.interp((tube - ring) % TURN, angle, length) / length[-1]
        return KAPPA * np.cos(TURN * share) - np.log(length[-1] * i0(KAPPA))

    return Law(draw, log_density)


def klein_bottle() -> Law:
    """The density by area proportional to exp(cos u + cos v), the same at (u, v) and at (u + 2π, -v)."""
    # Sums over a period: their error falls faster than any power of the step.
    tube = np.arange(FINE) / FINE * TURN
    total = TURN * i0(1) * TURN * np.mean(np.exp(np.cos(tube)) * _klein_area(tube))

    def draw(random, count):
        kept = np.empty(0)
        while len(kept) < count:
            tube = random.vonmises(0, 1, 2 * count)
            kept = np.append(kept, tube[random.uniform(0, _klein_area(0), len(tube)) < _klein_area(tube)])
        with jax.enable_x64(True):
            places = jnp.asarray(np.column_stack([random.vonmises(0, 1, count), kept[:count]]))
            return np.asarray(jax.vmap(klein_point)(places))

    def log_density(points):
        wide = np.hypot(points[:, 0], points[:, 1])
        return points[:, 0] / wide + wide - 2 - np.log(total)

    return Law(draw, log_density)


def _klein_area(tube):
    """Area by the two parameters: their curves meet at right angles, those of v at speed one."""
    return np.hypot(2 + np.cos(tube), np.sin(tube) / 2)


def rotations() -> Law:
    """The matrix Fisher law exp(tr AᵀR), by the volume that SO(3) has among the nine entries of its matrices."""
    haar = shape("rotations")
    total = np.log(haar.volume * fisher_normalizer(SINGULAR))

    def draw(random, count):
        kept = np.empty((0, 9))
        while len(kept) < count:
            tried = haar.draw(random, 20 * count)
            below = np.log(random.uniform(size=len(tried))) < tried @ MODE.ravel() - SINGULAR.sum()
            kept = np.concatenate([kept, tried[below]])
        return kept[:count]

    return Law(draw, lambda points: points @ MODE.ravel() - total)


def fisher_normalizer(singular: np.ndarray, nodes: int = 200) -> float:
    """Mean of exp(tr AᵀR) over even rotations R, by the proper singular values (3,) of A (Lee 2018, theorem 1).

    ½ ∫ I₀(½ (s₁ - s₂)(1 - u)) I₀(½ (s₁ + s₂)(1 + u)) exp(s₃ u) du over |u| < 1, by Gauss-Legendre quadrature.
    """
    first, second, third = singular
    u, weight = np.polynomial.legendre.leggauss(nodes)
    less, more = (first - second) / 2 * (1 - u), (first + second) / 2 * (1 + u)
    return float(weight @ (i0(less) * i0(more) * np.exp(third * u)) / 2)


LAWS: dict[str, tuple[Callable[[], Law], int]] = {
    "trefoil": (trefoil, 1000),
    "klein_bottle": (klein_bottle, 1000),
    "rotations": (rotations, 2000),
}
"""By the names of their shapes, with the number of points to learn from."""
