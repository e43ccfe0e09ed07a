"""All cells of the comparison with baselines, the most telling first, and the running of those that are missing.

Each cell is a file of its own, so a run goes on where it was stopped: `python -m experiments.pages --only laws --run`.
"""

from itertools import product
from typing import Any, get_args

from experiments.comparison import ablations, fits, miniboone, polynomial, sinusoid, tables

MANY, FEW = range(5), range(2)
"""Seeds of the cells of the paper's table, the EBIM and its main rivals; and of all others."""
WEIGHTS = (1.0, 10.0, 100.0, 1000.0)


MODULES: dict[type, Any] = {
    fits.CellOptions: fits,
    polynomial.PolynomialOptions: polynomial,
    sinusoid.SinusoidOptions: sinusoid,
    ablations.AblationOptions: ablations,
    miniboone.TabularOptions: miniboone,
}
"""What makes a cell of given options, and where it goes."""


def wanted() -> list[Any]:
    """The options of every cell, the most telling first."""

    def on_data(data, models, seeds):
        return [fits.CellOptions(name, model, seed) for seed, name, model in product(seeds, data, models)]

    cells = on_data(tables.PAPER, ("ebim", "ae_ebm", "ae_ebm_contrastive"), MANY)
    cells += on_data(("von_mises_mixture",), ("m_flow", "fif", "nae", "ambient_flow", "ambient_ebm"), MANY)
    cells += on_data(("von_mises", "projected_normals"), ("ebim", "ae_ebm"), FEW)
    cells += on_data(("gaussian_circle", "lorenz"), ("ebim", "ambient_flow", "m_flow", "fif"), FEW)
    cells += on_data(("gaussian_circle",), ("m_flow_transport",), FEW)
    for model in get_args(polynomial.Model):
        seeds = MANY if model in ("ebim", "m_flow", "m_e_flow") else FEW
        cells += [polynomial.PolynomialOptions(model, seed) for seed in seeds]
    cells += [sinusoid.SinusoidOptions("fif", weight, seed) for weight, seed in product(WEIGHTS, FEW)]
    cells += [sinusoid.SinusoidOptions("fif_on_manifold", weight, seed) for weight, seed in product(WEIGHTS[:3], FEW)]
    cells += [sinusoid.SinusoidOptions("m_flow", seed=seed) for seed in MANY]
    for name, values in ablations.VALUES.items():
        cells += [ablations.AblationOptions(name, value, seed) for value, seed in product(values, FEW)]
    cells += [miniboone.TabularOptions(model, seed) for seed, model in product(FEW, get_args(miniboone.Model))]
    cells += on_data(tables.SHAPES, ("ebim", "ae_ebm"), MANY)
    return cells + on_data(tables.SHAPES, ("m_flow", "fif"), FEW)


def run_missing() -> None:
    """Run every cell that has no file."""
    for cell in wanted():
        module = MODULES[type(cell)]
        if not module.path_of(cell).exists():
            module.run_cell(cell)
