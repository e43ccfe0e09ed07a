"""The figure that fits a model."""

from matplotlib.figure import Figure

from .._types import RandomKey
from ..ebim.model import EBIM
from ..ebim.verbs import sample
from .cloud import plot_cloud
from .curves import plot_curve
from .pairs import plot_pairs
from .surfaces import plot_surface

NUM_SAMPLES = 1000


def plot_model(key: RandomKey, model: EBIM, points=None, title: str | None = None) -> Figure:
    """The model as a curve or a surface where it is one, else as even points, or pairs of coordinates of samples.

    Even points where it has charts in two or three coordinates; they and samples are drawn with `key`.
    points (N, n): data to draw with it, in data units. Raises InputError.
    """
    manifold = model.manifold
    if manifold.signed and manifold.ambient_dimension == 2:
        return plot_curve(model, points, title=title)
    surface = manifold.codimension == 1 and manifold.ambient_dimension == 3
    if surface and (manifold.signed or manifold.atlas is not None):
        return plot_surface(model, points, title)
    if model.log_normalizer is not None and manifold.ambient_dimension in (2, 3):
        return plot_cloud(key, model, points, title)
    return plot_pairs(sample(key, model, NUM_SAMPLES).points, points, title)
