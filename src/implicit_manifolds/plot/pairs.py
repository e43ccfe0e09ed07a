"""Pairs of coordinates: samples of a model in any dimension against the data."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from ..points import check_points
from .style import COLORMAP, DATA_COLOR, blank_figure, coordinate, dot, thinned

MAX_COORDINATES = 6
SAMPLE_COLOR = to_hex(colormaps[COLORMAP](0.35))


def plot_pairs(samples, points=None, title: str | None = None, names: Sequence[str] | None = None) -> Figure:
    """Each pair of coordinates of `samples` (N, n) against `points` (M, n), histograms on the diagonal.

    Data units; coordinates have these `names`, x₁, x₂, ... unless given. Of more than `MAX_COORDINATES` coordinates the
    first are drawn, which the title says. Raises InputError.
    """
    samples = check_points(samples)
    groups = [] if points is None else [("data", check_points(points, dimension=samples.shape[1]), DATA_COLOR)]
    groups.append(("samples of the model", samples, SAMPLE_COLOR))
    count = min(samples.shape[1], MAX_COORDINATES)
    side = min(9.0, 2.0 + 1.8 * count)
    figure = blank_figure(side, side)
    panels = figure.subplots(count, count, squeeze=False, sharex="col")
    for row, column in np.ndindex(count, count):
        _draw_panel(panels[row, column], groups, row, column)
    _label(panels, names)
    legend = panels[0, -1].legend(handles=[dot(name, color) for name, _, color in groups], loc="upper right")
    legend.set_in_layout(False)  # it lies over panels that are empty
    if full_title := _full_title(title, samples.shape[1]):
        figure.suptitle(full_title)
    return figure


def _full_title(title: str | None, dimension: int) -> str:
    note = f"first {MAX_COORDINATES} of {dimension} coordinates" if dimension > MAX_COORDINATES else None
    return ": ".join(part for part in (title, note) if part)


def _draw_panel(axes, groups, row: int, column: int) -> None:
    if row < column:
        axes.set_axis_off()
    elif row == column:
        values = [group[:, row] for _, group, _ in groups]
        bins = np.histogram_bin_edges(np.concatenate(values), bins=30)
        for value, (_, _, color) in zip(values, groups, strict=True):
            axes.hist(value, bins, density=True, histtype="stepfilled", color=color, alpha=0.5)
    else:
        _scatter(axes, groups, row, column)


def _scatter(axes, groups, row: int, column: int) -> None:
    """Dots of all groups in one shuffled order, so that none covers the others."""
    drawn = [thinned(group)[:, [column, row]] for _, group, _ in groups]
    colors = np.repeat([to_rgba(color) for *_, color in groups], [len(dots) for dots in drawn], axis=0)
    order = np.random.default_rng(0).permutation(len(colors))
    axes.scatter(*np.concatenate(drawn)[order].T, s=5, c=colors[order], alpha=0.5, linewidths=0, rasterized=True)


def _label(panels, names: Sequence[str] | None) -> None:
    count = len(panels)
    for row, column in np.ndindex(count, count):
        if row < column:
            continue
        axes = panels[row, column]
        axes.locator_params(nbins=4)
        axes.tick_params(labelbottom=row == count - 1, labelleft=column == 0 and row > 0, labelsize=9)
        if row == count - 1:
            axes.set_xlabel(coordinate(column) if names is None else names[column])
        if column == 0 and row > 0:
            axes.set_ylabel(coordinate(row) if names is None else names[row])
        if row == column:
            axes.set_yticks([])
