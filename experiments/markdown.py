"""Tables of Markdown, and where in a page they go."""

from pathlib import Path


def table_header(*names: str) -> list[str]:
    """The two lines that a table begins with."""
    return [table_row(*names), "|" + "---|" * len(names)]


def table_row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def replace_between_marks(path: Path, name: str, text: str) -> None:
    """Put `text` between the lines <!-- NAME: ... --> and <!-- end of NAME --> of a file."""
    before, rest = path.read_text().split(f"<!-- {name}:")
    mark = rest.split("-->")[0]
    after = rest.split(f"<!-- end of {name} -->")[1]
    path.write_text(f"{before}<!-- {name}:{mark}-->\n{text}\n<!-- end of {name} -->{after}")
