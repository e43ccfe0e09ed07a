"""Every table of the comparison with rivals: run the missing cells, then write docs/rivals.md from all of them
and their summary in the README.

`python -m experiments.tables` goes on where it was stopped, since each cell is a file of its own. With `--seeds 0
--more-seeds 0` it only rewrites the page.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args

from experiments import ablations, cell_tables, polynomial, rivals, sinusoid, tabular
from experiments.cells import CELLS
from experiments.common import main
from experiments.markdown import replace_between_marks
from experiments.report import DOCS, README


@dataclass(frozen=True)
class TableOptions:
    """seeds: how many of each cell to have. more_seeds: of the cells of the paper's table, EBIM and its main rivals.

    cells: their directory. page: the file with all tables. readme: that with their summary.
    """

    seeds: int = 2
    more_seeds: int = 5
    cells: Path = CELLS
    page: Path = DOCS / "rivals.md"
    readme: Path = README


WEIGHTS = (1.0, 10.0, 100.0, 1000.0)


MODULES: dict[type, Any] = {
    rivals.CellOptions: rivals,
    polynomial.PolynomialOptions: polynomial,
    sinusoid.SinusoidOptions: sinusoid,
    ablations.AblationOptions: ablations,
    tabular.TabularOptions: tabular,
}
"""What makes a cell of given options, and where it goes."""


def wanted(options: TableOptions) -> list[Any]:
    """The options of every cell, the most telling first."""
    many, few, out = range(options.more_seeds), range(options.seeds), options.cells

    def on_data(data, models, seeds):
        return [rivals.CellOptions(name, model, seed, out) for seed, name, model in product(seeds, data, models)]

    cells = on_data(cell_tables.PAPER, ("ebim", "ae_ebm", "ae_ebm_contrastive"), many)
    cells += on_data(("von_mises_mixture",), ("m_flow", "fif", "nae", "ambient_flow", "ambient_ebm"), many)
    cells += on_data(("von_mises", "projected_normals"), ("ebim", "ae_ebm"), few)
    cells += on_data(("gaussian_circle", "lorenz"), ("ebim", "ambient_flow", "m_flow", "fif"), few)
    cells += on_data(("gaussian_circle",), ("m_flow_transport",), few)
    for model in get_args(polynomial.Model):
        seeds = many if model in ("ebim", "m_flow", "m_e_flow") else few
        cells += [polynomial.PolynomialOptions(model, seed, out) for seed in seeds]
    cells += [sinusoid.SinusoidOptions("fif", weight, seed, out) for weight, seed in product(WEIGHTS, few)]
    cells += [
        sinusoid.SinusoidOptions("fif_on_manifold", weight, seed, out) for weight, seed in product(WEIGHTS[:3], few)
    ]
    cells += [sinusoid.SinusoidOptions("m_flow", seed=seed, out=out) for seed in many]
    for name, values in ablations.VALUES.items():
        cells += [ablations.AblationOptions(name, value, seed, out) for value, seed in product(values, few)]
    cells += [tabular.TabularOptions(model, seed, out) for seed, model in product(few, get_args(tabular.Model))]
    cells += on_data(cell_tables.SHAPES, ("ebim", "ae_ebm"), many)
    return cells + on_data(cell_tables.SHAPES, ("m_flow", "fif"), few)


def tables(options: TableOptions) -> None:
    """Run what is missing and rewrite the page."""
    for cell in wanted(options):
        module = MODULES[type(cell)]
        if not module.path_of(cell).exists():
            module.run_cell(cell)
    cells = cell_tables.read(options.cells)
    for name, table in (
        ("laws", cell_tables.laws),
        ("distances", cell_tables.distances),
        ("topology", cell_tables.topologies),
        ("polynomial", cell_tables.polynomials),
        ("sinusoid", cell_tables.sinusoids),
        ("ablations", cell_tables.ablated),
        ("miniboone", cell_tables.miniboone),
        ("cost", cell_tables.cost),
    ):
        replace_between_marks(options.page, name, table(cells))
    replace_between_marks(options.readme, "rivals", cell_tables.summary(cells))


if __name__ == "__main__":
    main(tables, TableOptions)
