"""Curves: the zero contour of F in the plane, coloured by the density on it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from skimage.measure import find_contours

from .._types import Float
from ..certificate import mesh
from ..ebim.model import EBIM
from ..ebim.verbs import log_volume_scale
from ..errors import InputError
from ..points import check_points
from ..volumes.importance import energies_at
from .style import DATA_COLOR, add_density_bar, blank_figure, coordinate, density_scale, thinned

NO_ZEROS = "F has one sign on the grid over the model's box, so there is no level set to draw; train longer"
Polyline = Float[np.ndarray, "vertices 2"]


def plot_curve(
    model: EBIM,
    points=None,
    truth: tuple[Sequence[Polyline], Sequence[np.ndarray]] | None = None,
    title: str | None = None,
) -> Figure:
    """The curve {F = 0} in the plane, coloured by exp(-E)/Z per unit length.

    points (N, 2): data, drawn in a panel of their own. truth: the true curves, each (m, 2), and the density at their
    vertices, each (m,), drawn in a panel on the same scale. All in data units. Raises InputError where the model is
    no curve in the plane, or F has one sign in its box.
    """
    points = None if points is None else check_points(points, dimension=2)
    polylines = contour_segments(model)
    panels = {"learned": (polylines, density_along(model, polylines))}
    if truth is not None:
        panels["true"] = _checked_truth(*truth)
    scale = density_scale(np.concatenate([values for _, densities in panels.values() for values in densities]))
    figure = blank_figure(*_size(panels, points), layout="compressed")
    count = len(panels) + (points is not None)
    axes = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
    for panel, (name, (lines, densities)) in zip(axes[-len(panels) :], panels.items(), strict=True):
        _draw(panel, lines, densities, scale)
        if count > 1:
            panel.set_title(name)
    if points is not None:
        dots = thinned(points)
        axes[0].scatter(dots[:, 0], dots[:, 1], s=9, color=DATA_COLOR, alpha=0.3, linewidths=0)
        axes[0].set_title("data")
    for panel in axes:
        panel.set_aspect("equal")
        panel.set_xlabel(coordinate(0))
        panel.locator_params(nbins=6)
    axes[0].set_ylabel(coordinate(1))
    add_density_bar(figure, scale, axes, "length")
    if title:
        figure.suptitle(title)
    return figure


def contour_segments(model: EBIM, resolution: int = 200) -> list[Polyline]:
    """The components of {F = 0} in the model's box, each (m, 2) in data units, ends equal where closed.

    Marching squares on cells of 1/resolution of the box's longest side, then Newton steps. Raises InputError.
    """
    low, spacing, values = grid_values(model, resolution, dimension=2)
    contours = [low + contour * spacing for contour in find_contours(values, 0.0)]
    if not contours:
        raise InputError(NO_ZEROS)
    polished = [polish(model.manifold.mdf, contour, spacing.min() / 4) for contour in contours]
    for contour in polished:
        if np.linalg.norm(contour[0] - contour[-1]) < 1e-3 * spacing.min():
            contour[-1] = contour[0]
    return [model.scaling.restore(contour) for contour in polished]


def density_along(model: EBIM, polylines: Sequence[Polyline]) -> list[np.ndarray]:
    """exp(-E)/Z per unit length at the vertices of `polylines`, each (m, 2) to (m,), in data units.

    Z is the integral of exp(-E) along them by the trapezoid rule.
    """
    weights = boltzmann_weights(model, np.concatenate(polylines))
    pieces = np.split(weights, np.cumsum([len(line) for line in polylines])[:-1])
    lengths = (np.linalg.norm(np.diff(line, axis=0), axis=1) for line in polylines)
    total = sum(_midway(weight) @ length for weight, length in zip(pieces, lengths, strict=True))
    return [weight / total for weight in pieces]


def grid_values(
    model: EBIM, resolution: int, dimension: int
) -> tuple[np.ndarray, np.ndarray, Float[np.ndarray, "..."]]:
    """F on a grid over the box, with the first node (n,) and the spacing (n,), in standardised units.

    Raises InputError unless the model has codimension 1 in `dimension` coordinates and F takes both signs.
    """
    check_hypersurface(model, dimension)
    low, spacing, values = mesh.grid_values(model.manifold, resolution)
    if not ((values > 0).any() and (values < 0).any()):
        raise InputError(NO_ZEROS)
    return low, spacing, values


def check_hypersurface(model: EBIM, dimension: int) -> None:
    """Raise InputError unless the model is a zero set of codimension 1 in `dimension` coordinates."""
    found = model.manifold.codimension, model.manifold.ambient_dimension
    if found != (1, dimension) or not model.manifold.signed:
        raise InputError(
            f"the model has codimension {found[0]} in {found[1]} coordinates, and this figure needs a zero set of "
            f"codimension 1 in {dimension}; draw even points, or pairs of coordinates of samples, instead"
        )


def polish(mdf, vertices: Float[np.ndarray, "vertices n"], reach: float) -> Float[np.ndarray, "vertices n"]:
    """`vertices` (m, n), standardised, moved onto {F = 0} by three Newton steps no longer than `reach`."""
    return np.array(_polish(mdf, jnp.asarray(vertices, jnp.result_type(float)), reach), np.float64)


def boltzmann_weights(model: EBIM, points: Float[np.ndarray, "points n"]) -> np.ndarray:
    """The density at `points` (N, n) of M, in data units, (N,), over its largest value so that none overflows."""
    standard = np.asarray(model.scaling.standardize(points))
    logs = -energies_at(model.energy, standard) - log_volume_scale(model, standard)
    return np.exp(logs - logs.max())


@jax.jit
def _polish(mdf, points, reach):
    def step(_, x):
        value, gradient = jax.value_and_grad(lambda x: mdf(x)[0])(x)
        move = -value * gradient / jnp.sum(gradient**2)
        length = jnp.linalg.norm(move)
        shorter = jnp.minimum(1, reach / jnp.where(length > 0, length, 1))
        return jnp.where(jnp.isfinite(length), x + shorter * move, x)

    return jax.vmap(lambda x: jax.lax.fori_loop(0, 3, step, x))(points)


def _midway(values: np.ndarray) -> np.ndarray:
    return (values[1:] + values[:-1]) / 2


def _checked_truth(lines, densities):
    lines = [check_points(line, dimension=2) for line in lines]
    densities = [np.asarray(density, np.float64) for density in densities]
    if [len(line) for line in lines] != [len(density) for density in densities] or not lines:
        raise InputError("the true curves and their densities differ in length; give one density a vertex")
    return lines, densities


def _draw(axes: Axes, polylines, densities, scale: ScalarMappable) -> None:
    pieces = np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in polylines])
    colors = scale.to_rgba(np.concatenate([_midway(density) for density in densities]))
    axes.add_collection(LineCollection(list(pieces), colors=colors, linewidths=3.5, capstyle="round"))
    axes.autoscale_view()


def _size(panels, points) -> tuple[float, float]:
    """Width and height in inches that leave little white round panels of equal aspect."""
    drawn = [line for lines, _ in panels.values() for line in lines] + ([] if points is None else [points])
    width, height = np.maximum(np.ptp(np.concatenate(drawn), axis=0), 1e-12)
    count = len(panels) + (points is not None)
    panel = {1: 5.0, 2: 3.4, 3: 2.25}[count]
    return 2.1 + panel * count, 1.1 + panel * float(np.clip(height / width, 0.4, 1.3))
