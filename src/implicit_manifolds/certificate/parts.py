"""What a certificate holds, and how it is said in a line."""

from typing import NamedTuple


class Component(NamedTuple):
    """A connected part of {F = 0} in the box.

    closed: it ends neither at the box nor at an edge of its own. betti (β₀, ..., β_d) of it over Z/2, d = min(m, 2);
    None for a mesh that is open, whose handles say nothing. volume_share and data_share: its parts of the volume and of
    the anchors, each counted with the component nearest to it; data_share is NaN where the manifold has no anchors.
    orientable, and boundaries: how many circles of a surface, or ends of a curve, it stops at; None where a mesh was
    read, whose boundaries are not counted. betti_mod_3: those over Z/3, which tell where there is torsion or no side.
    covered: False where it stops although neither the box nor F's domain does, that is, where charts are missing.
    """

    closed: bool
    betti: tuple[int, ...] | None
    volume_share: float
    data_share: float
    orientable: bool = True
    boundaries: int | None = None
    betti_mod_3: tuple[int, ...] | None = None
    covered: bool = True


class Topology(NamedTuple):
    """What the zero set is.

    dimension m of it. components, largest first. betti (β₀, ..., β_d) of all over Z/2, open meshes counting as one
    component each. settled: the last two resolutions agree on number, ends and Betti numbers, none of which contradicts
    another, and nothing is seen of M that the finest should miss. resolution: cells along the box's longest side;
    0 where charts were read instead. singular_ratio: the least singular value of J on the zero set over the largest.
    finest: the length below which nothing is sure to be seen, a cell of the mesh or the greatest distance from a point
    to a landmark; 0 where curves were read from charts. emptiest: radius of the widest place that the anchors leave
    empty other than by chance, so that M may end around it; then nothing is settled. 0 where there is none.
    """

    dimension: int
    components: tuple[Component, ...]
    betti: tuple[int, ...]
    settled: bool
    resolution: int
    singular_ratio: float
    finest: float = 0.0
    emptiest: float = 0.0


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
    if not all(component.covered for component in found.components):
        parts.append("charts end within the box")
    if found.emptiest:
        parts.append(f"goes on over a place without points, {found.emptiest:.2g} in radius, where it may have an edge")
    if not found.settled:
        below = f", features below {found.finest:.2g} may be missed" if found.finest else ""
        parts.append("not settled at the finest resolution" + below)
    return "; ".join(parts)


def _kinds(found: Topology) -> str:
    kinds = [_kind(component, found.dimension) for component in found.components]
    distinct = sorted(set(kinds))
    return distinct[0] if len(distinct) == 1 else ", ".join(f"{kinds.count(kind)} {kind}" for kind in distinct)


def _kind(component: Component, dimension: int) -> str:
    side = "" if component.orientable else ", not orientable"
    if not component.closed:
        return _open(component, dimension, side)
    if dimension == 1 or component.betti is None:
        return "closed"
    if dimension == 2 and component.betti[::2] == (1, 1):
        # Over Z/2 a closed surface has β₁ = 2 · genus where it has sides, else as many as it has crosscaps.
        handles = component.betti[1]
        if not component.orientable and handles:
            return {1: "projective plane", 2: "Klein bottle"}.get(handles, f"{handles} crosscaps") + side
        if component.orientable and handles % 2 == 0:
            return {0: "genus 0 (sphere)", 1: "genus 1 (torus)"}.get(handles // 2, f"genus {handles // 2}")
    return f"closed, {_numbers(component)}{side}"


def _numbers(component: Component) -> str:
    """Betti numbers over Z/2, and over Z/3 where these differ."""
    said = "Betti numbers " + ", ".join(map(str, component.betti or ()))
    if component.betti_mod_3 not in (None, component.betti):
        said += " (over Z/3 " + ", ".join(map(str, component.betti_mod_3 or ())) + ")"
    return said


def _open(component: Component, dimension: int, side: str) -> str:
    """How a part ends: a mesh says no more than that. Surfaces with b boundaries are 2 · genus + b - 1 loops wide."""
    if component.boundaries is None or component.betti is None:
        return "open at the box"
    if dimension > 2:
        return f"open, {_numbers(component)}{side}"
    what = ("end" if dimension == 1 else "boundary circle") + "s" * (component.boundaries != 1)
    said = f"open, {component.boundaries} {what}{side}"
    loops = component.betti[1] - component.boundaries + 1
    if dimension == 1 or component.betti[::2] != (1, 0) or not (component.boundaries and component.covered):
        return said
    if not component.orientable:
        crosscaps = "Möbius strip" if (loops, component.boundaries) == (1, 1) else f"crosscaps: {loops}"
        return f"{said} ({crosscaps})" if loops > 0 else said
    if loops < 0 or loops % 2:
        return said
    named = {1: "disc", 2: "annulus"} if loops == 0 else {}
    return f"{said} ({named.get(component.boundaries, f'genus {loops // 2}')})"
