"""Reading and checking the user's points; every refusal is one sentence that says what to do."""

import tempfile
import warnings
from pathlib import Path

import numpy as np

from .errors import InputError

BLOCK = 2**20
"""Rows of a table that are read together."""


def read_points(path: Path) -> np.ndarray:
    """Points (N, n) from a .csv (commas, one optional header line), .npy or .parquet file.

    Those of a .npy file are a memory map, and those of a .parquet file lie in a temporary one: tables larger than
    memory can be read. Raises InputError where the file is missing, empty, not numeric, or not a table.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file; give a .csv, .npy or .parquet file with one point a row")
    if path.suffix == ".npy":
        try:
            points = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"{path} is not a numeric .npy file; save it with numpy.save") from error
    elif path.suffix == ".csv":
        points = _read_csv(path)
    elif path.suffix == ".parquet":
        points = _read_parquet(path)
    else:
        raise InputError(f"{path} must end in .csv, .npy or .parquet")
    if points.dtype.kind not in "fiub":
        raise InputError(f"{path} holds {points.dtype} values; give real numbers")
    return points


def _read_parquet(path: Path) -> np.ndarray:
    import polars as pl

    try:
        table = pl.scan_parquet(path)
        schema, count = table.collect_schema(), table.select(pl.len()).collect().item()
        if text := [name for name, kind in schema.items() if not (kind.is_numeric() or kind == pl.Boolean)]:
            raise InputError(f"{path}: column {text[0]} holds no numbers; keep numeric columns only")
        if not count or not len(schema):
            raise InputError(f"{path} is empty; give one point a row")
        with tempfile.TemporaryFile() as unpacked:  # gone when nothing maps it any more
            points = np.memmap(unpacked, np.float64, "w+", shape=(count, len(schema)))
        for start in range(0, count, BLOCK):
            rows = table.slice(start, BLOCK).select(pl.all().cast(pl.Float64)).collect()
            points[start : start + BLOCK] = rows.to_numpy()
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path} is not a Parquet file that can be read: {error}".splitlines()[0]) from error
    return points


def _read_csv(path: Path) -> np.ndarray:
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file; give comma-separated numbers") from error
    if not lines:
        raise InputError(f"{path} is empty; give one point a row")
    header = not _is_numeric(lines[0])
    if header and len(lines) == 1:
        raise InputError(f"{path} holds no numbers; give one point a row, numbers separated by commas")
    width = len(lines[-1].split(","))
    for number, line in enumerate(lines[header:], start=1 + header):
        if len(line.split(",")) != width:
            raise InputError(
                f"{path}: row {number} has {len(line.split(','))} columns, others {width}; make them equal"
            )
        if not _is_numeric(line):
            raise InputError(f"{path}: row {number} holds text; keep numeric columns only")
    return np.array([[float(cell) for cell in line.split(",")] for line in lines[header:]])


def _is_numeric(line: str) -> bool:
    try:
        [float(cell) for cell in line.split(",")]
    except ValueError:
        return False
    return True


def check_points(points, dimension: int | None = None) -> np.ndarray:
    """Finite float64 points (N, n), N ≥ 1; raises InputError otherwise, or where n is not `dimension`."""
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[0] == 0:
        raise InputError(f"points have shape {points.shape}; give a table of shape (points, coordinates)")
    refuse_not_finite(points)
    if dimension is not None and points.shape[1] != dimension:
        raise InputError(f"points have {points.shape[1]} coordinates, the model has {dimension}; give as many")
    return points


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
