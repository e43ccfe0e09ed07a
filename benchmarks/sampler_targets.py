"""The level sets that samplers are compared on, and the figures they are compared by.

A target is the set {x in R^n : F(x) = 0} with density exp(-U) with respect to its surface (Hausdorff) measure. Every
sampler spends its tuning outside the timed sampling.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MAJOR_RADIUS, MINOR_RADIUS = 1.0, 0.5
CONCENTRATION = 10.0
UPPER_TRIANGLE = np.triu_indices(3)


class Target(NamedTuple):
    """A set and a density on it: F: (n,) -> (k,), U: (n,) -> (), and a random point (n,) of the set."""

    name: str
    dimension: int
    constraint: Callable[[Any, Any], Any]
    energy: Callable[[Any, Any], Any]
    start: Callable[[np.random.Generator], np.ndarray]


class Result(NamedTuple):
    """Draws (chains, draws, n) and the seconds of making them; compilation and warm-up are apart."""

    draws: np.ndarray
    wall_seconds: float
    cpu_seconds: float
    compile_seconds: float
    warmup_seconds: float
    failures: int
    settings: dict[str, Any]


# The targets. `xp` is numpy, autograd.numpy or jax.numpy.


def no_energy(xp: Any, x: Any) -> Any:
    """Zero, of the type of x: (n,) -> ()."""
    return 0.0 * x[0]


def torus_constraint(xp: Any, x: Any) -> Any:
    """Tube of radius r about the circle of radius R: (3,) -> (1,)."""
    offset = xp.sqrt(x[0] ** 2 + x[1] ** 2) - MAJOR_RADIUS
    return xp.reshape(offset**2 + x[2] ** 2 - MINOR_RADIUS**2, (1,))


def torus_point(angles: Any, xp: Any = np) -> Any:
    """Point at the angles along and around the tube: (..., 2) -> (..., 3)."""
    along, around = angles[..., 0], angles[..., 1]
    radius = MAJOR_RADIUS + MINOR_RADIUS * xp.cos(around)
    return xp.stack([radius * xp.cos(along), radius * xp.sin(along), MINOR_RADIUS * xp.sin(around)], axis=-1)


def torus_start(rng: np.random.Generator) -> np.ndarray:
    """Point at uniform angles, (3,)."""
    return torus_point(rng.uniform(-np.pi, np.pi, 2))


def sphere_constraint(xp: Any, x: Any) -> Any:
    """|x|² - 1: (n,) -> (1,)."""
    return xp.reshape(xp.sum(x * x) - 1.0, (1,))


def sphere_energy(xp: Any, x: Any) -> Any:
    """Of the von Mises-Fisher law about the first axis: (n,) -> ()."""
    return -CONCENTRATION * x[0]


def sphere_start(rng: np.random.Generator) -> np.ndarray:
    """Uniform point of S⁹, (10,)."""
    direction = rng.normal(size=10)
    return direction / np.linalg.norm(direction)


def rotation_constraint(xp: Any, x: Any) -> Any:
    """Upper triangle of XᵀX - I: (9,) -> (6,)."""
    matrix = xp.reshape(x, (3, 3))
    return (xp.matmul(matrix.T, matrix) - np.eye(3))[UPPER_TRIANGLE]


def rotation_start(rng: np.random.Generator) -> np.ndarray:
    """Orthogonal matrix of determinant one, row by row, (9,)."""
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix[:, 0] *= np.sign(np.linalg.det(matrix))
    return matrix.reshape(9)


def rotation_quadrics() -> tuple[np.ndarray, np.ndarray]:
    """Hessians (6, 9, 9) and gradients at zero (6, 9) of the rotations' constraint."""
    hessians = np.zeros((6, 3, 3, 3, 3))
    for index, (i, j) in enumerate(zip(*UPPER_TRIANGLE, strict=True)):
        for row in range(3):
            hessians[index, row, i, row, j] += 1.0
            hessians[index, row, j, row, i] += 1.0
    return hessians.reshape(6, 9, 9), np.zeros((6, 9))


def random_quadrics() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (5, 20, 20), b (5, 20), c (5,): |b| outweighs |A x| where exp(-|x|²/2) has its mass, so J Jᵀ is tame."""
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.normal(size=(5, 20, 20))
    return (noise + noise.transpose(0, 2, 1)) / math.sqrt(2), rng.normal(size=(5, 20)), rng.normal(size=5)


HESSIANS, GRADIENTS, LEVELS = random_quadrics()


def poly_constraint(xp: Any, x: Any) -> Any:
    """x·A x/2 + b·x - c, five of them: (20,) -> (5,)."""
    return xp.dot(0.5 * xp.dot(HESSIANS, x) + GRADIENTS, x) - LEVELS


def poly_energy(xp: Any, x: Any) -> Any:
    """|x|²/2: (n,) -> ()."""
    return 0.5 * xp.sum(x * x)


def poly_start(rng: np.random.Generator) -> np.ndarray:
    """A normal point brought to the set by Gauss-Newton steps, (20,)."""
    x = rng.normal(size=20)
    for _ in range(50):
        x = x - np.linalg.pinv(HESSIANS @ x + GRADIENTS) @ poly_constraint(np, x)
    return x


TARGETS = {
    target.name: target
    for target in (
        Target("torus", 3, torus_constraint, no_energy, torus_start),
        Target("s9_vmf", 10, sphere_constraint, sphere_energy, sphere_start),
        Target("so3", 9, rotation_constraint, no_energy, rotation_start),
        Target("poly20", 20, poly_constraint, poly_energy, poly_start),
    )
}


def starts(target: Target, num_chains: int, seed: int) -> np.ndarray:
    """One point of the set for each chain, (chains, n) float64."""
    rng = np.random.default_rng(seed)
    return np.stack([target.start(rng) for _ in range(num_chains)])


# The figures.


def smallest_ess(draws: np.ndarray) -> float:
    """Least bulk effective sample size of the coordinates of draws (chains, draws, n)."""
    from arviz_stats.base import array_stats

    columns = np.moveaxis(np.asarray(draws, np.float64), -1, 0)
    return min(float(array_stats.ess(column, chain_axis=0, draw_axis=1, method="bulk")) for column in columns)


def largest_r_hat(draws: np.ndarray) -> float:
    """Largest rank-normalised R-hat of the coordinates of draws (chains, draws, n); NaN of one chain."""
    from arviz_stats.base import array_stats

    return float(np.max(array_stats.rhat(draws, method="rank", chain_axis=0, draw_axis=1)))


def gram_matrix(target: Target, x: Any) -> Any:
    """J Jᵀ at x: (n,) -> (k, k)."""
    jacobian = jax.jacrev(partial(target.constraint, jnp))(x)
    return jacobian @ jacobian.T


def distance_rms(target: Target, points: Any) -> float:
    """Root mean square of the first-order distance (F·G⁻¹F)^½ of points (..., n)."""

    def squared(x: Any) -> Any:
        residual = target.constraint(jnp, x)
        return residual @ jnp.linalg.solve(gram_matrix(target, x), residual)

    return float(jnp.sqrt(jnp.mean(jax.vmap(squared)(points.reshape(-1, target.dimension)))))
