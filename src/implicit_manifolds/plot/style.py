"""What every figure shares: the blank page, the colours, the colour bar and the labels of the axes."""

from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

Layout = Literal["constrained", "compressed"]
COLORMAP = "viridis"
DATA_COLOR = "#d1495b"
"""Points of the data; a red that viridis does not hold."""
MAX_DOTS = 2000
"""Points drawn at most of any one set; more are only a blot, and slow."""
PEAKED = 50


def blank_figure(width: float, height: float, layout: Layout | None = "constrained") -> Figure:
    """A figure of `width` x `height` inches at 100 dots an inch, tied to no window and no global state."""
    return Figure(figsize=(width, height), dpi=100, layout=layout)


def density_scale(densities: np.ndarray) -> ScalarMappable:
    """Colours of densities (N,), one scale for all the panels of a figure.

    From zero, or over four decades where the largest is `PEAKED` times the median: all else would be one colour.
    """
    largest = densities.max()
    if largest > PEAKED * np.median(densities):
        return ScalarMappable(LogNorm(largest / 1e4, largest, clip=True), colormaps[COLORMAP])
    return ScalarMappable(Normalize(0, largest), colormaps[COLORMAP])


def add_density_bar(figure: Figure, scale: ScalarMappable, axes, unit: str, **options) -> None:
    """A colour bar beside `axes`, labelled with the density and its `unit` ("length", "area")."""
    bar = figure.colorbar(scale, ax=axes, **options)
    bar.set_label(f"density per{' ' if bar.orientation == 'horizontal' else chr(10)}unit {unit} of the data")


def dot(label: str, color) -> Line2D:
    """A dot of `color` for a legend."""
    return Line2D([], [], color=color, marker="o", markersize=5, linestyle="", label=label)


def thinned(points: np.ndarray) -> np.ndarray:
    """At most `MAX_DOTS` of `points` (N, n), evenly spaced rows."""
    return points[:: max(1, -(-len(points) // MAX_DOTS))]


def coordinate(index: int) -> str:
    """The name of a coordinate on an axis, counted from zero."""
    return f"$x_{{{index}}}$"
