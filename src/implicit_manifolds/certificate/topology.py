"""Components, Betti numbers and stray parts of a level set: from its mesh, or from charts and persistent homology."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .._loops import over_points
from .._types import Int
from ..manifold.tangent import FramedMDF, linearize
from ..volumes.atlas import charts_of, components, draw_around, part_of
from ..volumes.manifold import Manifold
from ..volumes.pools import Pool
from .homology import betti_numbers
from .mesh import Mesh, genus_of, is_closed, level_mesh, simplex_volumes
from .orientation import boundary_points, orientable

BLOCK = 2**15
RESOLUTIONS = {2: (64, 128, 256, 512), 3: (32, 48, 64, 96, 128)}
DRAWS = 20_000


class Component(NamedTuple):
    """A connected part of {F = 0} in the box.

    closed: it ends neither at the box nor at an edge of its own. betti (β₀, ..., β_d) of it, d = min(m, 2); None for a
    mesh that is open, whose handles say nothing. volume_share and data_share: its parts of the volume and of the
    anchors, each counted with the component nearest to it; data_share is NaN where the manifold has no anchors.
    orientable, and boundaries: how many circles of a surface, or ends of a curve, it stops at; None where a mesh was
    read, whose boundaries are not counted.
    """

    closed: bool
    betti: tuple[int, ...] | None
    volume_share: float
    data_share: float
    orientable: bool = True
    boundaries: int | None = None


class Topology(NamedTuple):
    """What the zero set is.

    dimension m of it. components, largest first. betti (β₀, ..., β_d) of all, open meshes counting as one component
    each. settled: the last two resolutions agree on number, ends and Betti numbers. resolution: cells along
    the box's longest side; 0 where charts were read instead. singular_ratio: the least singular value of J on the
    zero set over the largest.
    """

    dimension: int
    components: tuple[Component, ...]
    betti: tuple[int, ...]
    settled: bool
    resolution: int
    singular_ratio: float


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
        return _of_meshes(manifold)
    if manifold.atlas is None:
        raise ValueError("the topology of more constraints or dimensions is read off charts, and there are none")
    return _of_charts(manifold)


def _of_meshes(manifold: Manifold) -> Topology:
    before, data = None, _anchors(manifold)
    for resolution in RESOLUTIONS[manifold.ambient_dimension]:
        mesh = level_mesh(manifold, resolution)
        parts = _mesh_components(mesh, data)
        shape = sorted(str(part[:2]) for part in parts)
        settled, before = shape == before, shape
        if settled:
            break
    dimension = manifold.dimension
    ratio = _singular_ratio(manifold.mdf, mesh.vertices)
    return Topology(dimension, parts, _total(parts, dimension), settled, resolution, ratio)


def _of_charts(manifold: Manifold) -> Topology:
    atlas, dimension = charts_of(manifold), manifold.dimension
    (pool, inside), part = draw_around(jax.random.key(0), manifold, DRAWS), components(atlas)
    of_pool, of_data = (part_of(atlas, part, points) for points in (pool.points, _anchors(manifold)))
    parts, settled = [], True
    framed = isinstance(manifold.mdf, FramedMDF)
    sided, edges = orientable(atlas, part), _boundaries(manifold, pool, inside, part)
    for number in range(part.max() + 1):
        mine = inside & (of_pool == number)
        if not mine.any():  # charts beyond M's edge, or a part so small that no draw met it
            settled &= not (of_data == number).any()
            continue
        closed = bool(edges[number] == 0 if framed else inside[of_pool == number].all())
        betti, steady = ((1, int(closed)), True) if dimension == 1 else betti_numbers(pool.points[mine], dimension)
        settled &= steady
        share = float(pool.weights[mine].sum() / pool.weights[inside].sum())
        known = bool(sided[number]), int(edges[number])
        parts.append(Component(closed, betti, share, _share(of_data == number), *known))
    parts.sort(key=lambda one: -one.volume_share)
    ratio = _singular_ratio(manifold.mdf, pool.points[inside])
    return Topology(dimension, tuple(parts), _total(parts, dimension), settled, 0, ratio)


def _boundaries(manifold: Manifold, pool: Pool, inside, part) -> Int[np.ndarray, " p"]:
    """How many boundaries each part of M has."""
    mine = pool._replace(points=pool.points[inside], weights=pool.weights[inside], groups=pool.groups[inside])
    owners = part_of(charts_of(manifold), part, boundary_points(manifold, mine))
    return np.bincount(owners, minlength=part.max() + 1)


def _total(parts, dimension: int) -> tuple[int, ...]:
    """Betti numbers of a union of disjoint parts."""
    size = min(dimension, 2) + 1
    rows = [part.betti or (1,) + (0,) * (size - 1) for part in parts]
    return tuple(int(column) for column in np.sum(np.reshape(rows, (-1, size)), axis=0))


def describe(found: Topology) -> str:
    """One line: "1 component, genus 1 (torus); smallest over largest singular value 0.31; no stray components".

    Arguments:
        found: what `topology` gave.

    Returns:
        The sentence.

    >>> im.describe(im.topology(circle))
    '1 component, closed; smallest over largest singular value 1; no stray components'
    """
    count = len(found.components)
    parts = [f"{count} component{'' if count == 1 else 's'}"]
    if count:
        parts[0] += ", " + _kinds(found)
        parts.append(f"smallest over largest singular value {found.singular_ratio:.2g}")
        stray = [component.volume_share for component in found.components if component.data_share == 0]
        parts.append(f"{len(stray)} stray, {sum(stray):.2g} of the volume" if stray else "no stray components")
    if not found.settled:
        parts.append("not settled at the finest resolution")
    return "; ".join(parts)


def _kinds(found: Topology) -> str:
    kinds = [_kind(component, found.dimension) for component in found.components]
    distinct = sorted(set(kinds))
    return distinct[0] if len(distinct) == 1 else ", ".join(f"{kinds.count(kind)} {kind}" for kind in distinct)


def _kind(component: Component, dimension: int) -> str:
    side = "" if component.orientable else ", not orientable"
    if not component.closed:
        return _open(component, dimension) + side
    if dimension == 1 or component.betti is None:
        return "closed"
    betti = ", ".join(map(str, component.betti))
    if dimension > 2 or component.betti[::2] != (1, 1):
        return f"closed, Betti numbers {betti}{side}"
    # Over Z/2 a closed surface has β₁ = 2 · genus where it has sides, else as many as it has crosscaps.
    handles = component.betti[1]
    if not component.orientable:
        return {1: "projective plane", 2: "Klein bottle"}.get(handles, f"{handles} crosscaps") + side
    if handles % 2:
        return f"closed, Betti numbers {betti}"
    return {0: "genus 0 (sphere)", 1: "genus 1 (torus)"}.get(handles // 2, f"genus {handles // 2}")


def _open(component: Component, dimension: int) -> str:
    """How a part ends: a mesh says no more than that."""
    if component.boundaries is None or dimension > 2:
        return "open at the box" if component.boundaries is None else "open"
    what = ("end" if dimension == 1 else "boundary circle") + "s" * (component.boundaries != 1)
    return f"open, {component.boundaries} {what}"


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
        parts.append(Component(closed, betti, share, _share(nearest == name)))
    return tuple(sorted(parts, key=lambda part: -part.volume_share))


def _share(marked: np.ndarray) -> float:
    return float(np.mean(marked)) if len(marked) else math.nan


def _anchors(manifold: Manifold) -> np.ndarray:
    known = manifold.anchors
    return np.empty((0, manifold.ambient_dimension)) if known is None else np.asarray(known)


def _singular_ratio(mdf, points) -> float:
    if len(points) == 0:
        return 0.0
    values = over_points(_singular_values, mdf, points.astype(jnp.result_type(float)), BLOCK)
    return float(values.min() / values.max())


def _singular_values(mdf, x):
    """Those of J, (k,), as roots of the eigenvalues of J Jᵀ."""
    jacobian = linearize(mdf, x, dense=True).jacobian
    gram = jacobian @ jacobian.T
    return jnp.sqrt(gram[0] if len(gram) == 1 else jnp.maximum(jnp.linalg.eigvalsh(gram), 0))
