"""What is odd about the columns of a table: one line each, for the person who gave it."""

import re
from collections.abc import Iterator

import numpy as np

from .coordinates import Coordinates
from .reading import Table

ANGLE = re.compile(
    r"^(phi|psi|chi\d?|omega|theta|alpha|beta|gamma|delta|zeta|.*(angle|azimuth|bearing|heading|torsion|dihedral).*)$",
    re.I,
)
LONGITUDE, LATITUDE = re.compile(r"^(lon|lng|long|longitude)$", re.I), re.compile(r"^(lat|latitude)$", re.I)
FEWEST = 10
ROUND = {"degrees": (360.0, "deg"), "radians": (2 * np.pi, "rad")}
WHOLE, EDGE = 0.97, 0.02
"""Share of a turn that values of an angle cover, and share at each of its ends where some lie."""


def advice(table: Table, coordinates: Coordinates) -> tuple[str, ...]:
    """One line for each column that looks like a row number, a constant, or an angle that was not called one."""
    kinds = {name: part.kind for part in coordinates.parts for name in part.columns}
    told = list(table.advice)
    others = [name for name in table.names if kinds[name] == "plain"]
    globe = [next((name for name in others if shape.match(name)), None) for shape in (LONGITUDE, LATITUDE)]
    if all(globe):
        told.append(f"columns {globe[0]} and {globe[1]} look like a place on the globe: --lonlat {globe[0]},{globe[1]}")
    for name in others:
        column = np.asarray(table.values[:, table.names.index(name)], np.float64)
        if name not in globe or not all(globe):
            told += _about(name, column, [other for other in table.names if other != name])
    return tuple(told)


def _about(name: str, column: np.ndarray, rest: list[str]) -> Iterator[str]:
    if len(column) < FEWEST or not np.isfinite(column).all():
        return
    how = f" (leave it out with --columns {','.join(rest)})" if rest else ""
    if np.ptp(column) == 0:
        yield f"column {name} is constant; it is learned all the same{how}"
    elif (np.abs(np.diff(column)) == 1).all() and len(np.unique(column)) == len(column):
        yield f"column {name} looks like a row number; it is learned all the same{how}"
    else:
        for unit, (turn, flag) in ROUND.items():
            if _goes_round(column, turn) or (ANGLE.match(name) and 0.5 * turn < np.ptp(column) <= turn):
                close = f"--angles {flag} --angle-columns {name}"
                yield f"column {name} looks like an angle in {unit}: {close} closes it to a circle"
                return


def _goes_round(column: np.ndarray, turn: float) -> bool:
    """Whether values cover a turn from 0 or from -1/2 of it, to both of its ends and no further."""
    for low in (0.0, -turn / 2):
        share = (column - low) / turn
        inside = share.min() >= 0 and share.max() <= 1
        if inside and np.ptp(share) >= WHOLE and min(np.mean(share < EDGE), np.mean(share > 1 - EDGE)) > 0:
            return True
    return False
