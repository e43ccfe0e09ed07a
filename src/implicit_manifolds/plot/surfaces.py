"""Surfaces: the zero set of F in space as triangles, coloured by the density on them."""

from typing import cast

import jax
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from skimage.measure import marching_cubes

from .._types import Float
from ..certificate.ridge_mesh import ridge_mesh
from ..ebim.model import EBIM
from ..points import check_points
from ..volumes.atlas import draw_pool
from .curves import boltzmann_weights, grid_values, polish
from .style import DATA_COLOR, add_density_bar, blank_figure, coordinate, density_scale, dot, thinned

VIEWS = {"from the front, above": (25.0, -60.0), "from behind, below": (-25.0, 120.0)}
"""Elevation and azimuth in degrees of the two panels: opposite directions, so that no side stays unseen."""
PANEL = 4.3
"""Side in inches of the square that a panel is projected to, labels included."""
DRAWS = 40_000
Triangles = Float[np.ndarray, "faces 3 3"]


def plot_surface(model: EBIM, points=None, title: str | None = None, resolution: int = 64) -> Figure:
    """The surface {F = 0} in space from two opposite sides, coloured by exp(-E)/Z per unit area.

    points (N, 3): data to draw on it, hidden where the surface hides them. resolution: cells along the longest side
    of the box. All in data units. Raises InputError where the model is no surface in space, or F has one sign.
    """
    points = np.empty((0, 3)) if points is None else thinned(check_points(points, dimension=3))
    triangles = surface_triangles(model, resolution)
    densities = density_over(model, triangles)
    scale = density_scale(densities)
    colors = scale.to_rgba(densities)
    low, high = _limits(np.concatenate([triangles.reshape(-1, 3), points]))
    figure, panels, bar = _page(high - low, title)
    for axes, view in zip(panels, VIEWS.values(), strict=True):
        _draw(axes, triangles, colors, points, view)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
        _label(axes, high - low)
    add_density_bar(figure, scale, panels, "area", cax=bar, orientation="horizontal")
    if len(points):
        figure.legend(handles=[dot("data", DATA_COLOR)], loc="upper right", frameon=False)
    return figure


def surface_triangles(model: EBIM, resolution: int = 64) -> Triangles:
    """Triangles of {F = 0} in the model's box, (faces, 3 corners, 3) in data units, none of zero area.

    Marching cubes on cells of 1/resolution of the box's longest side, then Newton steps; of a surface that F gives no
    sides, such as a ridge, `ridge_mesh` about points drawn from its charts. Raises InputError.
    """
    manifold = model.manifold
    if not manifold.signed and (manifold.codimension, manifold.ambient_dimension) == (1, 3) and manifold.atlas:
        mesh = ridge_mesh(manifold, draw_pool(jax.random.key(0), manifold, DRAWS).points, resolution)
        return _with_area(model.scaling.restore(mesh.vertices)[mesh.simplices])
    low, spacing, values = grid_values(model, resolution, dimension=3)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=tuple(spacing))
    vertices = polish(model.manifold.mdf, low + vertices, spacing.min() / 4)
    return _with_area(model.scaling.restore(vertices)[faces])


def _with_area(triangles: Triangles) -> Triangles:
    areas = triangle_areas(triangles)
    return triangles[areas > 1e-9 * areas.max()]


def triangle_areas(triangles: Triangles) -> np.ndarray:
    """Areas of triangles, (faces, 3, 3) to (faces,)."""
    return np.linalg.norm(_normals(triangles), axis=1) / 2


def density_over(model: EBIM, triangles: Triangles) -> np.ndarray:
    """exp(-E)/Z per unit area on each triangle, (faces, 3, 3) to (faces,), in data units.

    It is the mean over the corners; Z is the sum of area times it.
    """
    weights = boltzmann_weights(model, triangles.reshape(-1, 3)).reshape(-1, 3).mean(axis=1)
    return weights / (weights @ triangle_areas(triangles))


def _normals(triangles: Triangles) -> np.ndarray:
    """Normals (faces, 3), as long as twice the area; marching cubes does not fix the side they point to."""
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


def _draw(axes: Axes3D, triangles, colors, points, view) -> None:
    axes.set_proj_type("ortho")
    axes.view_init(*view)
    dots = _dots(points, np.ptp(triangles.reshape(-1, 3), axis=0).max(), view)
    faces = np.concatenate([triangles, dots])
    colors = np.concatenate([_lit(colors, triangles, view), np.tile(to_rgba(DATA_COLOR), (len(dots), 1))])
    # One collection, so that matplotlib sorts dots and faces by depth together; edges close the seams.
    axes.add_collection3d(Poly3DCollection(faces, facecolors=colors, edgecolors=colors, linewidths=0.3))


def _label(axes: Axes3D, extents) -> None:
    """Names and ticks of the coordinates, as many as the sides of the box (3,) have room for."""
    for index, axis in enumerate((axes.xaxis, axes.yaxis, axes.zaxis)):
        axes.locator_params("xyz"[index], nbins=max(2, round(5 * extents[index] / extents.max())))
        axis.set_label_text(coordinate(index))
        axis.labelpad = _label_pad(extents, index, _tick_width(axis) if index == 2 else 0.0)
    for tick in axes.zaxis.get_major_ticks():
        tick.label1.set_horizontalalignment("left")


def _label_pad(extents, index: int, room: float) -> float:
    """Padding in points that leaves the name of a coordinate as far from its axis as on a cube, and `room` more.

    matplotlib stretches its offsets, the fixed 21 points too, by the extents across the axis.
    """
    across = np.linalg.norm(np.delete(extents, index)) / np.sqrt(2)
    return (28 + room) * np.linalg.norm(extents) / np.sqrt(3) / across - 21


def _tick_width(axis) -> float:
    """Points that the longest number on an axis needs beyond three characters."""
    numbers = axis.get_major_formatter().format_ticks(axis.get_majorticklocs())
    return 5.0 * max(0, max(map(len, numbers), default=0) - 3)


def _limits(points) -> tuple[np.ndarray, np.ndarray]:
    """Opposite corners (3,) of a box round points (N, 3), no side under a fifth of the longest."""
    center = (points.max(axis=0) + points.min(axis=0)) / 2
    extents = np.ptp(points, axis=0)
    half = 1.12 * np.maximum(extents, 0.2 * extents.max()) / 2
    return center - half, center + half


def _page(extents, title: str | None):
    """A figure as high as a box of `extents` (3,) needs, its panels, and the axes of the colour bar.

    matplotlib's layout engines leave flat boxes in a sea of white, and let labels run into titles.
    """
    wide, high = _projected_size(extents)
    zoom = min(0.7 / wide, 0.86 / high)
    tall = extents[2] > 2 * extents[:2].max()  # labels then stand farther from the box
    top, bottom, picture = 0.85 + 0.35 * bool(title) + 0.35 * tall, 1.25, PANEL * high * zoom
    figure = blank_figure(2 * PANEL + 0.3, bottom + picture + top, layout=None)
    width, height = figure.get_size_inches()
    panels = []
    for index, name in enumerate(VIEWS):
        left, middle = 0.05 + index * PANEL, bottom + picture / 2
        rectangle = (left / width, (middle - PANEL / 2) / height, PANEL / width, PANEL / height)
        axes = cast(Axes3D, figure.add_axes(rectangle, projection="3d"))
        axes.set_box_aspect(extents, zoom=zoom)
        axes.patch.set_visible(False)  # the squares reach over each other's labels
        name_height = 1 - (0.2 + 0.35 * bool(title)) / height
        figure.text((left + PANEL / 2) / width, name_height, name, ha="center", va="top", fontsize=11)
        panels.append(axes)
    if title:
        figure.suptitle(title, y=1 - 0.1 / height, va="top")
    return figure, panels, figure.add_axes((0.25, 0.55 / height, 0.5, 0.14 / height))


def _projected_size(extents) -> tuple[float, float]:
    """Width and height of a box of `extents` (3,) seen from `VIEWS`, over its diagonal (a panel's side at zoom 1)."""
    right, up, _ = _axes_of_view(next(iter(VIEWS.values())))
    diagonal = np.linalg.norm(extents)
    return float(np.abs(right) @ extents / diagonal), float(np.abs(up) @ extents / diagonal)


def _axes_of_view(view) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors right, up and towards the eye, each (3,), for elevation and azimuth in degrees."""
    elevation, azimuth = np.radians(view)
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
    eye = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    return right, np.cross(eye, right), eye


def _lit(colors, triangles, view) -> np.ndarray:
    """Colours darkened by at most a fifth where a face turns from a lamp beside the eye."""
    right, up, eye = _axes_of_view(view)
    lamp = (2 * eye + up - right) / np.sqrt(6)
    normals = _normals(triangles)
    facing = np.abs(normals @ lamp) / np.linalg.norm(normals, axis=1)
    return np.column_stack([colors[:, :3] * (0.8 + 0.2 * facing)[:, None], colors[:, 3]])


def _dots(points, extent: float, view) -> Triangles:
    """A small diamond facing the eye at each point (N, 3), lifted off the surface: (2N, 3, 3)."""
    right, up, eye = _axes_of_view(view)
    radius = 0.008 * extent
    center = points + 3 * radius * eye
    halves = [[center - radius * right, center + radius * right, center + s * radius * up] for s in (-1, 1)]
    return np.concatenate([np.stack(half, axis=1) for half in halves])
