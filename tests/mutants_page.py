"""What the tests make of mutants, for docs/tests.md: `python -m tests.mutants_page` writes its tables.

Why a survivor is let be stands in reasons.json beside the results, by its name; exit code 1 where one has no reason.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from experiments.common.markdown import replace_between_marks, table_header, table_row
from experiments.common.places import DOCS
from tests.mutants import PACKAGE, Options, name_of, read

PAGE = DOCS / "tests.md"
GONE = "gone"


def main() -> None:
    """Write both tables."""
    lines = latest(Options().out)
    reasons = json.loads((Options().out / "reasons.json").read_text())
    replace_between_marks(PAGE, "mutants", shares(lines))
    replace_between_marks(PAGE, "survivors", survivors(lines, reasons))
    sys.exit(any(name_of(line) not in reasons for line in lines if line["outcome"] == "survived"))


def latest(directory: Path) -> list[dict[str, Any]]:
    """Every mutant with what became of it last."""
    again = {name_of(line): line["outcome"] for line in read(directory, again=True)}
    return [
        line | {"first": line["outcome"], "outcome": again.get(name_of(line), line["outcome"])}
        for line in read(directory)
    ]


def shares(lines: list[dict[str, Any]]) -> str:
    """Markdown: how many mutants of each room are seen, those whose line is gone by now left out."""
    rooms = defaultdict(list)
    for line in lines:
        for room in (_module(line).split("/")[0], "all"):
            rooms[room].append((line["first"], line["outcome"]))
    rows = table_header("room", "mutants", "seen at first", "their line is gone", "seen now", "share")
    for room, pairs in sorted(rooms.items(), key=lambda one: (one[0] == "all", one[0])):
        first, last = zip(*pairs, strict=True)
        count, gone = len(pairs), last.count(GONE)
        seen = count - gone - last.count("survived")
        shown = count, count - first.count("survived"), gone, seen
        rows.append(table_row(room, *map(str, shown), f"{seen / (count - gone):.1%}"))
    return "\n".join(rows)


def survivors(lines: list[dict[str, Any]], reasons: dict[str, str]) -> str:
    """Markdown: each survivor, what it changed, and why no test sees it."""
    rows = table_header("module", "change", "why no test sees it")
    for line in sorted(lines, key=name_of):
        if line["outcome"] == "survived":
            before, after = change(line["diff"])
            told = f"`{before}` to `{after}`".replace("|", r"\|")
            rows.append(table_row(_module(line), told, reasons.get(name_of(line), "?")))
    return "\n".join(rows)


def change(diff: str) -> tuple[str, str]:
    """What a diff changes, with the words around it that make it plain."""
    hunk = diff.split("\n@@")[1].splitlines()[1:]
    before, after = (" ".join(line[1:].split("  # ")[0].strip() for line in hunk if line[:1] == mark) for mark in "-+")
    old, new = (re.findall(r"\w+|\W", text) for text in (before, after))
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    last = next((i for i, (a, b) in enumerate(zip(old[::-1], new[::-1], strict=False)) if a != b), 0)
    start = max(0, first - AROUND)
    return tuple("".join(words[start : max(first + 1, len(words) - last) + AROUND]).strip() for words in (old, new))


AROUND = 8
"""Words and signs that are shown on either side."""


def _module(line: dict[str, Any]) -> str:
    return line["path"].removeprefix(f"{PACKAGE}/").removesuffix(".py")


if __name__ == "__main__":
    main()
