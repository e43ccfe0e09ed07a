"""The tables of docs/what_can_go_wrong.md: `python -m experiments.reliability` provokes all that they tell of.

`--only silent`, `shapes`, `numbers` or `faults` keeps to a part, and what the others told stays; `--kills 50` says how
many runs are killed in all. Exit code 1 where something is not as it should be.
"""

import json
import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tyro

from experiments.common.markdown import replace_between_marks, table_header, table_row
from experiments.common.places import DOCS, README
from experiments.reliability import faults, not_numbers, shapes, silent

PAGE = DOCS / "what_can_go_wrong.md"
RESULTS = README.parent / "experiments" / "results" / "reliability.json"
Part = Literal["silent", "shapes", "numbers", "faults"]


@dataclass(frozen=True)
class Options:
    """only: one part. kills: how many runs are killed, over all stages."""

    only: Part | None = None
    kills: int = 50


def main(options: Options) -> None:
    """Provoke, write results and page."""
    made: dict[str, Any] = {
        "silent": lambda: silent.rows(),
        "shapes": lambda: shapes.rows(),
        "numbers": lambda: [one._asdict() for one in not_numbers.outcomes()],
        "faults": lambda: faults.rows(options.kills),
    }
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, make in made.items():
        if options.only in (None, name):
            found[name] = make()
            RESULTS.write_text(json.dumps(found, indent=1, default=_plain) + "\n")
    found = json.loads(RESULTS.read_text())
    for name, rows in found.items():
        replace_between_marks(PAGE, name, table(rows))
    sys.exit(not all(row["right"] for rows in found.values() for row in rows))


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown; the last column says whether all is as it should be."""
    names = [name for name in rows[0] if name != "right"]
    lines = table_header(*names, "as it should")
    lines += [table_row(*(_cell(row[name]) for name in names), "yes" if row["right"] else "no") for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", r"\|")


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


if __name__ == "__main__":
    main(tyro.cli(Options))
