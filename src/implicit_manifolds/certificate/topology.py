"""Components, Betti numbers and stray parts of a level set: from its mesh, or from charts and persistent homology."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .._loops import over_points
from ..manifold.tangent import FramedMDF, linearize
from ..volumes.atlas import charts_of, draw_around, normals_at
from ..volumes.emptiness import holes
from ..volumes.lines import uniform_pool
from ..volumes.manifold import Manifold
from ..volumes.parts import components, part_of
from ..volumes.pools import Pool, even_points
from .duality import consistent
from .homology import betti_numbers
from .mesh import Mesh, genus_of, is_closed, level_mesh, resolved, simplex_volumes
from .orientation import boundaries, neighbourhood, orientable
from .parts import Component, Topology, describe

BLOCK = 2**15
RESOLUTIONS = {2: (64, 128, 256, 512), 3: (32, 48, 64, 96, 128)}
LINES, LINE_CELLS = 2**13, 256
DRAWS = (20_000, 80_000)
EVEN = 6000
FEWEST = 20
"""Anchors that tell where there are no data."""
MOST = 0.8
"""Share of the points at an edge that have others beyond it near them."""


def topology(manifold: Manifold) -> Topology:
    """Components and Betti numbers of M; those that none of its anchors lie on are stray.

    One constraint in two or three dimensions: marching squares or cubes on ever finer grids until two agree. Else
    from an atlas: charts that overlap are one component, whose Betti numbers are counted on ever more landmarks; curves
    need no counting, surfaces and more the extra `homology` (ImportError). Raises ValueError where there is no atlas.

    Arguments:
        manifold: M in its box; with charts (`cover`) unless it is a level set in two or three dimensions.

    Returns:
        `Topology`: components with their Betti numbers and shares, and whether two resolutions agreed.

    >>> found = im.topology(circle)
    >>> found.betti, found.settled, found.components[0].closed
    ((1, 1), True, True)
    """
    if manifold.signed and manifold.ambient_dimension in RESOLUTIONS:
        found = _of_meshes(manifold)
    elif manifold.atlas is None:
        raise ValueError("the topology of more constraints or dimensions is read off charts, and there are none")
    else:
        found = _of_charts(manifold)
    wide = widest_hole(manifold)
    return found._replace(emptiest=wide, settled=found.settled and not wide)


def certified(manifold: Manifold) -> tuple[Topology | None, str]:
    """The certificate and what it says in a line; None, and why, where there can be none."""
    try:
        found = topology(manifold)
    except (ValueError, ImportError) as error:
        return None, f"no certificate: {error}"
    return found, describe(found)


def _of_meshes(manifold: Manifold) -> Topology:
    before, data = None, _anchors(manifold)
    seen = np.concatenate([uniform_pool(jax.random.key(0), manifold, LINES, LINE_CELLS).points, data])
    for resolution in RESOLUTIONS[manifold.ambient_dimension]:
        mesh = level_mesh(manifold, resolution)
        parts = _mesh_components(mesh, data)
        shape = sorted(str(part[:2]) for part in parts)
        settled, before = shape == before and resolved(manifold.mdf, mesh, seen), shape
        if settled:
            break
    dimension, ratio = manifold.dimension, singular_ratio(manifold.mdf, mesh.vertices)
    return Topology(dimension, parts, _total(parts, dimension), settled, resolution, ratio, float(mesh.spacing.max()))


def _of_charts(manifold: Manifold) -> Topology:
    part = components(manifold)
    for count in DRAWS:
        pool, inside = draw_around(jax.random.key(0), manifold, count)
        parts, settled, finest = _chart_components(manifold, part, pool, inside)
        if settled:
            break
    ratio = singular_ratio(manifold.mdf, pool.points[inside])
    return Topology(manifold.dimension, parts, _total(parts, manifold.dimension), settled, 0, ratio, finest)


def _chart_components(manifold: Manifold, part, pool: Pool, inside) -> tuple[tuple[Component, ...], bool, float]:
    """The parts of M, largest first, whether all that is known of each fits together, and the finest length seen."""
    atlas, dimension, framed = charts_of(manifold), manifold.dimension, isinstance(manifold.mdf, FramedMDF)
    of_pool, of_data = (part_of(atlas, part, points) for points in (pool.points, _anchors(manifold)))
    normals = normals_at(manifold.mdf, pool.points)
    sided, (edges, covered) = orientable(atlas, part), _boundaries(manifold, pool, inside, part)
    parts, settled, finest = [], True, 0.0
    for number in range(part.max() + 1):
        mine, ends, side = inside & (of_pool == number), int(edges[number]), bool(sided[number])
        if not mine.any():  # charts beyond M's edge, or a part so small that no draw met it
            settled &= not (of_data == number).any()
            continue
        # A level set has no edge but the box's; a ridge may leave its domain in single points.
        closed = ends == 0 and (framed or bool(inside[of_pool == number].all()))
        betti: tuple[int, ...] = (1, int(closed))
        mod_3 = betti
        if dimension == 1:
            sound = ends == (0 if closed else 2)
        else:
            betti, mod_3, steady, radius = betti_numbers(pool.points[mine], normals[mine])
            sound = steady and closed == (ends == 0) and consistent(dimension, ends, side, betti, mod_3)
            finest = max(finest, radius)
        settled &= sound and bool(covered[number])
        share = float(pool.weights[mine].sum() / pool.weights[inside].sum())
        known = side, ends, mod_3, bool(covered[number])
        parts.append(Component(closed, betti, share, _share(of_data == number), *known))
    return tuple(sorted(parts, key=lambda one: -one.volume_share)), settled, finest


def _boundaries(manifold: Manifold, pool: Pool, inside, part):
    """How many boundaries each part of M has, (p,), and whether charts go on beyond all of them, (p,)."""
    atlas, rows = charts_of(manifold), np.flatnonzero(inside)
    mine = pool._replace(points=pool.points[rows], weights=pool.weights[rows], groups=pool.groups[rows])
    points, size = even_points(np.random.default_rng(0), mine, EVEN), float(mine.weights.sum())
    found = boundaries(points, normals_at(manifold.mdf, points), size)
    owners = part_of(atlas, part, np.array([points[one[0]] for one in found]).reshape(-1, points.shape[1]))
    # Charts reach over a true edge: points that they find there lie outside.
    outside, reach = pool.points[~inside], neighbourhood(len(points), manifold.dimension, size)
    beyond = [len(outside) and np.mean(KDTree(outside).query(points[one])[0] <= reach) >= MOST for one in found]
    count = part.max() + 1
    return np.bincount(owners, minlength=count), np.bincount(owners, np.logical_not(beyond), minlength=count) == 0


def _total(parts, dimension: int) -> tuple[int, ...]:
    """Betti numbers of a union of disjoint parts."""
    size = min(dimension, 2) + 1
    rows = [part.betti or (1,) + (0,) * (size - 1) for part in parts]
    return tuple(int(column) for column in np.sum(np.reshape(rows, (-1, size)), axis=0))


def _mesh_components(mesh: Mesh, data) -> tuple[Component, ...]:
    """The parts of a mesh, largest first."""
    if len(mesh.simplices) == 0:
        return ()
    size, first = len(mesh.vertices), mesh.simplices[:, 0]
    links = [coo_array((np.ones(len(first)), (first, other)), (size, size)) for other in mesh.simplices.T[1:]]
    _, label = connected_components(sum(links[1:], links[0]), directed=False)
    used = np.unique(mesh.simplices)
    nearest = label[used[KDTree(mesh.vertices[used]).query(data)[1]]]
    volumes, owner = simplex_volumes(mesh), label[first]
    parts = []
    for name in np.unique(owner):
        simplices = mesh.simplices[owner == name]
        closed = is_closed(simplices)
        surface = simplices.shape[1] == 3
        betti = None if not closed else (1, 2 * genus_of(simplices), 1) if surface else (1, 1)
        share = float(volumes[owner == name].sum() / volumes.sum())
        parts.append(Component(closed, betti, share, _share(nearest == name), betti_mod_3=betti))
    return tuple(sorted(parts, key=lambda part: -part.volume_share))


def _share(marked: np.ndarray) -> float:
    return float(np.mean(marked)) if len(marked) else math.nan


def widest_hole(manifold: Manifold, wide: bool | None = None) -> float:
    """Radius of the widest place that anchors leave empty other than by chance, 0 where there is none; as `holes`."""
    if len(known := _anchors(manifold)) < FEWEST:
        return 0.0
    empty = holes(jax.random.key(0), manifold, known, wide)
    return float(np.max(empty.radii[~empty.chance], initial=0.0))


def _anchors(manifold: Manifold) -> np.ndarray:
    known = manifold.anchors
    return np.empty((0, manifold.ambient_dimension)) if known is None else np.asarray(known)


def singular_ratio(mdf, points) -> float:
    """The least singular value of J over the largest, at points of M; 0 without any."""
    if len(points) == 0:
        return 0.0
    values = over_points(_singular_values, mdf, points.astype(jnp.result_type(float)), BLOCK)
    return float(values.min() / values.max())


def _singular_values(mdf, x):
    """Those of J, (k,), as roots of the eigenvalues of J Jᵀ."""
    jacobian = linearize(mdf, x, dense=True).jacobian
    gram = jacobian @ jacobian.T
    return jnp.sqrt(gram[0] if len(gram) == 1 else jnp.maximum(jnp.linalg.eigvalsh(gram), 0))
