"""The dialect of a table of text, told by its first lines, and its cells."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from .coordinates import unnamed
from .errors import InputError

SEPARATORS = ("\t", ";", "|", ",")
EMPTY = ("", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "na", "null", "NULL", "None", "?", "-", ".")
"""Cells that say that a number is missing."""
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
LOOKED = 200
"""Lines that a dialect is told by."""


class Cells(NamedTuple):
    """Cells as text, under names; whether the file has names, and whether its decimals may be commas."""

    frame: pl.DataFrame
    named: bool
    decimal_comma: bool


def _lines(path: Path, count: int | None) -> pl.Series:
    # No text holds the separator \x01, so that each line is one cell.
    frame = pl.read_csv(
        path,
        glob=False,
        has_header=False,
        quote_char=None,
        separator="\x01",
        n_rows=count,
        infer_schema=False,
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
    )
    return frame.to_series()


def cells_of(path: Path) -> Cells:
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
    rows = list(csv.reader(first, delimiter=separator))
    decimal_comma = separator == ";" or isinstance(source, io.BytesIO)
    named = _has_names(rows, decimal_comma)
    frame = pl.read_csv(
        source,
        glob=False,
        separator=separator,
        has_header=named,
        comment_prefix="#",
        infer_schema=False,
        encoding="utf8-lossy",
    )
    names = [name.strip() for name in frame.columns] if named else unnamed(frame.width)
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    # Cells that say that nothing is there. A line of them is none; of one column it cannot be told from a missing cell.
    frame = frame.with_columns(pl.all().str.strip_chars().replace(list(EMPTY), [None] * len(EMPTY)))
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null())) if frame.width > 1 else frame
    return Cells(frame, named, decimal_comma)


def _has_names(rows: Sequence[Sequence[str]], decimal_comma: bool) -> bool:
    """Whether the first of these rows names columns: it has text over numbers, or nothing but text."""
    first, others = rows[0], rows[1:]
    text = [_is_text(cell, decimal_comma) for cell in first]
    over_numbers = any(
        here and any(row[column : column + 1] for row in others) and not _texts(others, column, decimal_comma)
        for column, here in enumerate(text)
    )
    return over_numbers or (any(text) and all(here or not cell.strip() for here, cell in zip(text, first, strict=True)))


def _texts(rows: Sequence[Sequence[str]], column: int, decimal_comma: bool) -> bool:
    """Whether most of a column's cells are text."""
    cells = [row[column] for row in rows if len(row) > column]
    return 2 * sum(_is_text(cell, decimal_comma) for cell in cells) > len(cells)


def _separator(lines: Sequence[str]) -> str | None:
    """What parts cells in most lines, None for blanks; a comma where nothing does."""
    if all(len(line.split()) > 1 and all(map(DECIMAL_COMMA.fullmatch, line.split())) for line in lines[1:] or lines):
        return None
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


def _is_text(cell: str, decimal_comma: bool) -> bool:
    cell = cell.strip()
    if cell in EMPTY:
        return False
    try:
        float(cell.replace(",", ".") if decimal_comma else cell)
    except ValueError:
        return True
    return False
