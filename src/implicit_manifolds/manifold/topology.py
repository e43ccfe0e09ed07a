"""Components, Betti numbers and stray parts of a curve in the plane or a surface in space, from its mesh."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from skimage.measure import find_contours, marching_cubes

from .._loops import in_blocks
from .._random import Box
from .._types import MDF, Array, Float, Int

BLOCK = 2**15
RESOLUTIONS = {2: (64, 128, 256, 512), 3: (32, 48, 64, 96, 128)}


class Component(NamedTuple):
    """A connected part of {F = 0} in the box.

    closed: it does not end at the box. genus: of a closed surface, None otherwise. volume_share and data_share: its
    parts of the volume and of the data, each point counted with the component nearest to it.
    """

    closed: bool
    genus: int | None
    volume_share: float
    data_share: float


class Topology(NamedTuple):
    """What the zero set is.

    dimension m of it. components, largest first. betti (β₀, ..., β_m), of closed parts only. settled: the last two
    resolutions agree on number, ends and genus of the components. resolution: cells along the box's longest side.
    gradient_ratio: least ‖∇F‖ on the zero set over the greatest.
    """

    dimension: int
    components: tuple[Component, ...]
    betti: tuple[int, ...]
    settled: bool
    resolution: int
    gradient_ratio: float


class Mesh(NamedTuple):
    """vertices (v, n) near M, simplices (s, m + 1) of them, and F's grid spacing (n,)."""

    vertices: Float[np.ndarray, "v n"]
    simplices: Int[np.ndarray, "s corners"]
    spacing: Float[np.ndarray, " n"]


def topology(mdf: MDF, box: Box, data: Float[np.ndarray | Array, "points n"]) -> Topology:
    """Components and Betti numbers of {F = 0} in the box, one constraint in two or three dimensions.

    Marching squares or cubes on ever finer grids until two agree; data (N, n) decide which components are stray:
    those nearest to none. Raises ValueError for other dimensions or more constraints.
    """
    dimension = len(box[0])
    constraints = jax.eval_shape(mdf, box[0]).shape
    if constraints != (1,) or dimension not in RESOLUTIONS:
        raise ValueError("topology is read off meshes: one constraint in two or three dimensions")
    before = None
    for resolution in RESOLUTIONS[dimension]:
        mesh = level_mesh(mdf, box, resolution)
        components = _components(mesh, np.asarray(data))
        shape = [component[:2] for component in components]
        settled = before is not None and sorted(map(str, shape)) == before
        before = sorted(map(str, shape))
        if settled:
            break
    slopes = in_blocks(lambda rows: _slopes(mdf, rows), mesh.vertices.astype(jnp.result_type(float)), BLOCK)
    ratio = float(slopes.min() / slopes.max()) if len(slopes) else 0.0
    return Topology(dimension - 1, components, _betti(components, dimension - 1), settled, resolution, ratio)


def describe(found: Topology) -> str:
    """One line: "1 component, genus 1 (torus); smallest over largest gradient 0.31; no stray components"."""
    count = len(found.components)
    parts = [f"{count} component{'' if count == 1 else 's'}"]
    if count:
        parts[0] += ", " + _kinds(found)
        parts.append(f"smallest over largest gradient {found.gradient_ratio:.2g}")
        stray = [component.volume_share for component in found.components if component.data_share == 0]
        parts.append(f"{len(stray)} stray, {sum(stray):.2g} of the volume" if stray else "no stray components")
    if not found.settled:
        parts.append(f"not settled at {found.resolution} cells a side")
    return "; ".join(parts)


def _kinds(found: Topology) -> str:
    names = {0: "genus 0 (sphere)", 1: "genus 1 (torus)"}
    kinds = []
    for component in found.components:
        if not component.closed:
            kinds.append("open at the box")
        elif component.genus is None:
            kinds.append("closed")
        else:
            kinds.append(names.get(component.genus, f"genus {component.genus}"))
    distinct = sorted(set(kinds))
    return distinct[0] if len(distinct) == 1 else ", ".join(f"{kinds.count(kind)} {kind}" for kind in distinct)


def grid_values(mdf: MDF, box: Box, resolution: int):
    """F on a grid over the box: the first node (n,), the spacing (n,), and the values, one axis a coordinate.

    Cells are 1/resolution of the box's longest side, or a little less.
    """
    low, high = (np.asarray(bound, np.float64) for bound in box)
    cells = np.maximum(1, np.ceil(resolution * (high - low) / (high - low).max())).astype(int)
    axes = [np.linspace(*ends) for ends in zip(low, high, cells + 1, strict=True)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    flat = nodes.reshape(-1, len(low)).astype(jnp.result_type(float))
    values = in_blocks(lambda rows: _values(mdf, rows), flat, BLOCK)
    return low, (high - low) / cells, values.reshape(nodes.shape[:-1])


def level_mesh(mdf: MDF, box: Box, resolution: int) -> Mesh:
    """Segments or triangles of {F = 0} in the box, by marching squares or cubes; empty where F has one sign."""
    low, spacing, values = grid_values(mdf, box, resolution)
    dimension = len(low)
    values = np.where(values == 0, np.finfo(values.dtype).tiny, values)  # no vertex on a node: meshes stay manifold
    if not ((values > 0).any() and (values < 0).any()):
        return Mesh(np.empty((0, dimension)), np.empty((0, dimension), int), spacing)
    if dimension == 3:
        vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=tuple(spacing), allow_degenerate=True)
        return Mesh(low + vertices, faces, spacing)
    contours = find_contours(values, 0.0)
    starts = np.cumsum([0, *(len(contour) for contour in contours)])
    segments = []
    for start, contour in zip(starts, contours, strict=False):
        rows = start + np.arange(len(contour))
        if np.array_equal(contour[0], contour[-1]):
            rows[-1] = start
        segments.append(np.column_stack([rows[:-1], rows[1:]]))
    return Mesh(low + np.concatenate(contours) * spacing, np.concatenate(segments), spacing)


def _components(mesh: Mesh, data) -> tuple[Component, ...]:
    """The parts of a mesh, largest first."""
    if len(mesh.simplices) == 0:
        return ()
    size, first = len(mesh.vertices), mesh.simplices[:, 0]
    links = [coo_array((np.ones(len(first)), (first, other)), (size, size)) for other in mesh.simplices.T[1:]]
    _, label = connected_components(sum(links[1:], links[0]), directed=False)
    used = np.unique(mesh.simplices)
    nearest = label[used[KDTree(mesh.vertices[used]).query(data)[1]]]
    volumes, owner = _volumes(mesh), label[first]
    parts = []
    for name in np.unique(owner):
        simplices = mesh.simplices[owner == name]
        closed = _is_closed(simplices)
        genus = _genus(simplices) if closed and simplices.shape[1] == 3 else None
        share = float(volumes[owner == name].sum() / volumes.sum())
        parts.append(Component(closed, genus, share, float(np.mean(nearest == name))))
    return tuple(sorted(parts, key=lambda part: -part.volume_share))


def _is_closed(simplices) -> bool:
    """Whether every facet belongs to two simplices."""
    corners = simplices.shape[1]
    facets = np.concatenate([np.delete(simplices, corner, axis=1) for corner in range(corners)])
    return bool((np.unique(np.sort(facets, axis=1), axis=0, return_counts=True)[1] == 2).all())


def _genus(triangles) -> int:
    """1 - χ/2 of a closed orientable surface, χ = V - E + F with E = 3F/2."""
    characteristic = len(np.unique(triangles)) - len(triangles) // 2
    return 1 - characteristic // 2


def _volumes(mesh: Mesh) -> np.ndarray:
    corners = mesh.vertices[mesh.simplices]
    if corners.shape[1] == 2:
        return np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def _betti(components, dimension: int) -> tuple[int, ...]:
    closed = [component for component in components if component.closed]
    if dimension == 1:
        return len(components), len(closed)
    return len(components), sum(2 * (component.genus or 0) for component in closed), len(closed)


@jax.jit
def _values(mdf, points):
    return jax.vmap(lambda x: mdf(x)[0])(points)


@jax.jit
def _slopes(mdf, points):
    return jax.vmap(lambda x: jnp.linalg.norm(jax.grad(lambda x: mdf(x)[0])(x)))(points)
