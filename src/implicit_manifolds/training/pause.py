"""Work in pieces: what keeps its state on disk stops there when its time is over, for another process to go on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..errors import Paused

CHUNKS, FINE = 20, 200
"""Chunks of a training, after each of which it is saved: usually, and where it may have to stop."""
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def stopping_after(seconds: float | int) -> Iterator[None]:
    """Within, trainings with a checkpoint directory raise `Paused` at the first state saved after so many seconds.

    They save their state ten times as often as otherwise.

    >>> from implicit_manifolds.training.pause import pause_if_late, stopping_after
    >>> with stopping_after(0):
    ...     pause_if_late()
    Traceback (most recent call last):
    implicit_manifolds.errors.Paused: ...
    """
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def chunk_number() -> int:
    """How many chunks a training with a checkpoint directory has."""
    return CHUNKS if _deadline.get() is None else FINE


def pause_if_late() -> None:
    """Raises `Paused` when the time of `stopping_after` is over; call it where what was done is on disk."""
    deadline = _deadline.get()
    if deadline is not None and time.monotonic() >= deadline:
        raise Paused("the time given is over; run the same command again to go on from what is saved")
