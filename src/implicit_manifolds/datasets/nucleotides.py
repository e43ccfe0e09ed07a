"""Backbone angles of nucleotides in RNA: points of a torus of seven dimensions."""

import numpy as np

from .download import fetch


def load_rna() -> tuple[np.ndarray, np.ndarray]:
    """α, β, γ, δ, ε, ζ and χ in radians, (9478, 7) float64, and the PDB entry that each row is of, (9478,).

    Raises DataUnavailable as `fetch` does. Source: Sorrenson et al. 2024, files of vislearn/FFF.
    """
    cells = np.genfromtxt(fetch("dihedral/rna.tsv"), delimiter="\t", dtype=str)
    return np.radians(cells[:, 2:].astype(np.float64)), cells[:, 0]
