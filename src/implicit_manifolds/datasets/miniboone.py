"""MiniBooNE signal events, a subset: about half of them, those closest to the background."""

import numpy as np

from .download import fetch


def load_miniboone() -> np.ndarray:
    """Events (18744, 43) float64, each feature standardised to mean 0 and variance 1.

    Not the benchmark of Papamakarios et al. (2017), though with its preprocessing: events that are easy to tell from
    the background are missing. Raises DataUnavailable as `fetch` does; the file has no public address. Source: UCI
    MiniBooNE particle identification (Roe et al. 2005), CC BY 4.0.
    """
    with np.load(fetch("miniboone/miniboone_signal_subset.npz")) as file:
        events = file["x"].astype(np.float64)
    return (events - events.mean(axis=0)) / events.std(axis=0)
