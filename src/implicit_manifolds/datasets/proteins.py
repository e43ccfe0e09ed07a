"""Backbone angles (φ, ψ) of proteins, and the torus in space that they are drawn on."""

import pickle
from pathlib import Path
from typing import Literal

import numpy as np

from ..choices import check_choice
from ..errors import DataUnavailable, InputError
from .download import fetch, find_local

Residues = Literal["general", "glycine", "proline", "pre_pro"]


def load_dihedral(amino_acid: str = "G") -> np.ndarray:
    """φ and ψ in radians, (1000, 2) float64, of one amino acid by its one-letter code; G is glycine.

    Rounded to 0.01, so some rows repeat. Raises DataUnavailable as `fetch` does and where the file holds
    more than arrays, InputError for another code. Source: NumPyro's NINE_MERS, files of pyro-ppl/datasets.
    """
    converted = find_local("dihedral/nine_mers.npz")
    if converted is not None:
        with np.load(converted, allow_pickle=False) as arrays:
            return _angles(arrays, amino_acid)
    return _angles(_read_pickled_arrays(fetch("dihedral/9mers_data.pkl")), amino_acid)


def load_ramachandran(residues: Residues = "general") -> np.ndarray:
    """φ and ψ in radians, (N, 2) float64, of the Top500 set by kind of residue, as Huang et al. (2022) part them.

    69,890 general, 6,742 glycine, 3,881 proline, 3,500 before a proline; rounded to 0.01. Raises InputError for another
    kind, DataUnavailable as `fetch` does. Source: Lovell et al. 2003, converted from a file of pyro-ppl/datasets.
    """
    check_choice("the kind of residue", residues, Residues)
    rows = np.genfromtxt(fetch("dihedral/top500.csv"), delimiter=",", skip_header=1, dtype=str)
    named = {"general": "General", "glycine": "Glycine", "proline": "Proline", "pre_pro": "Pre-Pro"}
    whole = (rows[:, 6] == named[residues]) & (rows[:, 4] != "") & (rows[:, 5] != "")
    return rows[whole, 4:6].astype(np.float64)


def torus_embedding(angles: np.ndarray, radius: float = 3.0, tube: float = 1.0) -> np.ndarray:
    """((R + r cos ψ) cos φ, (R + r cos ψ) sin φ, r sin ψ), (N, 2) radians (φ, ψ) to (N, 3).

    φ runs around the ring of radius R, ψ around the tube of radius r (Ross et al. 2023, R = 3, r = 1).
    """
    phi, psi = np.asarray(angles, np.float64).T
    ring = radius + tube * np.cos(psi)
    return np.column_stack([ring * np.cos(phi), ring * np.sin(phi), tube * np.sin(psi)])


def _angles(arrays, amino_acid: str) -> np.ndarray:
    if amino_acid not in arrays:
        raise InputError(f"there is no amino acid {amino_acid}; give one of {', '.join(sorted(arrays))}")
    return np.asarray(arrays[amino_acid], np.float64)


def _latin1(text: str, encoding: str) -> bytes:
    """How pickle protocols 0 to 2 spell bytes; they ask for no other codec."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding}")
    return text.encode("latin1")


_RECONSTRUCT = np.zeros(1).__reduce__()[0]
_FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
_ADMITTED = {
    ("_codecs", "encode"): _latin1,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Makes NumPy arrays and plain containers; imports nothing and calls nothing that the file names."""

    def find_class(self, module: str, name: str):
        """The admitted object of that exact name; raises UnpicklingError for any other."""
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _ADMITTED[module, name]


def _read_pickled_arrays(path: Path) -> dict:
    try:
        with path.open("rb") as file:
            arrays = _ArrayUnpickler(file).load()
    except Exception as error:  # A damaged pickle can raise nearly anything.
        raise DataUnavailable(f"{path} holds more than arrays ({error}) and was not read; remove it") from error
    if not isinstance(arrays, dict):
        raise DataUnavailable(f"{path} holds no table of arrays by amino acid; remove it")
    return arrays
