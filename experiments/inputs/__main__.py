"""What the command makes of forty odd tables: `python -m experiments.inputs`, with `--cases DIR` also of files there.

Each row runs `implicit-manifolds` as a stranger would, defaults and all, and holds its exit code and what it says
against what is right. The table goes to docs/inputs.md; exit code 1 where a row is wrong.
"""

import contextlib
import io
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import tyro

from experiments.common.markdown import replace_between_marks, table_header, table_row
from experiments.inputs.given import Input, cases, columns, extremes, meanings, readable
from implicit_manifolds import cli

PAGE = Path(__file__).parents[2] / "docs" / "inputs.md"
RESULTS = Path(__file__).parents[1] / "results" / "inputs.json"


def happens(given: Input) -> dict[str, Any]:
    """Run one in a folder of its own; whether code and words are right, and the line that says so."""
    output, started = io.StringIO(), time.perf_counter()
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        given.write(Path(name))
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            mock.patch.object(sys, "argv", ["implicit-manifolds", *given.words]),
        ):
            try:
                cli.main()
            except SystemExit as end:
                code = end.code
    lines = [line.strip() for line in output.getvalue().replace("\r", "\n").splitlines()]
    said = next((line for line in lines if re.search(given.says, line)), "")
    told = {"input": given.what, "command": " ".join(given.words), "code": code, "said": said}
    right = code == given.code and bool(said) and not any(line.startswith("Traceback") for line in lines)
    return (
        told | {"right": right, "seconds": round(time.perf_counter() - started, 1)} | ({} if right else {"all": lines})
    )


@dataclass(frozen=True)
class Options:
    """cases: a folder of such files. only: rows whose words have this in them."""

    cases: Path | None = None
    only: str = ""


def main(options: Options) -> None:
    """Run them, and write results and page; rows that are not run stay as they were."""
    given = [*readable(), *columns(), *meanings(), *extremes()]
    given += [] if options.cases is None else cases(options.cases)
    found = {row["input"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    for row in given:
        if options.only in row.what:
            found[row.what] = happens(row)
            print(json.dumps(found[row.what]), flush=True)
    names = [row.what for row in given] + [name for name in found if name.startswith("case ")]
    kept = [found[name] for name in dict.fromkeys(names) if name in found]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    replace_between_marks(PAGE, "inputs", table(kept))
    sys.exit(not all(row["right"] for row in kept))


def table(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    rows = table_header("input", "command: implicit-manifolds", "exit code", "what it says", "as it should")
    for row in found:
        command = row["command"] if len(row["command"]) < 70 else row["command"][:67] + "..."
        said = row["said"].replace("|", r"\|")
        rows.append(table_row(row["input"], f"`{command}`", str(row["code"]), said, "yes" if row["right"] else "no"))
    return "\n".join(rows)


if __name__ == "__main__":
    main(tyro.cli(Options))
