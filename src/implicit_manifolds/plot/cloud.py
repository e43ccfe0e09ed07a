"""Even points of a manifold in the plane or in space, coloured by density: curves in space, and with ends."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .._random import derived_keys, host_generator
from .._types import RandomKey
from ..ebim.model import EBIM
from ..ebim.verbs import log_density
from ..errors import InputError
from ..points import check_points
from ..volumes.atlas import draw_pool
from ..volumes.pools import even_points
from .style import DATA_COLOR, add_density_bar, blank_figure, coordinate, density_scale, dot, thinned

DRAWS, DOTS = 20_000, 4000


def plot_cloud(key: RandomKey, model: EBIM, points=None, title: str | None = None) -> Figure:
    """Even points of M, coloured by density, with data (N, n) if given; in data units.

    For what has no sides to march on, such as a `Ridge` or a curve in space. Raises InputError unless the model has
    charts, in two or three coordinates.
    """
    dimension = model.manifold.ambient_dimension
    if model.manifold.atlas is None or dimension not in (2, 3):
        raise InputError("even points are drawn of models with charts in two or three coordinates; draw pairs instead")
    pool_key, thin_key = derived_keys(key, 2)
    pool = draw_pool(pool_key, model.manifold, DRAWS)
    even = model.scaling.restore(even_points(host_generator(thin_key), pool, DOTS))
    density = np.exp(log_density(model, even).log_density)
    figure = blank_figure(6.4, 4.8)
    kind: dict[str, Any] = {"projection": "3d"} if dimension == 3 else {"aspect": "equal"}
    axes: Any = figure.add_subplot(**kind)
    scale = density_scale(density)
    if points is not None:
        axes.scatter(*thinned(check_points(points, dimension)).T, s=14, color=DATA_COLOR, alpha=0.3, linewidths=0)
        axes.legend(handles=[dot("data", DATA_COLOR)], loc="upper right", frameon=False)
    axes.scatter(*even.T, c=density, s=4, cmap=scale.cmap, norm=scale.norm, linewidths=0)
    axes.set(xlabel=coordinate(0), ylabel=coordinate(1), title=title or "")
    if dimension == 3:
        axes.set(zlabel=coordinate(2))
        axes.set_box_aspect(np.ptp(even, axis=0), zoom=0.85)
        axes.locator_params(nbins=4)
    add_density_bar(figure, scale, axes, {1: "length", 2: "area"}[model.manifold.dimension], shrink=0.7)
    return figure
