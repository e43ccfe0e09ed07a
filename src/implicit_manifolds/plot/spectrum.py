"""The spectrum that tells a codimension: medians of a denoiser's eigenvalues at the data, and the gap among them."""

import numpy as np
from matplotlib.figure import Figure

from ..ebim.dimension import Dimension
from .style import blank_figure


def plot_spectrum(found: Dimension) -> Figure:
    """The eigenvalues, the largest first, with those along normals and those along tangents told apart by their gap."""
    size = len(found.spectrum)
    figure = blank_figure(min(4.2 + 0.25 * size, 9.0), 3.2)
    axes = figure.subplots()
    place = np.arange(1, size + 1)
    normal = place <= found.codimension
    axes.stem(place[normal], found.spectrum[normal], linefmt="C0-", markerfmt="C0o", basefmt=" ", label="normal")
    axes.stem(place[~normal], found.spectrum[~normal], linefmt="C1-", markerfmt="C1s", basefmt=" ", label="tangent")
    axes.axvline(found.codimension + 0.5, color="0.4", linestyle=":", label=f"gap {found.gap:.2f}")
    axes.axhline(0, color="0.7", linewidth=0.8)
    axes.set_xticks(place if size <= 20 else place[:: size // 10])
    axes.set_xlabel("eigenvalue")
    axes.set_ylabel("median over the points")
    axes.set_title(f"codimension {found.codimension}, for {found.votes:.0%} of the points")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure
