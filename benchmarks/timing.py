"""How long a call takes."""

import time
from collections.abc import Callable

import jax
import numpy as np


def seconds_of(call: Callable, *arguments, repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of a call by a clock; the first, with its compilation, is left out."""
    jax.block_until_ready(call(*arguments))
    times = []
    for _ in range(repeats):
        started = clock()
        jax.block_until_ready(call(*arguments))
        times.append(clock() - started)
    return float(np.median(times))
