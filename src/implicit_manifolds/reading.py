"""Tables of numbers from files of the usual kinds, by polars; every refusal is one sentence that says what to do."""

import csv
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from .coordinates import unnamed
from .errors import InputError
from .points import BLOCK

Missing = Literal["error", "drop"]
TEXT = (".csv", ".tsv", ".txt", ".dat")
COMPRESSED = (".gz", ".zst", ".zlib")
ARROW = (".arrow", ".feather", ".ipc")
SUFFIXES = (*TEXT, ".npy", ".parquet", *ARROW)
SEPARATORS = ("\t", ";", "|", ",")
EMPTY = ("", "NA", "N/A", "n/a", "na", "null", "NULL", "None", "?", "-", ".")
"""Cells that say that a number is missing."""
LOOKED = 200
"""Lines that a dialect is told by."""


class Table(NamedTuple):
    """values (N, n) in double or a memory map, the names of its columns, and what a reader should be told of them."""

    values: np.ndarray
    names: tuple[str, ...]
    advice: tuple[str, ...] = ()


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
        return _chosen_columns(_numpy(path), columns, path)
    try:
        if kind in TEXT:
            return _of_text(_cells(path), columns, missing, path)
        frame = pl.scan_parquet(path) if kind == ".parquet" else pl.scan_ipc(path)
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


def _numpy(path: Path) -> Table:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is not a numeric .npy file; save it with numpy.save") from error
    if values.dtype.kind not in "fiub":
        raise InputError(f"{path} holds {values.dtype} values; give real numbers")
    if values.ndim != 2:
        raise InputError(f"{path} has shape {values.shape}; give a table of shape (points, coordinates)")
    return Table(values, unnamed(values.shape[1]))


def _chosen_columns(table: Table, columns: Sequence[str] | None, path: Path) -> Table:
    if columns is None:
        return table
    chosen = [table.names.index(name) for name in _known(columns, table.names, path)]
    return Table(table.values[:, chosen], tuple(columns), table.advice)


def _known(columns: Sequence[str], names: Sequence[str], path: Path) -> list[str]:
    if unknown := [name for name in columns if name not in names]:
        raise InputError(f"{path} has no column {unknown[0]}; it has {', '.join(names)}")
    if len(set(columns)) < len(columns):
        raise InputError(f"a column is named twice in {', '.join(columns)}; name each once")
    return list(columns)


def _of_frame(frame: pl.LazyFrame, columns: Sequence[str] | None, missing: Missing, path: Path) -> Table:
    schema, count = frame.collect_schema(), frame.select(pl.len()).collect().item()
    numeric = [name for name, kind in schema.items() if kind.is_numeric() or kind == pl.Boolean]
    names = numeric if columns is None else _known(columns, list(schema), path)
    if text := [name for name in names if name not in numeric]:
        raise InputError(f"{path}: column {text[0]} holds no numbers; leave it out")
    if not count or not names:
        raise InputError(f"{path} holds no numbers; give one point a row")
    numbers = frame.select(pl.col(names).cast(pl.Float64))
    if missing == "drop":
        numbers = numbers.drop_nulls()
        count = numbers.select(pl.len()).collect().item()
    with tempfile.TemporaryFile() as unpacked:  # gone when nothing maps it any more
        values = np.memmap(unpacked, np.float64, "w+", shape=(max(count, 1), len(names)))[:count]
    for start in range(0, count, BLOCK):
        rows = numbers.slice(start, BLOCK).collect()
        _refuse_missing(rows, start, path)
        values[start : start + BLOCK] = rows.to_numpy()
    return Table(values, tuple(names), _left_out([name for name in schema if name not in numeric], columns))


def _refuse_missing(rows: pl.DataFrame, before: int, path: Path) -> None:
    lacking = rows.select(pl.any_horizontal(pl.all().is_null())).to_series()
    if lacking.any():
        first = before + int(lacking.arg_true()[0]) + 1
        raise InputError(f"{path}: row {first} has a missing cell; fill it, or drop such rows with --missing drop")


def _left_out(text: Sequence[str], columns: Sequence[str] | None) -> tuple[str, ...]:
    if not text or columns is not None:
        return ()
    several = "columns" if len(text) > 1 else "column"
    return (f"{several} {', '.join(text)} left out: no numbers there (choose with --columns)",)


class _Cells(NamedTuple):
    """Cells as text, under names."""

    frame: pl.DataFrame
    decimal_comma: bool


def _lines(path: Path, count: int | None) -> pl.Series:
    # No text holds the separator \x01, so that each line is one cell.
    frame = pl.read_csv(
        path,
        has_header=False,
        quote_char=None,
        separator="\x01",
        n_rows=count,
        infer_schema=False,
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
    )
    return frame.to_series()


def _cells(path: Path) -> _Cells:
    """Every cell of a text table, by the dialect that its first lines have."""
    try:
        looked = _lines(path, LOOKED)
    except pl.exceptions.NoDataError as error:
        raise InputError(f"{path} is empty; give one point a row") from error
    first = [re.sub(r"[\r\0]", "", line) for line in looked.drop_nulls() if not line.startswith("#")]
    first = [line for line in first if line.strip()]
    if not first:
        raise InputError(f"{path} is empty; give one point a row")
    separator = _separator(first)
    source: Path | io.BytesIO = path
    if separator is None:  # blanks, of any number: tabs in their place
        text = _lines(path, None).drop_nulls().str.strip_chars().str.replace_all(r"\s+", "\t")
        source, separator = io.BytesIO("\n".join(text).encode()), "\t"
        first = [re.sub(r"\s+", "\t", line.strip()) for line in first]
    head = next(csv.reader(first[:1], delimiter=separator))
    header = any(_is_text(cell, separator) for cell in head)
    frame = pl.read_csv(
        source,
        separator=separator,
        has_header=header,
        comment_prefix="#",
        infer_schema=False,
        encoding="utf8-lossy",
        null_values=list(EMPTY),
        truncate_ragged_lines=False,
    )
    names = [name.strip() or f"x{number}" for number, name in enumerate(frame.columns)]
    frame.columns = names if header else list(unnamed(frame.width))
    # A line that holds nothing is none; of one column it cannot be told from a missing cell.
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null())) if frame.width > 1 else frame
    return _Cells(frame.with_columns(pl.all().str.strip_chars()), separator == ";")


def _separator(lines: Sequence[str]) -> str | None:
    """What parts cells in most lines, None for blanks; a comma where nothing does."""
    best, most = ",", 0.0
    for separator in SEPARATORS:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator)]
        usual = int(np.median(widths))
        share = float(np.mean(np.asarray(widths) == usual))
        if usual > 1 and share > most:
            best, most = separator, share
    if most == 0 and np.median([len(line.split()) for line in lines]) > 1:
        return None
    return best


def _is_text(cell: str, separator: str) -> bool:
    cell = cell.strip()
    if cell in EMPTY:
        return False
    try:
        float(cell.replace(",", ".") if separator == ";" else cell)
    except ValueError:
        return True
    return False


def _of_text(cells: _Cells, columns: Sequence[str] | None, missing: Missing, path: Path) -> Table:
    frame = cells.frame
    if columns is not None:
        frame = frame.select(_known(columns, frame.columns, path))
    if not frame.height:
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
    numbers = numbers.select(kept)
    if missing == "drop":
        numbers = numbers.drop_nulls()
    _refuse_missing(numbers, 0, path)
    return Table(numbers.to_numpy().astype(np.float64), tuple(kept), _left_out(words, columns))
