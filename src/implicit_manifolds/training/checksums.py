"""SHA-256 sums of a directory's files, written so that `sha256sum -c` checks them, too: bits that flipped are seen."""

import hashlib
from pathlib import Path

from .._files import write_whole

SUMS = "SHA256SUMS"


def write_sums(directory: Path) -> None:
    """Note the sums of all files under a directory in it."""
    lines = [f"{digest}  {name}\n" for name, digest in _sums(directory).items()]
    write_whole(directory / SUMS, "".join(lines).encode())


def check_sums(directory: Path) -> None:
    """Raise ValueError, naming a file, where one is not as it was noted; nothing was noted by earlier versions."""
    if not (directory / SUMS).is_file():
        return
    now = _sums(directory)
    for line in (directory / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        if now.get(name) != digest:
            raise ValueError(f"{name or line} is not as it was written")


def _sums(directory: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file() and SUMS not in path.name):
        with path.open("rb") as file:
            found[path.relative_to(directory).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
