"""Training curves: every term of the loss against the number of updates."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import InputError
from ..training.loop import History
from .style import COLORMAP, blank_figure


def plot_history(histories: dict[str, History]) -> Figure:
    """One panel for each named step, with each term of its loss against the update. Raises InputError for none."""
    if not histories:
        raise InputError("there is no history to draw; give at least one")
    figure = blank_figure(4.5 * max(len(histories), 1.4), 3.8)
    panels = figure.subplots(1, len(histories), squeeze=False)[0]
    for axes, (name, history) in zip(panels, histories.items(), strict=True):
        _draw(axes, history)
        axes.set_title(name)
    panels[0].set_ylabel("mean over a round of updates")
    return figure


def _draw(axes: Axes, history: History) -> None:
    terms = {name: values for name, values in history.terms.items() if name != "loss"}
    colors = colormaps[COLORMAP](np.linspace(0.1, 0.85, len(terms)))
    for (name, values), color in zip(terms.items(), colors, strict=True):
        axes.plot(history.steps, values, color=color, label=name, linewidth=1.5)
    if "loss" in history.terms:
        axes.plot(history.steps, history.terms["loss"], color="black", label="loss", linewidth=1.5, linestyle="--")
    _choose_scale(axes, np.abs(np.concatenate(list(history.terms.values()))))
    axes.set_xlabel("update")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False)  # curves leave no room inside


def _choose_scale(axes: Axes, sizes: np.ndarray) -> None:
    """Linear, or logarithmic away from zero where a few early values would flatten all the others."""
    typical = np.median(sizes)
    if typical > 0 and sizes.max() > 30 * typical:
        axes.set_yscale("symlog", linthresh=10.0 ** np.floor(np.log10(typical)))
