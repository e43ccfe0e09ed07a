"""The data sets: their rows, which of them belong together, and the points of space that are fitted."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from experiments.laws.torus import RADIUS, TUBE, distance_to_torus
from experiments.paper.fig5_earth import FILES
from experiments.real_data import kernels
from experiments.real_data.splits import How, tiles
from implicit_manifolds.datasets.earth import load_earth
from implicit_manifolds.datasets.nucleotides import load_rna
from implicit_manifolds.datasets.proteins import load_dihedral, torus_embedding
from implicit_manifolds.errors import DataUnavailable

EARTH = {{"volcanoes": "eruptions"}.get(name, name): file for name, file in FILES.items()}
AMINO_ACIDS = {f"amino_{code}": code for code in "GACDEFHIKLMNPQRSTVWY"}
MESHES = ("bunny", "spot")


class DataSet(NamedTuple):
    """Rows (N, d), how they can be split, and what is known of the manifold that they lie on.

    points: rows to points (M, n). groups: of rows, as the last of `splits` holds them out. codimension k of points and
    distance from the true manifold, where known. given: that manifold for kernels, by chords between `embedded` rows;
    log_area: log of the area that a unit of the given volume is, at rows, for the density by area of `points`.
    """

    rows: np.ndarray
    splits: tuple[How, ...] = ("random",)
    points: Callable[[np.ndarray], np.ndarray] = np.asarray
    groups: np.ndarray | None = None
    codimension: int | None = None
    distance: Callable[[np.ndarray], np.ndarray] | None = None
    volume: float | None = None
    given: kernels.Given | None = None
    embedded: Callable[[np.ndarray], np.ndarray] = np.asarray
    log_area: Callable[[np.ndarray], np.ndarray] = lambda rows: np.zeros(len(rows))


def load(name: str) -> DataSet:
    """A data set by its name. Raises DataUnavailable where it cannot be had."""
    return LOADERS[name]()


def on_circles(angles: np.ndarray) -> np.ndarray:
    """Cosines and then sines, (N, m) radians to (N, 2m): the product of m unit circles."""
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _earth(file) -> DataSet:
    points = load_earth(file)
    return DataSet(
        points,
        ("random", "distinct", "tiles"),
        groups=tiles(points),
        codimension=1,
        distance=lambda points: np.abs(np.linalg.norm(points, axis=1) - 1),
        volume=4 * np.pi,
        given=kernels.sphere(),
    )


def _amino_acid(code: str) -> DataSet:
    return DataSet(
        load_dihedral(code),
        points=lambda angles: torus_embedding(angles, RADIUS, TUBE),
        codimension=1,
        distance=distance_to_torus,
        volume=4 * np.pi**2 * RADIUS * TUBE,
        given=kernels.flat_torus(2),
        embedded=on_circles,
        log_area=lambda angles: np.log(TUBE * (RADIUS + TUBE * np.cos(angles[:, 1]))),
    )


def _rna() -> DataSet:
    angles, entries = load_rna()
    return DataSet(
        angles,
        ("random", "entries"),
        on_circles,
        entries,
        codimension=7,
        distance=lambda points: np.linalg.norm(np.hypot(points[:, :7], points[:, 7:]) - 1, axis=1),
        given=kernels.flat_torus(7),
        embedded=on_circles,
    )


def _digits() -> DataSet:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataUnavailable("digits are not run: scikit-learn is not installed") from error
    return DataSet(load_digits().data)


LOADERS: dict[str, Callable[[], DataSet]] = {
    **{name: partial(_earth, file) for name, file in EARTH.items()},
    **{name: partial(_amino_acid, code) for name, code in AMINO_ACIDS.items()},
    "rna": _rna,
    "digits": _digits,
}
