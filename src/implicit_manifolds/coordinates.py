"""Coordinates that people have, angles and places on a globe and rotations, and the points of R^n that they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from ._types import Array, Float, Vector
from .errors import InputError

Kind = Literal["plain", "angle", "lonlat", "quaternion", "rotation"]
Unit = Literal["deg", "rad"]
WIDTH = {"plain": 1, "angle": 1, "lonlat": 2, "quaternion": 4, "rotation": 9}
"""Columns of a part; and of R^n, below, that its columns become."""
AMBIENT = {"plain": 1, "angle": 2, "lonlat": 3, "quaternion": 9, "rotation": 9}
FREEDOM = {"plain": 1, "angle": 1, "lonlat": 2, "quaternion": 3, "rotation": 3}
MEASURE = {"plain": "unit", "angle": "rad", "lonlat": "sr", "quaternion": "haar", "rotation": "haar"}
TURN = {"deg": 360.0, "rad": 2 * np.pi}
HAAR = float(np.log(8 * np.pi**2))
"""Log of the volume of all rotations in cubed radians, which the Haar measure calls one."""
NEARLY = 0.01
"""How far quaternions and matrices may be from rotations."""


class Part(NamedTuple):
    """Columns, by name, that belong together; the unit of angles, and from where they run once round."""

    kind: Kind
    columns: tuple[str, ...]
    unit: Unit = "rad"
    low: float = -np.pi


@jax.tree_util.register_static
@dataclass(frozen=True)
class Coordinates:
    """What the columns of a table mean: parts in the order of R^n, names (c,) in the order of the table.

    An angle becomes its cosine and sine; longitude and latitude a unit vector; quaternions (w, x, y, z), of which q and
    -q are one rotation, and rotation matrices, row by row, the nine entries of the matrix.
    """

    parts: tuple[Part, ...]
    names: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether the columns are points of R^n as they are."""
        return all(part.kind == "plain" for part in self.parts)

    @property
    def freedom(self) -> int:
        """The dimension of what the columns can say."""
        return sum(FREEDOM[part.kind] for part in self.parts)

    @property
    def measure(self) -> str:
        """What a density by the user's measure is per: "rad2", "sr", "haar", "rad_unit"."""
        units = [MEASURE[part.kind] for part in self.parts]
        return "_".join(
            unit + (str(units.count(unit)) if units.count(unit) > 1 else "") for unit in dict.fromkeys(units)
        )

    def embed(self, values: Float[np.ndarray, "N c"]) -> Float[np.ndarray, "N n"]:
        """Points of R^n, (N, n). Raises InputError where values are none of these coordinates."""
        values = np.asarray(values, np.float64)
        return np.concatenate([EMBED[part.kind](part, self._of(part, values)) for part in self.parts], axis=1)

    def restore(self, points: Float[np.ndarray, "N n"]) -> Float[np.ndarray, "N c"]:
        """The columns (N, c) of points (N, n) of R^n, or of those nearest to them that have any."""
        values, start = np.empty((len(points), len(self.names))), 0
        for part in self.parts:
            stop = start + AMBIENT[part.kind]
            values[:, [self.names.index(name) for name in part.columns]] = RESTORE[part.kind](
                part, points[:, start:stop]
            )
            start = stop
        return values

    def frame(self, x: Vector) -> Float[Array, "n d"]:
        """Tangent vectors at x (n,), as columns, along which the user's measure, but for Haar's scale, is one each."""
        blocks, start = [], 0
        for part in self.parts:
            stop = start + AMBIENT[part.kind]
            blocks.append(FRAME[part.kind](x[start:stop]))
            start = stop
        return jax.scipy.linalg.block_diag(*blocks)

    @property
    def log_scale(self) -> float:
        """Log of the Haar measures' units in the frame's."""
        return HAAR * sum(MEASURE[part.kind] == "haar" for part in self.parts)

    def described(self) -> dict:
        """As JSON takes it."""
        return {"names": list(self.names), "parts": [part._asdict() for part in self.parts]}

    def _of(self, part: Part, values: np.ndarray) -> np.ndarray:
        return values[:, [self.names.index(name) for name in part.columns]]


def from_description(description: dict) -> Coordinates:
    """What `Coordinates.described` gave."""
    parts = [Part(**(part | {"columns": tuple(part["columns"])})) for part in description["parts"]]
    return Coordinates(tuple(parts), tuple(description["names"]))


def unnamed(count: int) -> tuple[str, ...]:
    """Names for columns that have none."""
    return tuple(f"x{number}" for number in range(count))


def plain(names: Sequence[str]) -> Coordinates:
    """Columns that are points of R^n as they are."""
    return Coordinates(tuple(Part("plain", (name,)) for name in names), tuple(names))


def coordinates_of(
    names: Sequence[str],
    values: Float[np.ndarray, "N c"],
    *,
    angles: Unit | None = None,
    angle_columns: Sequence[str] = (),
    lonlat: Sequence[str] = (),
    quaternion: Sequence[str] = (),
    rotation_matrix: Sequence[str] = (),
) -> Coordinates:
    """Coordinates of a table with these names and values (N, c).

    angles: unit of `angle_columns`, of all columns that are nothing else unless these are named; they run from -180° to
    180°, or from 0° where no value is negative. lonlat: longitude and latitude in degrees. quaternion: w, x, y, z.
    rotation_matrix: nine entries, row by row. What is named nowhere is plain.

    Arguments:
        names: of the columns.
        values: (N, c), which tell from where angles run.
        angles: "deg" or "rad".
        angle_columns: names of those that are angles.
        lonlat: two names.
        quaternion: four names.
        rotation_matrix: nine names.

    Returns:
        `Coordinates`: `embed` takes rows to points of R^n, to fit, and `restore` takes points back.

    Raises:
        InputError: a name is unknown or named twice, two columns have one, or there are too few.

    >>> places = np.array([[10.0, 50.0], [-70.0, -30.0]])
    >>> globe = im.coordinates_of(["lon", "lat"], places, lonlat=["lon", "lat"])
    >>> globe.embed(places).shape, globe.restore(globe.embed(places)).round(6).tolist()
    ((2, 3), [[10.0, 50.0], [-70.0, -30.0]])
    """
    groups: list[tuple[Kind, Sequence[str]]] = [
        ("lonlat", lonlat),
        ("quaternion", quaternion),
        ("rotation", rotation_matrix),
    ]
    if double := [name for name in names if list(names).count(name) > 1]:
        raise InputError(f"two columns are named {double[0]}; rename one")
    if values.ndim != 2 or values.shape[1] != len(names):
        raise InputError(f"values have the shape {values.shape}; give a column for each of {len(names)} names")
    for kind, group in groups:
        if group and len(group) != WIDTH[kind]:
            raise InputError(f"{kind} takes {WIDTH[kind]} columns, not {len(group)}; name them with commas between")
    taken = [name for _, group in groups for name in group]
    if angle_columns and angles is None:
        raise InputError("columns of angles need a unit; give --angles deg or --angles rad")
    if angles is not None:
        taken += angle_columns or [name for name in names if name not in taken]
    for name in taken:
        if name not in names:
            raise InputError(f"there is no column {name}; there are {', '.join(names)}")
        if taken.count(name) > 1:
            raise InputError(f"column {name} is given two meanings; give it one")
    of_angles = [name for name in taken if not any(name in group for _, group in groups)]
    starts = {name: kind for kind, group in groups for name in group[:1]}
    members = dict(groups)
    parts = []
    for name in names:
        if name in of_angles and angles is not None:
            column = values[:, list(names).index(name)]
            parts.append(Part("angle", (name,), angles, 0.0 if column.min() >= 0 else -TURN[angles] / 2))
        elif name in starts:
            kind = starts[name]
            low = 0.0 if kind == "lonlat" and values[:, list(names).index(name)].min() >= 0 else -180.0
            parts.append(Part(kind, tuple(members[kind]), "deg", low))
        elif name not in taken:
            parts.append(Part("plain", (name,)))
    return Coordinates(tuple(parts), tuple(names))


def _angles(part: Part, values):
    turned = values[:, 0] * (2 * np.pi / TURN[part.unit])
    return np.column_stack([np.cos(turned), np.sin(turned)])


def _angles_back(part: Part, points):
    return _wrapped(part, np.arctan2(points[:, 1], points[:, 0]))[:, None]


def _wrapped(part: Part, radians):
    turn = TURN[part.unit]
    return part.low + np.mod(radians * (turn / (2 * np.pi)) - part.low, turn)


def _globe(part: Part, values):
    beyond = np.abs(values[:, 1]) > 90
    if beyond.any():
        raise InputError(
            f"column {part.columns[1]} has latitude {values[beyond][0, 1]:g} in row {int(beyond.argmax()) + 1}, beyond "
            "90 degrees; name the longitude first"
        )
    longitude, latitude = np.radians(values).T
    ring = np.cos(latitude)
    return np.column_stack([ring * np.cos(longitude), ring * np.sin(longitude), np.sin(latitude)])


def _globe_back(part: Part, points):
    longitude = _wrapped(part, np.arctan2(points[:, 1], points[:, 0]))
    return np.column_stack([longitude, np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))])


def _quaternions(part: Part, values):
    _refuse_far(np.abs(np.linalg.norm(values, axis=1) - 1), "quaternions of norm one", part)
    return Rotation.from_quat(values, scalar_first=True).as_matrix().reshape(-1, 9)


def _quaternions_back(part: Part, points):
    return Rotation.from_matrix(points.reshape(-1, 3, 3)).as_quat(canonical=True, scalar_first=True)


def _rotations(part: Part, values):
    matrices = values.reshape(-1, 3, 3)
    away = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    _refuse_far(np.where(np.linalg.det(matrices) > 0, away, np.inf), "rotation matrices, row by row", part)
    return values


def _rotations_back(part: Part, points):
    return Rotation.from_matrix(points.reshape(-1, 3, 3)).as_matrix().reshape(-1, 9)


def _refuse_far(away, what: str, part: Part) -> None:
    if not (away <= NEARLY).all():
        row = int(np.argmax(~(away <= NEARLY))) + 1
        raise InputError(f"columns {', '.join(part.columns)} are no {what} (first: row {row}); check their order")


def _globe_frame(x: Vector) -> Float[Array, "3 2"]:
    """Two orthonormal vectors across x: columns of the reflection that takes an axis to x."""
    unit = x / jnp.linalg.norm(x)
    axis = jnp.zeros(3, x.dtype).at[2].set(jnp.where(unit[2] > 0, -1.0, 1.0))
    across = unit - axis
    return (jnp.eye(3, dtype=x.dtype) - 2 * jnp.outer(across, across) / jnp.vdot(across, across))[:, :2]


def _rotation_frame(x: Vector) -> Float[Array, "9 3"]:
    """R times the three infinitesimal turns, of a radian each."""
    matrix = x.reshape(3, 3)
    turns = np.array(
        [[[0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0], [-1, 0, 0]], [[0, -1, 0], [1, 0, 0], [0, 0, 0]]]
    )
    return jnp.stack([(matrix @ jnp.asarray(turn, x.dtype)).reshape(9) for turn in turns], axis=1)


EMBED: dict[str, Callable] = {
    "plain": lambda part, values: values,
    "angle": _angles,
    "lonlat": _globe,
    "quaternion": _quaternions,
    "rotation": _rotations,
}
RESTORE: dict[str, Callable] = {
    "plain": lambda part, points: points,
    "angle": _angles_back,
    "lonlat": _globe_back,
    "quaternion": _quaternions_back,
    "rotation": _rotations_back,
}
FRAME: dict[str, Callable] = {
    "plain": lambda x: jnp.eye(1, dtype=x.dtype),
    "angle": lambda x: (jnp.stack([-x[1], x[0]]) / jnp.linalg.norm(x))[:, None],
    "lonlat": _globe_frame,
    "quaternion": _rotation_frame,
    "rotation": _rotation_frame,
}
