"""Figures of a model: curves, surfaces, pairs of coordinates, training curves; the caller saves them."""

from .cloud import plot_cloud as plot_cloud
from .curves import plot_curve as plot_curve
from .images import plot_images as plot_images
from .model import plot_model as plot_model
from .pairs import plot_pairs as plot_pairs
from .spectrum import plot_spectrum as plot_spectrum
from .surfaces import plot_surface as plot_surface
from .training import plot_history as plot_history
