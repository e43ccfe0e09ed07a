"""Tables that the command reads and writes, in the columns that people have."""

import io
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import tyro

from .._files import write_whole
from ..advice import advice
from ..coordinates import Coordinates, Unit, coordinates_of, unnamed
from ..ebim import storage
from ..errors import InputError
from ..reading import Missing, MissingColumn, Table, read_table

PathArgument = Annotated[Path, tyro.conf.Positional]
WRITTEN = (".csv", ".npy", ".parquet")


@dataclass(frozen=True)
class Columns:
    """Which columns of a table, and what they mean; names with commas between."""

    columns: str = ""  # to learn from, with commas between (x,y); all that hold numbers unless given
    missing: Missing = "error"  # whether rows with missing cells are refused or left out
    angles: Unit | None = None  # unit of the columns that are angles: all, unless named
    angle_columns: str = ""  # which they are (phi,psi)
    lonlat: str = ""  # columns of longitude and latitude in degrees (lon,lat)
    quaternion: str = ""  # columns w,x,y,z of unit quaternions, q and -q one rotation
    rotation_matrix: str = ""  # nine columns of rotation matrices, row by row


def read(path: Path, chosen: Columns) -> tuple[Coordinates, np.ndarray]:
    """What the columns of a file mean, and their values (N, c); advice on them goes to stderr."""
    table = read_table(path, _names(chosen.columns) or None, chosen.missing)
    coordinates = coordinates_of(
        table.names,
        table.values,
        angles=chosen.angles,
        angle_columns=_names(chosen.angle_columns),
        lonlat=_names(chosen.lonlat),
        quaternion=_names(chosen.quaternion),
        rotation_matrix=_names(chosen.rotation_matrix),
    )
    for line in advice(table, coordinates):
        print(f"advice: {line}", file=sys.stderr)
    return coordinates, table.values


def read_as(path: Path, coordinates: Coordinates, missing: Missing = "error") -> Table:
    """The columns of a file that a model was fitted to, by name, or in their order where the file has no names."""
    names = coordinates.names
    try:
        table = read_table(path, names, missing)
    except MissingColumn:
        table = read_table(path, None, missing)
    chosen = names != unnamed(len(names)) and table.names == names
    if not table.named and table.width != len(names) and not chosen:
        raise InputError(f"{path} has {table.width} columns; the model was fitted to {', '.join(names)}")
    if table.named and table.names != names:
        raise InputError(f"{path} has columns {', '.join(table.names)}; the model was fitted to {', '.join(names)}")
    if not table.named and table.width == len(names):
        table = read_table(path, None, missing)  # in their order, whatever the model's are called
    for line in table.advice:
        print(f"advice: {line}", file=sys.stderr)
    return table


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def coordinates_with(model: Path) -> Coordinates:
    """What the columns mean that a saved model was fitted to."""
    return storage.load_coordinates(model)


def to_file(out: Path, compute: Callable):
    """The result of `compute`, refused beforehand where it could not be written to `out`."""
    if out.suffix not in WRITTEN:
        raise InputError(f"{out} must end in {', '.join(WRITTEN[:-1])} or {WRITTEN[-1]}")
    storage.refuse_existing(out)
    refuse_unwritable(out)
    return compute()


def refuse_unwritable(out: Path) -> None:
    """Raise InputError where nothing can be written at `out`, before any work is done; its directory is made."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out.parent} cannot be made ({error.strerror}); name another path") from error
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise InputError(f"{out.parent} cannot be written to; name another path")


def save_somewhere(out: Path, save: Callable[[Path], None]) -> None:
    """Save a model that took long to make at `out`, or where that fails in a temporary directory, which is told."""
    try:
        save(out)
    except OSError as error:
        kept = Path(tempfile.mkdtemp(prefix="implicit-manifolds-")) / out.name
        save(kept)
        raise InputError(f"{out} cannot be written ({error.strerror or error}); the model is kept in {kept}") from error


def write(out: Path, columns: np.ndarray, names: Sequence[str], rows: np.ndarray | None = None) -> None:
    """A table (N, c) under these names, after the numbers, from 1, of its rows in the file where some were left out."""
    if rows is not None:
        columns, names = np.column_stack([rows + 1, columns]), ["row", *names]
    content = io.BytesIO()
    distinct = [name if name not in names[:place] else f"{name}_{place}" for place, name in enumerate(names)]
    frame = pl.DataFrame(np.ascontiguousarray(columns), schema=distinct, orient="row")
    if out.suffix == ".npy":
        np.save(content, columns)
    elif out.suffix == ".parquet":
        frame.write_parquet(content)
    else:
        frame.write_csv(content)
    storage.refuse_existing(out)
    try:
        write_whole(out, content.getvalue())
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror or error}); name another path") from error
