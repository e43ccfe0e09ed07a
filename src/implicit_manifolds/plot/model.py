"""The figure that fits a model."""

from matplotlib.figure import Figure

from .._types import RandomKey
from ..ebim.model import EBIM, sample
from .curves import plot_curve
from .pairs import plot_pairs
from .surfaces import plot_surface

NUM_SAMPLES = 1000


def plot_model(key: RandomKey, model: EBIM, points=None, title: str | None = None) -> Figure:
    """The model as a curve or a surface where it is one, else pairs of coordinates of samples drawn with `key`.

    points (N, n): data to draw with it, in data units. Raises InputError.
    """
    shape = model.manifold.codimension, model.manifold.ambient_dimension
    if shape == (1, 2):
        return plot_curve(model, points, title=title)
    if shape == (1, 3):
        return plot_surface(model, points, title)
    return plot_pairs(sample(key, model, NUM_SAMPLES).points, points, title)
