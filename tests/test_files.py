"""Files are whole or not there, locks are let go at death, and bits that flipped are seen."""

import os
import subprocess
import sys
import time

import pytest

from implicit_manifolds import InputError
from implicit_manifolds._files import locked, write_whole
from implicit_manifolds.training.checksums import SUMS, check_sums, write_sums

HOLDER = """
import sys, time
from pathlib import Path
from implicit_manifolds._files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    mask = os.umask(0o077)
    write_whole(path, b"before")
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["table.csv"]
    write_whole(path, b"after")
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_lock_keeps_others_out_until_its_process_is_killed(tmp_path):
    lock = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another process is at work"), locked(lock):
            pass
        holder.kill()
    deadline = time.monotonic() + 10
    while True:
        try:
            with locked(lock), locked(tmp_path / "other"):
                return
        except InputError:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_files_that_changed_are_named(damage, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"some bytes")
    check_sums(tmp_path)  # nothing was noted
    write_sums(tmp_path)
    check_sums(tmp_path)
    assert len((tmp_path / SUMS).read_text().splitlines()) == 2
    file = tmp_path / "in" / "b"
    {"flipped": lambda: file.write_bytes(b"some byteS"), "cut": lambda: file.write_bytes(b"some"), "gone": file.unlink}[
        damage
    ]()
    with pytest.raises(ValueError, match="in/b is not as it was written"):
        check_sums(tmp_path)
