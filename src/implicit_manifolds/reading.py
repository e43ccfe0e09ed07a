"""Tables of numbers from files of the usual kinds, by polars; every refusal is one sentence that says what to do."""

import csv
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np
import polars as pl

from .coordinates import unnamed
from .dialects import Cells, cells_of
from .errors import InputError
from .points import BLOCK

Missing = Literal["error", "drop"]
TEXT = (".csv", ".tsv", ".txt", ".dat")
COMPRESSED = (".gz", ".zst", ".zlib")
ARROW = (".arrow", ".feather", ".ipc")
SUFFIXES = (*TEXT, ".npy", ".parquet", *ARROW)
LACKING = pl.any_horizontal(pl.all().is_null())
PANDAS_INDEX = re.compile(r"__index_level_\d+__$")


class MissingColumn(InputError):
    """A column that was asked for is not in the file."""


class Table(NamedTuple):
    """values (N, n) in double or a memory map, the names of its columns, and what a reader should be told of them.

    width: columns of the file. named: whether it names them. rows: which rows of the file these are, counted from 0;
    None for all.
    """

    values: np.ndarray
    names: tuple[str, ...]
    advice: tuple[str, ...] = ()
    width: int = 0
    named: bool = True
    rows: np.ndarray | None = None


def read_table(path: Path | str, columns: Sequence[str] | None = None, missing: Missing = "error") -> Table:
    r"""The numbers in a file, one point a row.

    Text of any usual dialect (commas, semicolons, tabs, bars, blanks; quotes; lines that begin with #; with or without
    a line of names; decimal commas beside semicolons), plain or compressed; Parquet; Arrow; NumPy. Columns without a
    name are x0, x1, ... Columns of text are left out, and advice says so. Of Parquet and NumPy files the values are a
    memory map.

    Arguments:
        path: the file; its name ends in one of `SUFFIXES`, that of a compressed one in `COMPRESSED` after that.
        columns: names of the columns to read, in this order; all that hold numbers unless given.
        missing: "error" refuses missing cells, "drop" leaves out the rows that have any.

    Returns:
        `Table`: values (N, n), names and advice.

    Raises:
        InputError: the file is none that can be read, or holds what is no number.

    >>> _ = (folder / "a.csv").write_text("name;x;y\na;1,5;2\nb;3;4\n")
    >>> table = im.read_table(folder / "a.csv")
    >>> table.names, table.values.tolist()
    (('x', 'y'), [[1.5, 2.0], [3.0, 4.0]])
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file; give one with one point a row")
    kind = _kind(path)
    if kind == ".npy":
        return _numpy(path, columns, missing)
    try:
        if kind in TEXT:
            return _of_text(cells_of(path), columns, missing, path)
        # A path is no pattern, whatever brackets it has.
        frame = pl.scan_parquet(path, glob=False) if kind == ".parquet" else pl.scan_ipc(path, glob=False)
        return _of_frame(frame, columns, missing, path)
    except (pl.exceptions.PolarsError, csv.Error, OSError) as error:
        reason = str(error).splitlines()[0]
        if "more fields" in reason:
            raise InputError(f"{path} has a row with more cells than the first; make them equal") from error
        raise InputError(f"{path} cannot be read as {kind}: {reason}") from error


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in COMPRESSED else (suffixes or [""])[-1]
    if kind not in SUFFIXES or (suffixes[-1] in COMPRESSED and kind not in TEXT):
        raise InputError(f"{path} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    return kind


def _numpy(path: Path, columns: Sequence[str] | None, missing: Missing) -> Table:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise InputError(f"{path} is not a numeric .npy file; save it with numpy.save") from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path} is an archive of arrays; save one array with numpy.save")
    if values.dtype.kind not in "fiub":
        raise InputError(f"{path} holds {values.dtype} values; give real numbers")
    if values.ndim != 2:
        raise InputError(f"{path} has shape {values.shape}; give a table of shape (points, coordinates)")
    names, width = unnamed(values.shape[1]), values.shape[1]
    if columns is not None:
        values = values[:, [names.index(name) for name in _known(columns, names, path)]]
        names = tuple(columns)
    rows = None
    if missing == "drop" and (lacking := np.isnan(values).any(axis=1)).any():
        rows = np.flatnonzero(~lacking)
        values = values[rows]
    return _whole(Table(values, names, (), width, False, rows), path)


def _whole(table: Table, path: Path) -> Table:
    """The table, with a word on the rows that were dropped; raises InputError where none is left."""
    if not len(table.values):
        raise InputError(f"{path} holds no row that is whole; give one point a row")
    if table.rows is None:
        return table
    return table._replace(advice=(*table.advice, f"rows with missing cells left out; {len(table.rows)} are kept"))


def _known(columns: Sequence[str], names: Sequence[str], path: Path) -> list[str]:
    if unknown := [name for name in columns if name not in names]:
        raise MissingColumn(f"{path} has no column {unknown[0]}; it has {', '.join(names)}")
    if len(set(columns)) < len(columns):
        raise InputError(f"a column is named twice in {', '.join(columns)}; name each once")
    return list(columns)


def _of_frame(frame: pl.LazyFrame, columns: Sequence[str] | None, missing: Missing, path: Path) -> Table:
    schema, count = frame.collect_schema(), frame.select(pl.len()).collect().item()
    numeric = [name for name, kind in schema.items() if kind.is_numeric() or kind == pl.Boolean]
    index = [name for name in numeric if PANDAS_INDEX.match(name)]
    names = [name for name in numeric if name not in index] if columns is None else _known(columns, list(schema), path)
    if text := [name for name in names if name not in numeric]:
        raise InputError(f"{path}: column {text[0]} holds no numbers; leave it out")
    if not count or not names:
        raise InputError(f"{path} holds no numbers; give one point a row")
    numbers, rows = frame.select(pl.col(names).cast(pl.Float64).fill_nan(None)), None
    if missing == "drop":
        lacking = numbers.select(LACKING).collect().to_series()
        if lacking.any():
            rows, numbers = np.flatnonzero(~lacking.to_numpy()), numbers.drop_nulls()
            count = len(rows)
    with tempfile.TemporaryFile() as unpacked:  # gone when nothing maps it any more
        values = np.memmap(unpacked, np.float64, "w+", shape=(max(count, 1), len(names)))[:count]
    for start in range(0, count, BLOCK):
        block = numbers.slice(start, BLOCK).collect()
        _refuse_missing(block, start, path)
        values[start : start + BLOCK] = block.to_numpy()
    told = _left_out([name for name in schema if name not in numeric], index, columns)
    return _whole(Table(values, tuple(names), told, len(schema), True, rows), path)


def _refuse_missing(rows: pl.DataFrame, before: int, path: Path) -> None:
    lacking = rows.select(LACKING).to_series()
    if lacking.any():
        first = before + int(lacking.arg_true()[0]) + 1
        raise InputError(f"{path}: row {first} has a missing cell; fill it, or drop such rows with --missing drop")


def _left_out(text: Sequence[str], index: Sequence[str], columns: Sequence[str] | None) -> tuple[str, ...]:
    told = []
    if columns is None and text:
        several = "columns" if len(text) > 1 else "column"
        told.append(f"{several} {', '.join(text)} left out: no numbers there (choose with --columns)")
    if columns is None and index:
        told.append(f"column {index[0] or 'without a name'} left out: it looks like the index of a data frame")
    return tuple(told)


def _of_text(cells: Cells, columns: Sequence[str] | None, missing: Missing, path: Path) -> Table:
    frame, width = cells.frame, cells.frame.width
    index = [name for name in frame.columns[:1] if cells.named and not name]
    frame = frame.drop(index) if columns is None else frame.select(_known(columns, frame.columns, path))
    if not frame.height or not frame.width:
        raise InputError(f"{path} holds no numbers; give one point a row")
    text = pl.all().str.replace(",", ".", literal=True) if cells.decimal_comma else pl.all()
    numbers = frame.select(text.cast(pl.Float64, strict=False))
    wrong = {name: numbers[name].is_null() & frame[name].is_not_null() for name in frame.columns}
    words = [name for name, bad in wrong.items() if bad.any() and bad.sum() == frame[name].count()]
    if columns is not None and words:
        raise InputError(f"{path}: column {words[0]} holds no numbers; leave it out")
    kept = [name for name in frame.columns if name not in words]
    if not kept:
        raise InputError(f"{path} holds no numbers; give one point a row")
    for name in kept:
        if wrong[name].any():
            row = int(wrong[name].arg_true()[0])
            raise InputError(f"{path}: row {row + 1} holds {frame[name][row]!r} in column {name}; give a number")
    numbers, rows = numbers.select(kept), None
    if missing == "drop":
        lacking = numbers.select(LACKING).to_series()
        rows = np.flatnonzero(~lacking.to_numpy()) if lacking.any() else None
        numbers = numbers.drop_nulls()
    _refuse_missing(numbers, 0, path)
    values = numbers.to_numpy().astype(np.float64)
    return _whole(Table(values, tuple(kept), _left_out(words, index, columns), width, cells.named, rows), path)
