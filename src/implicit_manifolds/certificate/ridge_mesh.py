"""Triangles of a surface in space whose F has no sides of its own, such as a ridge: by marching tetrahedra."""

from itertools import permutations, product

import jax.numpy as jnp
import numpy as np

from .._loops import over_points
from .._types import Float, Int
from ..manifold.projection import project
from ..manifold.tangent import linearize
from ..volumes.manifold import Manifold
from .mesh import BLOCK, Mesh

AROUND = np.array(list(product((-1, 0, 1), repeat=3)))
STEPS = np.eye(3, dtype=int)
TETRAHEDRA = np.array([np.cumsum([0 * STEPS[0], *STEPS[list(way)]], axis=0) for way in permutations(range(3))])
"""Corners (6, 4, 3) of the six tetrahedra of a cube, whose faces fit those of the next cube (Kuhn 1960)."""
FARTHEST = 1.5
"""How far a vertex may move to M, in cells: farther, it lies beyond an edge."""


def ridge_mesh(manifold: Manifold, seen: Float[np.ndarray, "c 3"], resolution: int) -> Mesh:
    """Triangles of M, one constraint in space, in cells of 1/resolution of the box's longest side about points of it.

    A surface need not have sides, but a tetrahedron has: the heights of its corners over M take the signs that make
    their normals agree with the first one's. Where the surface crosses a side does not depend on which corner that is.
    It goes a little beyond M's edge; vertices are moved to M, and triangles that are too far out are left out.
    """
    low, high = (np.asarray(side, np.float64) for side in manifold.box.on_host())
    cell = float((high - low).max()) / resolution
    home = np.unique(np.floor((np.asarray(seen, np.float64) - low) / cell).astype(int), axis=0)
    cubes = np.unique((home[:, None] + AROUND).reshape(-1, 3), axis=0)
    corners = (cubes[:, None, None] + TETRAHEDRA).reshape(-1, 3)
    nodes, rows = np.unique(corners, axis=0, return_inverse=True)
    places = (low + cell * nodes).astype(jnp.result_type(float))
    values, normals, reached = over_points(_height_and_normal, manifold.mdf, places, BLOCK)
    tetrahedra = rows.reshape(-1, 4)
    faces = _crossings(tetrahedra[reached[tetrahedra].all(axis=1)], values, normals)
    ends, triangles = np.unique(np.sort(faces.reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    share = np.abs(values[ends[:, :1]]) / np.abs(values[ends]).sum(axis=1, keepdims=True)
    vertices = places[ends[:, 0]] + share * (places[ends[:, 1]] - places[ends[:, 0]])
    found = over_points(project, manifold.mdf, vertices.astype(places.dtype), BLOCK)
    near = found.converged & (np.linalg.norm(found.position - vertices, axis=1) <= FARTHEST * cell)
    triangles = triangles.reshape(-1, 3)
    return Mesh(found.position, triangles[near[triangles].all(axis=1)], np.full(3, cell))


def _crossings(
    tetrahedra: Int[np.ndarray, "t 4"], values: Float[np.ndarray, " v"], normals: Float[np.ndarray, "v 3"]
) -> Int[np.ndarray, "f 3 2"]:
    """Triangles in which tetrahedra cross M: of each corner the two nodes that it lies between."""
    first = normals[tetrahedra[:, :1]]
    turned = np.sum(normals[tetrahedra] * first, axis=2) < 0
    below = (values[tetrahedra] < 0) != turned
    faces = []
    for alone in range(4):
        others = [corner for corner in range(4) if corner != alone]
        odd = (below[:, others] != below[:, [alone]]).all(axis=1)
        faces.append(np.stack([tetrahedra[odd][:, [alone, other]] for other in others], axis=1))
    for a, b, c, d in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2)):
        even = (below[:, a] == below[:, b]) & (below[:, c] == below[:, d]) & (below[:, a] != below[:, c])
        around = [tetrahedra[even][:, list(pair)] for pair in ((a, c), (a, d), (b, d), (b, c))]
        faces += [np.stack([around[0], around[i], around[i + 1]], axis=1) for i in (1, 2)]
    return np.concatenate(faces)


def _height_and_normal(mdf, x):
    """How high x is over the tangent plane of M where it is projected to, the normal there, and whether it is."""
    found = project(mdf, x)
    gradient = linearize(mdf, found.position, dense=True).jacobian[0]
    normal = gradient / jnp.linalg.norm(gradient)
    return normal @ (x - found.position), normal, found.converged
