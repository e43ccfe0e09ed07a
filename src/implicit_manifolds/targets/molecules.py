"""Molecules whose bonds and angles are rigid: laws of dihedral angles, with the metric factor of rigid constraints.

Coordinates are mass-weighted, √(mᵢ/m̄) xᵢ in Å with m̄ the mean mass: there the volume of {F = 0} is that by which
rigid bodies move, and a chain's mass matrix is the molecule's. Linear conditions (the centre of mass rests at 0, planar
groups stay planar) are no part of F: they hold in orthonormal coordinates z of the subspace that they cut out, which
change no volume. Rotations stay free: they multiply every law of dihedrals by 8π², the volume of SO(3), while equations
to hold them would have a Gram determinant of their own, which varies with the shape.

Two laws differ. exp(-V/RT) by volume ("hausdorff") is that of rigid constraints; conditioned on F = 0 ("ambient") it is
the limit of ever stiffer springs. Springs on bond lengths and angles have no Jacobian that varies with dihedrals, so
the second is exp(-V/RT) in dihedrals alone, and the first has √det g besides, g the metric of rotations and dihedrals:
Fixman's correction (Fixman, PNAS 71, 3050, 1974) is the difference.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.linalg import null_space
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.transform import Rotation

from .._random import host_generator
from ..mcmc.phase_space import Measure
from .target import Quantity, Target

GAS_CONSTANT = 8.314462618e-3  # kJ/mol/K
RYCKAERT_BELLEMANS = (1116.0, 1462.0, -1578.0, -368.0, 3156.0, -3788.0)
"""K, of powers of cos φ with φ = 0 for trans (Ryckaert & Bellemans, Faraday Discuss. Chem. Soc. 66, 95, 1978)."""
BUTANE_MASSES = np.array([15.035, 14.027, 14.027, 15.035])  # u, CH3 and CH2
BUTANE_PAIRS = np.array([[0, 1], [1, 2], [2, 3], [0, 2], [1, 3]])  # bonds, and distances that hold the angles
M1, C1, O1, N1, CA, CB, C2, O2, N2, M2 = range(10)  # of ACE-ALA-NME, before and behind the Cα; M: CH3
ALANINE_MASSES = np.array([15.035, 12.011, 15.999, 15.015, 13.019, 15.035, 12.011, 15.999, 15.015, 15.035])  # u
PLANES = {(C1, N1, CA): (M1, O1), (CA, C2, N2): (O2, M2)}
"""Three atoms of each peptide plane, and those whose places are fixed combinations of theirs."""
ALANINE_PAIRS = np.array([[C1, N1], [N1, CA], [C1, CA], [CA, C2], [C2, N2], [CA, N2], [N1, C2]])
LENNARD_JONES = {"C": (3.5, 0.4), "O": (2.9, 0.8), "N": (3.2, 0.7), "M": (3.7, 0.6)}
"""σ in Å and ε in kJ/mol of C, O, N and of CH and CH3 (M): illustrative, of the size of published tables."""
BARRIERS = 2.0, 1.0  # kJ/mol, half the threefold barriers of φ and ψ, illustrative


class Torsion(NamedTuple):
    """The dihedral angle of four atoms, and the atoms that turn with it about the line through the middle two."""

    atoms: tuple[int, int, int, int]
    moved: tuple[int, ...]


BUTANE_TORSION = Torsion((0, 1, 2, 3), (3,))
PHI = Torsion((C1, N1, CA, C2), (CB, C2, O2, N2, M2))
PSI = Torsion((N1, CA, C2, N2), (O2, N2, M2))


def subspace(masses: np.ndarray, conditions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (N, N - c) and (N - c, N) from coordinates z to places x and back, where `conditions` (c, N) x = 0."""
    weights = np.sqrt(masses / masses.mean())
    basis = null_space(conditions / weights)
    return basis / weights[:, None], basis.T * weights


def places(to_x, z):
    """Atoms' places (N, 3) in Å."""
    return jnp.asarray(to_x, z.dtype) @ z.reshape(-1, 3)


def circle_of(four):
    """Cosine and sine of the dihedral angle of four places (4, 3), which is ±180° for trans (IUPAC)."""
    first, axis, last = jnp.diff(four, axis=0)
    left, right = jnp.cross(first, axis), jnp.cross(axis, last)
    both = jnp.stack([left @ right, jnp.linalg.norm(axis) * (first @ right)])
    return both / jnp.linalg.norm(both)


def harmonic(to_x, atoms: Sequence[int], order: int, phase: float, z):
    """The cosine of `order` times a dihedral angle less a phase."""
    cosine, sine = circle_of(places(to_x, z)[jnp.asarray(atoms)])
    return jnp.cos(order * jnp.arctan2(sine, cosine) - phase)


def known_means(to_x, density: np.ndarray, angles) -> dict[str, Quantity]:
    """Means of cos φ, sin φ and cos 2φ by sums over a grid: `angles` are names, torsions, and values on the grid."""
    share, quantities = density / density.sum(), {}
    for name, torsion, angle in angles:
        for start, order, phase in (("cos ", 1, 0.0), ("sin ", 1, np.pi / 2), ("cos 2", 2, 0.0)):
            values = np.cos(order * angle - phase)
            mean = float((values * share).sum())
            deviation = float(np.sqrt(((values - mean) ** 2 * share).sum()))
            function = Partial(harmonic, to_x, torsion.atoms, order, phase)
            quantities[start + name] = Quantity(function, mean, deviation, 0.0, "quadrature")
    return quantities


def _squared_lengths(x, pairs):
    return ((x[pairs[:, 0]] - x[pairs[:, 1]]) ** 2).sum(axis=1)


def _butane_constraints(to_x, squares, z):
    return _squared_lengths(places(to_x, z), BUTANE_PAIRS) - jnp.asarray(squares, z.dtype)


def _butane_energy(to_x, temperature, z):
    return ryckaert_bellemans(circle_of(places(to_x, z))[0]) / temperature


def ryckaert_bellemans(cosine):
    """The torsion energy of butane in kelvins, of the cosine of its dihedral angle by IUPAC."""
    return sum(factor * (-cosine) ** power for power, factor in enumerate(RYCKAERT_BELLEMANS))


def butane(measure: Measure = "hausdorff", temperature: float = 300.0) -> Target:
    """Four united atoms with rigid bonds and angles, Ryckaert & Bellemans' torsion, exact means by quadrature.

    C-C 1.53 Å, C-C-C 109.47°, 300 K. By measure "hausdorff" bonds are rigid, by "ambient" they are infinitely stiff.
    """
    to_x, to_z = subspace(BUTANE_MASSES, BUTANE_MASSES[None])
    squares = _squared_lengths(_butane_reference(), BUTANE_PAIRS)
    angle, density, total = butane_law(measure, temperature)
    quantities = known_means(to_x, density, [("φ", BUTANE_TORSION, angle)])
    return Target(
        f"butane_{measure}", 9, Partial(_butane_constraints, to_x, squares),
        Partial(_butane_energy, to_x, temperature), measure, Partial(_butane_starts, to_z), quantities,
        butane.__doc__ or "", None, float(np.log(8 * np.pi**2 * total)) if measure == "hausdorff" else None,
    )  # fmt: skip


def butane_law(measure: Measure, temperature: float = 300.0, cells: int = 3600) -> tuple[np.ndarray, np.ndarray, float]:
    """Angles φ (cells,), even about the circle, the density per radian there, and its integral before it was scaled."""
    angle = (np.arange(cells) + 0.5) * 2 * np.pi / cells - np.pi
    density = np.exp(-ryckaert_bellemans(np.cos(angle)) / temperature)
    if measure == "hausdorff":
        x = turned(_butane_reference(), [(BUTANE_TORSION, angle - np.pi)])
        density = density * root_metric(x, BUTANE_MASSES, [BUTANE_TORSION])
    total = density.mean() * 2 * np.pi
    return angle, density / total, float(total)


@cache
def _butane_reference():
    """Trans, that is at φ = π."""
    bond, angle = 1.53, np.rad2deg(np.arccos(-1 / 3))
    return _grown(4, (0, 1, 2), (bond, bond, angle), [(3, (0, 1, 2), bond, angle, 180)])


def _butane_starts(to_z, key, count):
    random = host_generator(key)
    x = turned(_butane_reference(), [(BUTANE_TORSION, random.uniform(-np.pi, np.pi, count))])
    return _anyhow_turned(random, to_z @ x)


def _alanine_constraints(to_x, squares, side, z):
    """Seven distances, and Cβ where it must be beside the plane of N, Cα, C: as a vector, so that L stays L."""
    x = places(to_x, z)
    n, c = x[N1] - x[CA], x[C2] - x[CA]
    off = x[CB] - x[CA] - side[0] * n - side[1] * c - side[2] * jnp.cross(n, c)
    return jnp.concatenate([_squared_lengths(x, ALANINE_PAIRS) - jnp.asarray(squares, z.dtype), off])


def _alanine_energy(to_x, temperature, z):
    x = places(to_x, z)
    return _by_pairs(x, [circle_of(x[jnp.asarray(torsion.atoms)])[0] for torsion in (PHI, PSI)], temperature)


def _by_pairs(x, cosines, temperature):
    """Over RT: 4ε((σ/r)¹² - (σ/r)⁶) of pairs of x (..., 10, 3), and B (1 + cos 3φ) of both angles."""
    first, second, sigma, depth = _close_pairs()
    ratio = (sigma**2 / ((x[..., first, :] - x[..., second, :]) ** 2).sum(axis=-1)) ** 3
    torsions = sum(half * (1 + 4 * c**3 - 3 * c) for half, c in zip(BARRIERS, cosines, strict=True))
    return ((4 * depth * (ratio**2 - ratio)).sum(axis=-1) + torsions) / (GAS_CONSTANT * temperature)


@cache
def _close_pairs():
    """Pairs three or more bonds apart whose distance is not fixed: indices, σ and ε (half of it at three bonds)."""
    bonds = np.zeros((10, 10))
    bonds[[M1, C1, C1, N1, CA, CA, C2, C2, N2], [C1, O1, N1, CA, CB, C2, O2, N2, M2]] = 1
    far = np.tril(shortest_path(bonds, directed=False, unweighted=True))
    for base, others in PLANES.items():
        far[np.ix_(base + others, base + others)] = 0
    first, second = np.nonzero(far > 2)
    sigma, depth = np.array([LENNARD_JONES[kind] for kind in "MCONMMCONM"]).T
    half = np.where(far[first, second] == 3, 0.5, 1.0)
    return first, second, (sigma[first] + sigma[second]) / 2, half * np.sqrt(depth[first] * depth[second])


def alanine_dipeptide(temperature: float = 300.0) -> Target:
    """Heavy atoms of ACE-ALA-NME, rigid but for the dihedral angles φ and ψ; exact means of these by quadrature.

    Lennard-Jones and threefold torsions with illustrative parameters, in vacuum and without charges; by volume, 300 K.
    """
    reference, conditions = _alanine_reference(), [ALANINE_MASSES]
    for base, others in PLANES.items():
        conditions += [_combination(reference, base, other) for other in others]
    to_x, to_z = subspace(ALANINE_MASSES, np.stack(conditions))
    squares = _squared_lengths(reference, ALANINE_PAIRS)
    n, c, beside = reference[[N1, C2, CB]] - reference[CA]
    side = np.linalg.solve(np.stack([n, c, np.cross(n, c)], axis=1), beside)
    phi, psi, density, total = alanine_law(temperature)
    quantities = known_means(to_x, density, [("φ", PHI, phi), ("ψ", PSI, psi)])
    return Target(
        "alanine_dipeptide", 15, Partial(_alanine_constraints, to_x, squares, side),
        Partial(_alanine_energy, to_x, temperature), "hausdorff", Partial(_alanine_starts, to_z, temperature),
        quantities, alanine_dipeptide.__doc__ or "", None, float(np.log(8 * np.pi**2 * total)),
    )  # fmt: skip


def alanine_law(temperature: float, cells: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """φ, ψ and shares of cells (cells, cells), and ∫ exp(-E) √det g dφ dψ; means move by under 1e-12 with 240 cells."""
    even = (np.arange(cells) + 0.5) * 2 * np.pi / cells - np.pi
    phi, psi = np.meshgrid(even, even, indexing="ij")
    x = turned(_alanine_reference(), [(PSI, psi - np.pi), (PHI, phi - np.pi)])
    energy = _by_pairs(x, [np.cos(phi), np.cos(psi)], temperature)
    density = np.exp(-energy) * root_metric(x, ALANINE_MASSES, [PHI, PSI])
    return phi, psi, density / density.sum(), float(density.mean() * 4 * np.pi**2)


def _alanine_starts(to_z, temperature, key, count):
    """Even over the cells of (φ, ψ) with more than a thousandth of the highest density."""
    random = host_generator(key)
    phi, psi, density, _ = alanine_law(temperature)
    cells = random.choice(np.flatnonzero(density > 1e-3 * density.max()), count)
    x = turned(_alanine_reference(), [(PSI, psi.flat[cells] - np.pi), (PHI, phi.flat[cells] - np.pi)])
    return _anyhow_turned(random, to_z @ x)


@cache
def _alanine_reference():
    """φ = ψ = 180°; lengths in Å and angles as in common tables, rounded."""
    rows = [
        (O1, (CA, N1, C1), 1.229, 122.9, 0), (M1, (CA, N1, C1), 1.522, 116.6, 180),
        (C2, (C1, N1, CA), 1.522, 110.1, 180), (CB, (C1, N1, CA), 1.526, 109.7, 59),
        (N2, (N1, CA, C2), 1.335, 116.6, 180), (O2, (N1, CA, C2), 1.229, 120.4, 0),
        (M2, (CA, C2, N2), 1.449, 121.9, 180),
    ]  # fmt: skip
    return _grown(10, (CA, N1, C1), (1.449, 1.335, 121.9), rows)


def _combination(x, base, other):
    """The row (N,) that is zero at x: an atom less the combination of three that it is in their plane."""
    row, corners = np.zeros(len(x)), np.vstack([x[list(base)].T, np.ones(3)])
    row[list(base)] = np.linalg.lstsq(corners, np.append(x[other], 1.0), rcond=None)[0]
    row[other] = -1
    return row


def turned(reference: np.ndarray, turns: Sequence[tuple[Torsion, np.ndarray]]) -> np.ndarray:
    """Places (..., N, 3) after turning each torsion by its angles (...), the one nearest to the chain's end first."""
    x = np.tile(reference, (*np.shape(turns[0][1]), 1, 1))
    for torsion, angle in turns:
        start, moved = x[..., [torsion.atoms[1]], :], list(torsion.moved)
        axis, off = _axis(x, torsion), x[..., moved, :] - start
        cosine, sine = np.cos(angle)[..., None, None], np.sin(angle)[..., None, None]
        along = (off * axis).sum(axis=-1, keepdims=True) * axis
        x[..., moved, :] = start + along + cosine * (off - along) + sine * np.cross(axis, off)
    return x


def root_metric(x: np.ndarray, masses: np.ndarray, torsions: Sequence[Torsion]) -> np.ndarray:
    """√det g (...): mass-weighted volume per unit of rotation and of torsions, the centre of mass at rest.

    From velocities of the atoms alone, and so independent of F and its Gram matrix.
    """
    velocities = [np.cross(axis, x) for axis in np.eye(3)]
    for torsion in torsions:
        off = x - x[..., [torsion.atoms[1]], :]
        velocities.append(np.cross(_axis(x, torsion), off) * np.isin(np.arange(len(masses)), torsion.moved)[:, None])
    share = masses / masses.sum()
    moves = np.stack([v - np.einsum("n,...ni->...i", share, v)[..., None, :] for v in velocities], axis=-3)
    moves = (moves * np.sqrt(masses / masses.mean())[:, None]).reshape(*moves.shape[:-2], -1)
    return np.sqrt(np.linalg.det(moves @ np.swapaxes(moves, -1, -2)))


def _axis(x, torsion):
    axis = np.diff(x[..., list(torsion.atoms[1:3]), :], axis=-2)
    return axis / np.linalg.norm(axis, axis=-1, keepdims=True)


def _grown(count, first, triangle, rows):
    """Places (count, 3): three atoms in a plane, and each row's by length, angle and dihedral from three others."""
    length, next_length, angle = triangle
    x, angle = np.zeros((count, 3)), np.deg2rad(angle)
    x[first[1], 0] = length
    x[first[2]] = x[first[1]] + next_length * np.array([-np.cos(angle), np.sin(angle), 0.0])
    for new, (a, b, c), length, *degrees in rows:
        angle, dihedral = np.deg2rad(degrees)
        axis = (x[c] - x[b]) / np.linalg.norm(x[c] - x[b])
        across = np.cross(x[b] - x[a], axis)
        across /= np.linalg.norm(across)
        round_it = np.cos(dihedral) * np.cross(across, axis) + np.sin(dihedral) * across
        x[new] = x[c] + length * (np.sin(angle) * round_it - np.cos(angle) * axis)
    return x


def _anyhow_turned(random, z):
    """Random rotations of (count, N - c, 3), as points (count, n)."""
    turns = Rotation.random(len(z), random).as_matrix()
    return np.einsum("cij,cnj->cni", turns, z).reshape(len(z), -1)
