"""Pictures that the command writes."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .._types import RandomKey
from ..coordinates import Coordinates
from ..ebim import storage
from ..ebim.model import EBIM
from ..ebim.verbs import sample
from ..errors import InputError
from ..plot.model import NUM_SAMPLES, plot_model
from ..plot.pairs import plot_pairs
from .tables import refuse_unwritable


def refuse_picture(out: Path) -> None:
    """Raise InputError where no picture can be written to `out`, before any work is done."""
    if out.suffix != ".png":
        raise InputError(f"{out} must end in .png")
    storage.refuse_existing(out)
    refuse_unwritable(out)


def save_picture(figure: Figure, out: Path) -> None:
    """Write a figure, and say so."""
    figure.savefig(out, dpi=150)
    print(f"figure written to {out}")


def picture_of(key: RandomKey, model: EBIM, coordinates: Coordinates, values: np.ndarray | None) -> Figure:
    """A model beside points (N, c) in the user's columns, which stay the axes where they are no coordinates of R^n."""
    if coordinates.plain:
        return plot_model(key, model, values)
    drawn = coordinates.restore(sample(key, model, NUM_SAMPLES).points)
    return plot_pairs(drawn, values, names=coordinates.names)
