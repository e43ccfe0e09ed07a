"""What to do about a fit that may be wrong, one line for each doubt."""

from collections.abc import Iterator

from ..diagnosis.diagnose import Diagnosis
from ..ebim.dimension import CLEAR_GAP
from ..ebim.fit import Fit
from ..findings import sentences


def next_steps(fit: Fit, found: Diagnosis) -> Iterator[str]:
    """Advice on a fit: what a look at it found, and what its spectrum leaves open."""
    yield from sentences(found.findings)
    wider = "--ridge.denoising.hidden 128 128 128" if fit.dimension is not None else "--zero-set.hidden 128 128 128"
    doubted = {"points without a nearest one", "farthest group of points", "certificate settled"}
    if doubted & {one.name for one in found.wrong}:
        other = "zero-set" if fit.reason.startswith("a ridge") else "ridge"
        yield f"try --manifold {other}, more width ({wider}), or another --seed"
    if fit.dimension is not None and fit.dimension.gap < CLEAR_GAP:
        yield f"the gap in the spectrum is {fit.dimension.gap:.2f} of 1: give --codimension if you know it, or {wider}"
