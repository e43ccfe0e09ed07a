"""Triangle meshes: their Laplacian's eigenfunctions, points of a law that one of these gives, distances to them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import eigsh
from scipy.spatial import KDTree

DENSE, NEAR = 100_000, 24
SHIFT = -1e-8
"""Beside 0, the least eigenvalue, so that the shifted Laplacian can be inverted."""


class Mesh(NamedTuple):
    """corners (v, 3) and faces (f, 3), rows of corners."""

    corners: np.ndarray
    faces: np.ndarray

    def triangles(self) -> np.ndarray:
        """(f, 3, 3): the corners of each face."""
        return self.corners[self.faces]

    def areas(self) -> np.ndarray:
        """(f,)."""
        a, b, c = np.moveaxis(self.triangles(), 1, 0)
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def read_mesh(path: Path) -> Mesh:
    """Triangles of an .obj file, about their mean, of area one, so that log-densities of uniform points are zero."""
    words = [line.split() for line in path.read_text().splitlines() if line[:2] in ("v ", "f ")]
    corners = np.array([row[1:4] for row in words if row[0] == "v"], float)
    faces = np.array([[cell.split("/")[0] for cell in row[1:4]] for row in words if row[0] == "f"], int) - 1
    corners = corners - corners.mean(axis=0)
    return Mesh(corners / np.sqrt(Mesh(corners, faces).areas().sum()), faces)


def eigenfunctions(mesh: Mesh, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The least `count` eigenvalues of -Δ, (count,), and the functions at the corners, (v, count).

    L ψ = λ M ψ, L the cotangent matrix (Pinkall & Polthier 1993) and M a third of the faces' areas at each corner.
    """
    size, triangles, rows, columns, values = len(mesh.corners), mesh.triangles(), [], [], []
    for corner in range(3):
        one, other = (corner + 1) % 3, (corner + 2) % 3
        u, v = (triangles[:, end] - triangles[:, corner] for end in (one, other))
        weight = (u * v).sum(axis=1) / (2 * np.linalg.norm(np.cross(u, v), axis=1))
        for i, j, sign in ((one, other, -1), (other, one, -1), (one, one, 1), (other, other, 1)):
            rows.append(mesh.faces[:, i])
            columns.append(mesh.faces[:, j])
            values.append(sign * weight)
    stiff = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (size, size))
    mass = np.bincount(mesh.faces.ravel(), np.repeat(mesh.areas() / 3, 3), size)
    found, functions = eigsh(stiff.tocsc(), count, diags(mass).tocsc(), sigma=SHIFT, which="LM")
    order = np.argsort(found)
    return found[order], functions[:, order]


def uniform_on(mesh: Mesh, random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Uniform points (count, 3), the face of each, and its barycentric coordinates (count, 3)."""
    areas = mesh.areas()
    face = random.choice(len(areas), count, p=areas / areas.sum())
    weights = random.dirichlet(np.ones(3), count)
    return np.einsum("ni,nij->nj", weights, mesh.triangles()[face]), face, weights


def draw(mesh: Mesh, heights: np.ndarray, random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 3) of the density linear between the heights (v,) ≥ 0 of corners, and its log there."""
    of_faces = heights[mesh.faces]
    total, kept, found = float(mesh.areas() @ of_faces.mean(axis=1)), 0, []
    while kept < count:
        points, face, weights = uniform_on(mesh, random, 2 * count)
        height = (weights * of_faces[face]).sum(axis=1)
        taken = random.uniform(0, heights.max(), len(points)) < height
        found.append((points[taken], np.log(height[taken] / total)))
        kept += int(taken.sum())
    points, log_density = (np.concatenate(parts)[:count] for parts in zip(*found, strict=True))
    return points, log_density


def distance(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Of points (N, 3) to the mesh: to the triangles that hold the nearest of `DENSE` points of it."""
    dense, face, _ = uniform_on(mesh, np.random.default_rng(0), DENSE)
    near = face[KDTree(dense).query(points, NEAR)[1]]
    return _to_triangle(points[:, None], mesh.triangles()[near]).min(axis=1)


def _to_triangle(points, triangles):
    """Distances (N, q) of points (N, 1, 3) to triangles (N, q, 3, 3)."""
    a, b, c = np.moveaxis(triangles, 2, 0)
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=-1)
    height = np.abs(((points - a) * normal).sum(axis=-1)) / area
    inside, edges = np.ones(height.shape, bool), []
    for start, end in ((a, b), (b, c), (c, a)):
        along, away = end - start, points - start
        inside &= (np.cross(along, away) * normal).sum(axis=-1) >= 0
        share = np.clip((along * away).sum(axis=-1) / (along**2).sum(axis=-1), 0, 1)
        edges.append(np.linalg.norm(away - share[..., None] * along, axis=-1))
    return np.where(inside, height, np.min(edges, axis=0))
