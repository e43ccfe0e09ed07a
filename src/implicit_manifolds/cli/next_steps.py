"""What to do about a fit that may be wrong, one line for each doubt."""

from collections.abc import Iterator

import numpy as np

from ..certificate.topology import Topology
from ..ebim.dimension import CLEAR_GAP
from ..ebim.fit import Fit
from ..ebim.verbs import NearestPoints

FEW, MANY, UNSURE = 0.01, 0.1, 0.05
"""Shares of points that reach no nearest one, and that repeat others; and a standard error of log Z, that are told."""


def next_steps(fit: Fit, points: np.ndarray, near: NearestPoints, found: Topology | None) -> Iterator[str]:
    """Advice on a fit, given some of its points (N, n), their nearest ones, and its certificate if it has one."""
    wider = "--ridge.denoising.hidden 128 128 128" if fit.dimension is not None else "--zero-set.hidden 128 128 128"
    missed = 1 - near.converged.mean()
    if missed > FEW:
        other = "zero-set" if fit.reason.startswith("a ridge") else "ridge"
        yield f"{missed:.0%} of the points reach no nearest point: try --manifold {other}, or more width ({wider})"
    if found is not None and not found.settled:
        yield f"the topology is not settled: more points, more width ({wider}), or another --seed would tell"
    repeats = 1 - len(np.unique(points, axis=0)) / len(points)
    if repeats > MANY:
        yield f"{repeats:.0%} of the rows repeat others, and a density has no atoms: drop them, or undo their rounding"
    if fit.dimension is not None and fit.dimension.gap < CLEAR_GAP:
        yield f"the gap in the spectrum is {fit.dimension.gap:.2f} of 1: give --codimension if you know it, or {wider}"
    normalizer = fit.model.log_normalizer
    if normalizer is None:
        yield "densities have no normaliser: energies compare points only"
    elif normalizer.standard_error > UNSURE:
        yield f"log Z is known to {normalizer.standard_error:.2g} only: try another --energy-loss"
