"""Kernel densities on a manifold that is given, each kernel as wide as its neighbours are far: what fits stand beside.

A kernel is exp(-κ ‖x - y‖² / 2) C(κ) by chords: von Mises-Fisher on the sphere, a product of von Mises on a flat torus.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import KDTree
from scipy.special import i0e, logsumexp

NEIGHBOURS, MULTIPLES, UNIFORM = (3, 10, 30), tuple(np.geomspace(0.25, 4.0, 7)), (0.001, 0.01, 0.05, 0.2)
"""Which neighbour's distance a width is a multiple of, by which factors, and the share of a uniform law beside."""
LEAST_WIDTH = 1e-3
"""Repeated points have no distance: no kernel that is chosen is narrower than this, in radians."""
NARROW = (1e-3, 1e-4, 1e-5, 1e-6)
BLOCK = 200


class Given(NamedTuple):
    """A manifold that kernels are told: log C(κ), and the log of its volume."""

    log_constant: Callable[[np.ndarray], np.ndarray]
    log_volume: float


def sphere() -> Given:
    """The unit sphere of space."""
    return Given(lambda k: np.log(k / (2 * np.pi)) - np.log(-np.expm1(-2 * k)), float(np.log(4 * np.pi)))


def flat_torus(angles: int) -> Given:
    """The product of so many unit circles, by angle."""
    return Given(lambda k: -angles * np.log(2 * np.pi * i0e(k)), float(angles * np.log(2 * np.pi)))


def log_kernels(given: Given, centres: np.ndarray, widths: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Log of the mean over centres (N, n) of kernels of their widths (N,), at points (M, n): (M,)."""
    k = 1 / np.square(widths)
    constant, rows = given.log_constant(k) - np.log(len(centres)), []
    for block in np.array_split(points, max(1, len(points) // BLOCK)):
        squared = (block**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * block @ centres.T
        rows.append(logsumexp(constant - k * squared.clip(0) / 2, axis=1))
    return np.concatenate(rows)


def adaptive_widths(centres: np.ndarray, neighbour: int) -> np.ndarray:
    """Distance of each centre (N, n) to a neighbour, (N,)."""
    return KDTree(centres).query(centres, neighbour + 1)[0][:, -1]


def chosen(given: Given, centres: np.ndarray, held: np.ndarray) -> tuple[int, float, float]:
    """Neighbour, multiple and uniform share under which held-out points (H, n) are likeliest, by kernels at centres."""

    def tried():
        for neighbour, multiple in product(NEIGHBOURS, MULTIPLES):
            widths = np.maximum(multiple * adaptive_widths(centres, neighbour), LEAST_WIDTH)
            found = log_kernels(given, centres, widths, held)
            for share in UNIFORM:
                yield _mixed(given, found, share).mean(), (neighbour, float(multiple), share)

    return max(tried())[1]


def judged(given: Given, train: np.ndarray, inner: tuple[np.ndarray, np.ndarray], test: np.ndarray) -> dict[str, Any]:
    """NLL of test points under kernels at the training points, their widths chosen on an inner split of these.

    Beside it the NLL of half such kernels and half kernels of one width, as narrow as one likes: `NARROW`.
    """
    neighbour, multiple, share = chosen(given, *inner)
    widths = np.maximum(multiple * adaptive_widths(train, neighbour), LEAST_WIDTH)
    found = _mixed(given, log_kernels(given, train, widths, test), share)
    narrow = [
        np.logaddexp(found, log_kernels(given, train, np.full(len(train), width), test)) - np.log(2) for width in NARROW
    ]
    return {
        "nll": -float(found.mean()),
        "nll_error": float(found.std() / np.sqrt(len(found))),
        "nll_uniform": given.log_volume,
        "neighbour": neighbour,
        "multiple": multiple,
        "uniform_share": share,
        "nll_narrow": [-float(one.mean()) for one in narrow],
    }


def _mixed(given: Given, log_density: np.ndarray, share: float) -> np.ndarray:
    return np.logaddexp(np.log1p(-share) + log_density, np.log(share) - given.log_volume)
