"""Molecules whose bonds and angles are rigid: laws of dihedral angles, with the metric factor of rigid constraints.

Coordinates are mass-weighted, √(mᵢ/m̄) xᵢ in Å with m̄ the mean mass: there the volume of {F = 0} is that by which rigid
bodies move, and a chain's mass matrix is the molecule's. Linear conditions (the centre of mass rests at 0, planar
groups stay planar) are no part of F: they hold in the orthonormal coordinates z of the subspace that they cut out, which
change no volume. Rotations stay free. They would only multiply every law of dihedrals by 8π², the volume of SO(3),
while equations to hold them would have a Gram determinant of their own, which varies with the shape.

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
from scipy.spatial.transform import Rotation

from .._random import host_generator
from ..mcmc.phase_space import Measure
from .target import Quantity, Target

GAS_CONSTANT = 8.314462618e-3  # kJ/mol/K
RYCKAERT_BELLEMANS = (1116.0, 1462.0, -1578.0, -368.0, 3156.0, -3788.0)
"""K, of powers of cos φ with φ = 0 for trans (Ryckaert & Bellemans, Faraday Discuss. Chem. Soc. 66, 95, 1978)."""
BUTANE_MASSES = np.array([15.035, 14.027, 14.027, 15.035])  # u, CH3 and CH2
BUTANE_PAIRS = np.array([[0, 1], [1, 2], [2, 3], [0, 2], [1, 3]])  # bonds, and distances that hold the angles
CH3, C, O, N, CA, CB, C2, O2, N2, CH32 = range(10)  # of ACE-ALA-NME; 2: beyond the Cα
ALANINE_MASSES = np.array([15.035, 12.011, 15.999, 15.015, 13.019, 15.035, 12.011, 15.999, 15.015, 15.035])  # u
PLANES = {(C, N, CA): (CH3, O), (CA, C2, N2): (O2, CH32)}
"""Three atoms of each peptide plane, and those whose places are fixed combinations of theirs."""
ALANINE_PAIRS = np.array([[C, N], [N, CA], [C, CA], [CA, C2], [C2, N2], [CA, N2], [N, C2]])
LENNARD_JONES = {"C": (3.5, 0.4), "O": (2.9, 0.8), "N": (3.2, 0.7), "M": (3.7, 0.6)}
"""σ in Å and ε in kJ/mol of C, O, N and of CH and CH3 (M): illustrative, of the size of published tables."""
BARRIERS = 2.0, 1.0
"""Half the threefold barriers of φ and ψ in kJ/mol, illustrative."""
CELLS = 120
"""A side of the grid of (φ, ψ); with 240 means move by less than 1e-6."""


class Torsion(NamedTuple):
    """The dihedral angle of four atoms, and the atoms that turn with it about the axis from `atoms[1]` to `atoms[2]`."""

    atoms: tuple[int, int, int, int]
    moved: tuple[int, ...]


BUTANE_TORSION = Torsion((0, 1, 2, 3), (3,))
PHI = Torsion((C, N, CA, C2), (CB, C2, O2, N2, CH32))
PSI = Torsion((N, CA, C2, N2), (O2, N2, CH32))


def subspace(masses: np.ndarray, conditions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (N, N - c) and (N - c, N) between coordinates z and places x = to_x z, where `conditions` (c, N) x = 0."""
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


def harmonic(to_x, atoms: Sequence[int], order: int, sine: bool, z):
    """Cosine or sine of `order` times a dihedral angle."""
    cosine_sine = circle_of(places(to_x, z)[jnp.asarray(atoms)])
    angle = order * jnp.arctan2(cosine_sine[1], cosine_sine[0])
    return jnp.sin(angle) if sine else jnp.cos(angle)


def _squared_lengths(x, pairs):
    return jnp.sum((x[pairs[:, 0]] - x[pairs[:, 1]]) ** 2, axis=1)


# Butane -------------------------------------------------------------------------------------------


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
    squares = np.sum(np.diff(_butane_reference()[BUTANE_PAIRS], axis=1) ** 2, axis=(1, 2))
    angle, density, total = butane_law(measure, temperature)
    atoms = BUTANE_TORSION.atoms
    known = {
        "cos φ": (Partial(harmonic, to_x, atoms, 1, False), np.cos(angle)),
        "cos 2φ": (Partial(harmonic, to_x, atoms, 2, False), np.cos(2 * angle)),
        "sin φ": (Partial(harmonic, to_x, atoms, 1, True), np.sin(angle)),
        "trans": (Partial(_is_trans, to_x), (np.cos(angle) < -0.5).astype(float)),
    }
    return Target(
        f"butane_{measure}", 9, Partial(_butane_constraints, to_x, squares),
        Partial(_butane_energy, to_x, temperature), measure, Partial(_butane_starts, to_z),
        {name: _quantity(function, values, density / density.sum()) for name, (function, values) in known.items()},
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


def _is_trans(to_x, z):
    return (harmonic(to_x, BUTANE_TORSION.atoms, 1, False, z) < -0.5).astype(z.dtype)


@cache
def _butane_reference():
    """Trans, that is at φ = π."""
    return _grown_chain([1.53, 1.53, 1.53], [np.arccos(-1 / 3)] * 2)


def _butane_starts(to_z, key, count):
    random = host_generator(key)
    x = turned(_butane_reference(), [(BUTANE_TORSION, random.uniform(-np.pi, np.pi, count))])
    return _anyhow_turned(random, to_z @ x)


# Alanine dipeptide --------------------------------------------------------------------------------


def _alanine_constraints(to_x, squares, side, z):
    """Seven distances, and Cβ where it must be beside the plane of N, Cα, C: as a vector, so that L stays L."""
    x = places(to_x, z)
    n, c = x[N] - x[CA], x[C2] - x[CA]
    off = x[CB] - x[CA] - side[0] * n - side[1] * c - side[2] * jnp.cross(n, c)
    return jnp.concatenate([_squared_lengths(x, ALANINE_PAIRS) - jnp.asarray(squares, z.dtype), off])


def _alanine_energy(to_x, temperature, z):
    x = places(to_x, z)
    cosines = [circle_of(x[jnp.asarray(torsion.atoms)])[0] for torsion in (PHI, PSI)]
    first, second, sigma, depth = _close_pairs()
    return _by_pairs(x[first] - x[second], sigma, depth, cosines) / (GAS_CONSTANT * temperature)


def _by_pairs(apart, sigma, depth, cosines):
    """kJ/mol: 4ε((σ/r)¹² - (σ/r)⁶), and B (1 + cos 3φ) of each angle; `apart` (..., pairs, 3)."""
    ratio = (sigma**2 / (apart**2).sum(axis=-1)) ** 3
    torsions = sum(half * (1 + 4 * c**3 - 3 * c) for half, c in zip(BARRIERS, cosines, strict=True))
    return (4 * depth * (ratio**2 - ratio)).sum(axis=-1) + torsions


@cache
def _close_pairs():
    """Pairs three or more bonds apart whose distance is not fixed: indices, σ and ε (half of it at three bonds)."""
    bonds = [(CH3, C), (C, O), (C, N), (N, CA), (CA, CB), (CA, C2), (C2, O2), (C2, N2), (N2, CH32)]
    steps = np.full((10, 10), 99)
    np.fill_diagonal(steps, 0)
    for a, b in bonds:
        steps[a, b] = steps[b, a] = 1
    for middle in range(10):
        steps = np.minimum(steps, steps[:, [middle]] + steps[[middle]])
    bodies = [{CH3, C, O, N, CA}, {CA, C2, O2, N2, CH32}]
    first, second = np.array(
        [(a, b) for a in range(10) for b in range(a) if steps[a, b] > 2 and not any({a, b} <= body for body in bodies)]
    ).T
    sigma, depth = np.array([LENNARD_JONES[kind] for kind in "MCONMMCONM"]).T
    scale = np.where(steps[first, second] == 3, 0.5, 1.0)
    return first, second, (sigma[first] + sigma[second]) / 2, scale * np.sqrt(depth[first] * depth[second])


def alanine_dipeptide(temperature: float = 300.0) -> Target:
    """Heavy atoms of ACE-ALA-NME with rigid bonds, angles and planar peptide bonds: exact means of (φ, ψ) by quadrature.

    Lennard-Jones and threefold torsions with illustrative parameters, in vacuum and without charges; by volume, 300 K.
    """
    reference, conditions = _alanine_reference(), [ALANINE_MASSES]
    for base, others in PLANES.items():
        conditions += [_combination(reference, base, other) for other in others]
    to_x, to_z = subspace(ALANINE_MASSES, np.stack(conditions))
    squares = np.sum(np.diff(reference[ALANINE_PAIRS], axis=1) ** 2, axis=(1, 2))
    n, c = reference[N] - reference[CA], reference[C2] - reference[CA]
    side = np.linalg.solve(np.stack([n, c, np.cross(n, c)], axis=1), reference[CB] - reference[CA])
    phi, psi, density, total = alanine_law(temperature)
    quantities = {
        f"{'sin' if sine else 'cos'} {order if order > 1 else ''}{name}": _quantity(
            Partial(harmonic, to_x, torsion.atoms, order, sine), (np.sin if sine else np.cos)(order * angle), density
        )
        for name, torsion, angle in (("φ", PHI, phi), ("ψ", PSI, psi))
        for order in (1, 2)
        for sine in (False, True)
    }
    return Target(
        "alanine_dipeptide", 15, Partial(_alanine_constraints, to_x, squares, side),
        Partial(_alanine_energy, to_x, temperature), "hausdorff", Partial(_alanine_starts, to_z, temperature),
        quantities, alanine_dipeptide.__doc__ or "", None, float(np.log(8 * np.pi**2 * total)),
    )  # fmt: skip


def alanine_law(temperature: float, cells: int = CELLS) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """φ, ψ and the share of each cell (cells, cells), and ∫ exp(-E) √det g dφ dψ."""
    even = (np.arange(cells) + 0.5) * 2 * np.pi / cells - np.pi
    phi, psi = np.meshgrid(even, even, indexing="ij")
    x = turned(_alanine_reference(), [(PSI, psi - np.pi), (PHI, phi - np.pi)])
    first, second, sigma, depth = _close_pairs()
    energy = _by_pairs(x[..., first, :] - x[..., second, :], sigma, depth, [np.cos(phi), np.cos(psi)])
    density = np.exp(-energy / (GAS_CONSTANT * temperature)) * root_metric(x, ALANINE_MASSES, [PHI, PSI])
    return phi, psi, density / density.sum(), float(density.mean() * 4 * np.pi**2)


def _alanine_starts(to_z, temperature, key, count):
    """Even over the cells of (φ, ψ) with more than a thousandth of the highest density, but for the last digits."""
    random = host_generator(key)
    phi, psi, density, _ = alanine_law(temperature)
    cells = random.choice(np.flatnonzero(density > 1e-3 * density.max()), count)
    x = turned(_alanine_reference(), [(PSI, psi.flat[cells] - np.pi), (PHI, phi.flat[cells] - np.pi)])
    return _anyhow_turned(random, to_z @ x)


@cache
def _alanine_reference():
    """φ = ψ = 180°; lengths in Å and angles as in common tables, rounded."""
    x = np.zeros((10, 3))
    x[[CA, N, C]] = _grown_chain([1.449, 1.335], [np.deg2rad(121.9)])
    for new, before, length, angle, dihedral in (
        (O, (CA, N, C), 1.229, 122.9, 0), (CH3, (CA, N, C), 1.522, 116.6, 180), (C2, (C, N, CA), 1.522, 110.1, 180),
        (CB, (C, N, CA), 1.526, 109.7, 59), (N2, (N, CA, C2), 1.335, 116.6, 180), (O2, (N, CA, C2), 1.229, 120.4, 0),
        (CH32, (CA, C2, N2), 1.449, 121.9, 180),
    ):  # fmt: skip
        x[new] = _placed(x[list(before)], length, np.deg2rad(angle), np.deg2rad(dihedral))
    return x


def _combination(x, base, other):
    """The row (N,) that is zero at x: an atom less the combination of three that it is in their plane."""
    row, corners = np.zeros(len(x)), np.vstack([x[list(base)].T, np.ones(3)])
    row[list(base)] = np.linalg.lstsq(corners, np.append(x[other], 1.0), rcond=None)[0]
    row[other] = -1
    return row


# Geometry of both ---------------------------------------------------------------------------------


def turned(reference: np.ndarray, turns: Sequence[tuple[Torsion, np.ndarray]]) -> np.ndarray:
    """Places (..., N, 3) after turning each torsion by its angles (...), the one nearest to the chain's end first."""
    x = np.broadcast_to(reference, (*np.shape(turns[0][1]), *reference.shape)).copy()
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
        moved, velocity = list(torsion.moved), np.zeros_like(x)
        velocity[..., moved, :] = np.cross(_axis(x, torsion), x[..., moved, :] - x[..., [torsion.atoms[1]], :])
        velocities.append(velocity)
    share = masses / masses.sum()
    moves = np.stack([v - np.einsum("n,...ni->...i", share, v)[..., None, :] for v in velocities], axis=-3)
    moves = (moves * np.sqrt(masses / masses.mean())[:, None]).reshape(*moves.shape[:-2], -1)
    return np.sqrt(np.linalg.det(moves @ np.swapaxes(moves, -1, -2)))


def _axis(x, torsion):
    axis = x[..., [torsion.atoms[2]], :] - x[..., [torsion.atoms[1]], :]
    return axis / np.linalg.norm(axis, axis=-1, keepdims=True)


def _placed(three, length, angle, dihedral):
    """A fourth place: `length` from the third, at `angle` there, at `dihedral` about the last two."""
    axis = (three[2] - three[1]) / np.linalg.norm(three[2] - three[1])
    across = np.cross(three[1] - three[0], axis)
    across /= np.linalg.norm(across)
    out = -np.cos(angle) * axis + np.sin(angle) * (
        np.cos(dihedral) * np.cross(across, axis) + np.sin(dihedral) * across
    )
    return three[2] + length * out


def _grown_chain(lengths, angles):
    """Three places in the plane, and further ones trans to the last."""
    turn = np.array([-np.cos(angles[0]), np.sin(angles[0]), 0.0])
    x = [np.zeros(3), np.array([lengths[0], 0.0, 0.0])]
    x.append(x[1] + lengths[1] * turn)
    for length, angle in zip(lengths[2:], angles[1:], strict=True):
        x.append(_placed(np.stack(x[-3:]), length, angle, np.pi))
    return np.stack(x)


def _anyhow_turned(random, z):
    """Random rotations of (count, N - c, 3), as points (count, n)."""
    turns = Rotation.random(len(z), random).as_matrix()
    return np.einsum("cij,cnj->cni", turns, z).reshape(len(z), -1)


def _quantity(function, values, share):
    mean = float((values * share).sum())
    return Quantity(function, mean, float(np.sqrt(((values - mean) ** 2 * share).sum())), 0.0, "quadrature")
