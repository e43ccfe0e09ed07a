"""Floods, fires, earthquakes and volcanic eruptions as points on the unit sphere."""

from typing import Literal

import numpy as np

from ..choices import check_choice
from .download import fetch

_HEADER_LINES = {"flood": 2, "fire": 1, "quakes_all": 4, "volerup": 2}
EarthData = Literal["flood", "fire", "quakes_all", "volerup"]


def load_earth(name: EarthData) -> np.ndarray:
    """Unit vectors (N, 3) float64; N is 4875, 12809, 6120 and 827, repeated events included.

    Raises InputError for another name, DataUnavailable as `fetch` does. Source: Mathieu & Nickel 2020; files of
    oxcsml/riemannian-score-sde.
    """
    check_choice("the data set", name, EarthData)
    path = fetch(f"earth/{name}.csv")
    return unit_vectors(np.genfromtxt(path, delimiter=",", skip_header=_HEADER_LINES[name]))


def unit_vectors(degrees: np.ndarray) -> np.ndarray:
    """(cos lat cos lon, cos lat sin lon, sin lat), (N, 2) latitude and longitude in degrees to (N, 3)."""
    latitude, longitude = np.radians(degrees).T
    ring = np.cos(latitude)
    return np.column_stack([ring * np.cos(longitude), ring * np.sin(longitude), np.sin(latitude)])
