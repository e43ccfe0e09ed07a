"""Zeros of constraints on images: near images, near noise, and how far points are from being zeros."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.images.files import kept
from experiments.images.scales import TOLERANCE
from implicit_manifolds._loops import in_blocks
from implicit_manifolds.manifold.projection import project

BLOCK, KEPT = 250, 2500
"""Images in a compiled block at most, and images whose zeros are kept in one file."""


def on_manifold(mdf, points, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Zeros near the points (N, n), and which of them were reached (N,)."""
    found = in_blocks(lambda rows: _projected(mdf, rows, tolerance), np.asarray(points), min(BLOCK, len(points)))
    return found.position, found.converged


def start_on(mdf, noise, key, count: int) -> tuple[np.ndarray, float]:
    """Zeros (count, n) near noise, drawn until there are enough, and the share of noise that reached none."""
    found: list[np.ndarray] = []
    for attempt in range(10):
        zeros, reached = on_manifold(mdf, noise(jax.random.fold_in(key, attempt), count))
        found.append(zeros[reached])
        total, tried = sum(map(len, found)), (attempt + 1) * count
        if total >= count:
            return np.concatenate(found)[:count], 1 - total / tried
    raise ArithmeticError(f"{total} of {tried} starts could be projected onto the manifold; train longer")


def zeros_near(mdf, points: np.ndarray, directory: Path | None) -> tuple[np.ndarray, float]:
    """The zeros that are reached from the points (N, n), and the seconds that took; kept block by block."""
    blocks = [
        kept(directory, f"zeros/{first}", partial(_reached, mdf, points[first : first + KEPT]))
        for first in range(0, len(points), KEPT)
    ]
    return np.concatenate([block["zeros"] for block in blocks]), float(sum(block["seconds"] for block in blocks))


def residuals(mdf, points) -> np.ndarray:
    """‖F‖ at points (N, n), (N,)."""
    return in_blocks(lambda rows: _residuals(mdf, rows), np.asarray(points), min(BLOCK, len(points)))


def _reached(mdf, points):
    zeros, reached = on_manifold(mdf, points)
    return {"zeros": zeros[reached]}


@jax.jit
def _projected(mdf, points, tolerance):
    return jax.vmap(lambda x: project(mdf, x, tolerance))(points)


@jax.jit
def _residuals(mdf, points):
    return jax.vmap(lambda x: jnp.linalg.norm(mdf(x)))(points)
