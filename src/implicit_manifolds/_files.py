"""Files that appear whole or not at all, and a lock that is let go when its process ends, however it does."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in place of any that is there; whoever reads it meanwhile sees the one or the other."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with scratch.open("xb") as file:  # readable by whom the user's umask allows
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            scratch.chmod(path.stat().st_mode & 0o777)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on `path`, a file that is made for it; InputError where another process does.

    The system lets go of it when the process ends, by kill -9, too. Where there is no `fcntl`, nothing is locked.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is at work in {path.parent}; wait for it, or name another") from error
        yield
