"""Points of the Lorenz attractor (Lorenz 1963; Brehmer & Cranmer 2020, §4.3)."""

import numpy as np
from scipy.integrate import solve_ivp

from .._types import Float

SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3
TRAJECTORIES, TRANSIENT, END = 100, 50.0, 150.0


def lorenz_attractor(random: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """`count` points at random times, after a transient, of trajectories from (1, 1, 1) + 0.1 N(0, I)."""
    starts = 1 + 0.1 * random.normal(size=(3, TRAJECTORIES))
    times = np.sort(random.uniform(TRANSIENT, END, -(-count // TRAJECTORIES)))
    found = solve_ivp(lorenz_field, (0, END), starts.ravel(), t_eval=times)
    return random.permutation(found.y.reshape(3, -1).T)[:count]


def lorenz_field(time: float, state: np.ndarray) -> np.ndarray:
    """The velocity of states (3 · trajectories,), coordinate by coordinate."""
    x, y, z = state.reshape(3, -1)
    return np.concatenate([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z])
