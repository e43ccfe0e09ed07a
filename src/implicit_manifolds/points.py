"""Checking the user's points; every refusal is one sentence that says what to do."""

import warnings

import numpy as np

from .errors import InputError

LEAST_SIZE, MOST_SIZE = 1e-30, 1e30
"""Sizes of data that single precision holds with room for products."""
BLOCK = 2**20
"""Rows of a table that are read together."""


def check_points(points, dimension: int | None = None) -> np.ndarray:
    """Finite float64 points (N, n), N ≥ 1; raises InputError otherwise, or where n is not `dimension`."""
    points = as_numbers(points)
    if points.ndim != 2 or points.shape[0] == 0:
        raise InputError(f"points have shape {points.shape}; give a table of shape (points, coordinates)")
    refuse_not_finite(points)
    if dimension is not None and points.shape[1] != dimension:
        raise InputError(f"points have {points.shape[1]} coordinates, the model has {dimension}; give as many")
    return points


def as_numbers(points) -> np.ndarray:
    """Points as a float64 array, from an array, a list or a data frame. Raises InputError for what is no number."""
    try:
        return np.asarray(points, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"points are no table of numbers ({error}); leave columns of text out") from error


def refuse_not_finite(points: np.ndarray, before: int = 0) -> None:
    """Raise InputError where any of points (N, n), rows of a table after so many others, is not finite."""
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        first = before + int(bad.argmax()) + 1
        raise InputError(f"{bad.sum()} points hold NaN or infinite values (first: row {first}); remove them")


def check_training_points(points, codimension: int | None) -> np.ndarray:
    """Points fit to learn a manifold from, (N, n), of a codimension or of one to be found; raises InputError otherwise.

    Repeated points and constant coordinates are legitimate: kept, and counted in a warning.
    """
    points = check_points(points)
    dimension = points.shape[1]
    if dimension < 2:
        raise InputError("points have one coordinate; a level set needs at least two")
    if codimension is not None and not 1 <= codimension < dimension:
        raise InputError(
            f"codimension {codimension} is not between 1 and {dimension - 1}, the dimension of the points less one"
        )
    size = float(np.abs(points - points[0]).max())
    if size and not LEAST_SIZE <= size <= MOST_SIZE:
        raise InputError(
            f"points spread over {size:.2g}; give them in a unit in which that is from {LEAST_SIZE:g} to {MOST_SIZE:g}"
        )
    distinct = len(np.unique(points, axis=0))
    if distinct < dimension + 1:
        raise InputError(
            f"{distinct} distinct points are too few in {dimension} dimensions; give at least {dimension + 1}"
        )
    if distinct < len(points):
        warnings.warn(f"{len(points) - distinct} of {len(points)} points repeat others; they are kept", stacklevel=2)
    constant = int((np.ptp(points, axis=0) == 0).sum())
    if constant:
        warnings.warn(f"{constant} of {dimension} coordinates are constant; they are kept", stacklevel=2)
    return points
