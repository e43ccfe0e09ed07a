"""Every table of the README and the docs, from the results: `python -m experiments.pages`.

With `--run` what is missing is run first; `--only NAME ...` keeps to some of the tables, or to what they need.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from experiments.common.command import main
from experiments.common.markdown import replace_between_marks
from experiments.common.places import DOCS, README
from experiments.comparison import runs as comparison
from experiments.comparison import tables as cells
from experiments.images import denoiser_tables as denoisers
from experiments.images import runs as image_runs
from experiments.images import tables as images
from experiments.paper import runs as paper_runs
from experiments.paper import tables as paper
from experiments.studies import energy_losses, topology
from implicit_manifolds.errors import InputError

INDEX = Path(__file__).parent / "README.md"


class Table(NamedTuple):
    """The page, what writes the table, and what runs its experiments."""

    page: Path
    text: Callable[[], str]
    run: Callable[[], None]


TABLES: dict[str, Table] = {
    "times": Table(INDEX, paper.times, paper_runs.run_missing),
    "results": Table(README, paper.results, paper_runs.run_missing),
    "arithmetic": Table(DOCS / "arithmetic.md", paper.arithmetic, paper_runs.run_missing),
    "amino acids": Table(DOCS / "amino_acids.md", paper.amino_acids, paper_runs.run_missing),
    "energy losses": Table(DOCS / "energy_losses.md", energy_losses.table, energy_losses.run_missing),
    "topology": Table(DOCS / "guide.md", topology.table, topology.run_missing),
    "rivals": Table(README, cells.SUMMARY, comparison.run_missing),
    **{name: Table(DOCS / "rivals.md", text, comparison.run_missing) for name, text in cells.TABLES.items()},
    "images": Table(README, images.readme, image_runs.run_missing),
    **{name: Table(DOCS / "image_manifolds.md", text, image_runs.run_missing) for name, text in images.TABLES.items()},
    **{
        name: Table(DOCS / "image_denoisers.md", text, image_runs.run_missing)
        for name, text in denoisers.TABLES.items()
    },
}


@dataclass(frozen=True)
class Options:
    """run: what is missing, before the tables are written. only: names of tables; all unless given."""

    run: bool = False
    only: tuple[str, ...] = ()


def write(options: Options) -> None:
    """Rewrite the tables asked for. Raises InputError for a name that none has."""
    if unknown := set(options.only) - set(TABLES):
        raise InputError(f"there is no table {sorted(unknown)[0]!r}; there are {', '.join(TABLES)}")
    chosen = {name: table for name, table in TABLES.items() if name in (options.only or TABLES)}
    if options.run:
        for run in dict.fromkeys(table.run for table in chosen.values()):
            run()
    for name, table in chosen.items():
        replace_between_marks(table.page, name, table.text())


if __name__ == "__main__":
    main(write, Options)
