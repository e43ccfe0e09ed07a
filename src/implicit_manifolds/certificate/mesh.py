"""Meshes of curves in the plane and surfaces in space: marching squares and cubes, and what a mesh's parts are."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree
from skimage.measure import find_contours, marching_cubes

from .._loops import over_points
from .._types import Float, Int
from ..manifold.tangent import linearize
from ..volumes.manifold import Manifold

BLOCK = 2**15
STRAIGHT = 0.25
"""Least cosine of the angle by which normals may turn within a cell."""


class Mesh(NamedTuple):
    """vertices (v, n) near M, simplices (s, m + 1) of them, and F's grid spacing (n,)."""

    vertices: Float[np.ndarray, "v n"]
    simplices: Int[np.ndarray, "s corners"]
    spacing: Float[np.ndarray, " n"]


def grid_values(manifold: Manifold, resolution: int):
    """F on a grid over the manifold's box: first node (n,), spacing (n,), and values, one axis a coordinate.

    Cells are 1/resolution of the box's longest side, or a little less.
    """
    low, high = (np.asarray(bound, np.float64) for bound in manifold.box)
    cells = np.maximum(1, np.ceil(resolution * (high - low) / (high - low).max())).astype(int)
    axes = [np.linspace(*ends) for ends in zip(low, high, cells + 1, strict=True)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    flat = nodes.reshape(-1, len(low)).astype(jnp.result_type(float))
    values = over_points(_first, manifold.mdf, flat, BLOCK)
    return low, (high - low) / cells, values.reshape(nodes.shape[:-1])


def level_mesh(manifold: Manifold, resolution: int) -> Mesh:
    """Segments or triangles of M, by marching squares or cubes; empty where F has one sign."""
    low, spacing, values = grid_values(manifold, resolution)
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


def is_closed(simplices) -> bool:
    """Whether every facet belongs to two simplices."""
    corners = simplices.shape[1]
    facets = np.concatenate([np.delete(simplices, corner, axis=1) for corner in range(corners)])
    return bool((np.unique(np.sort(facets, axis=1), axis=0, return_counts=True)[1] == 2).all())


def genus_of(triangles) -> int:
    """1 - χ/2 of a closed orientable surface, χ = V - E + F with E = 3F/2."""
    characteristic = len(np.unique(triangles)) - len(triangles) // 2
    return 1 - characteristic // 2


def resolved(mdf, mesh: Mesh, seen: Float[np.ndarray, "c n"]) -> bool:
    """Whether no known point of M (c, n) is a cell from the mesh, and normals turn little between such and within it.

    What is thinner than a cell is missed, cut in pieces, or both: then points of it are far from the mesh, or have
    another normal than the sheet beside them.
    """
    if len(mesh.vertices) == 0:
        return len(seen) == 0
    used = np.unique(mesh.simplices)
    distance, nearest = KDTree(mesh.vertices[used]).query(seen)
    if (distance > np.linalg.norm(mesh.spacing)).any():
        return False
    of_mesh, of_seen = (
        over_points(_normal, mdf, np.asarray(rows, jnp.result_type(float)), BLOCK) for rows in (mesh.vertices, seen)
    )
    sides = np.concatenate([mesh.simplices[:, [i, i - 1]] for i in range(mesh.simplices.shape[1])])
    turns = [
        np.sum(of_mesh[sides[:, 0]] * of_mesh[sides[:, 1]], axis=1),
        np.sum(of_seen * of_mesh[used[nearest]], axis=1),
    ]
    return all(bool((turn >= STRAIGHT).all()) for turn in turns)


def simplex_volumes(mesh: Mesh) -> np.ndarray:
    """Length or area of each simplex, (s,)."""
    corners = mesh.vertices[mesh.simplices]
    if corners.shape[1] == 2:
        return np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def _first(mdf, x):
    return mdf(x)[0]


def _normal(mdf, x):
    gradient = linearize(mdf, x, dense=True).jacobian[0]
    return gradient / jnp.linalg.norm(gradient)
