"""Tables of Markdown, and where in a page they go."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from implicit_manifolds._files import write_whole


def table_header(*names: str) -> list[str]:
    """The two lines that a table begins with."""
    return [table_row(*names), "|" + "---|" * len(names)]


def table_row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def median_and_range(values: Sequence[float], form: str) -> str:
    """The median, and the least and greatest where they differ in print; "-" where there are no values."""
    if not values:
        return "-"
    middle, least, greatest = (format(of(values), form) for of in (np.median, min, max))
    return middle if least == greatest else f"{middle} ({least} to {greatest})"


def replace_between_marks(path: Path, name: str, text: str) -> None:
    """Put `text` between the lines <!-- NAME: ... --> and <!-- end of NAME --> of a file."""
    before, rest = path.read_text().split(f"<!-- {name}:")
    mark = rest.split("-->")[0]
    after = rest.split(f"<!-- end of {name} -->")[1]
    write_whole(path, f"{before}<!-- {name}:{mark}-->\n{text}\n<!-- end of {name} -->{after}".encode())
