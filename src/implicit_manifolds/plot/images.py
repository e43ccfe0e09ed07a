"""Grids of images, grey or in colour."""

import math

import numpy as np
from matplotlib.figure import Figure

from .._types import Float
from .style import blank_figure

INCH = 0.45
"""Side of one image on the page."""


def plot_images(
    images: Float[np.ndarray, "N pixels"], columns: int = 10, titles: list[str] | None = None, signed: int | None = None
) -> Figure:
    """Square images (N, side²), row by row, white where they are 0 and black where they are 1 or more; or in colour.

    Those of (N, 3 side²) are in colour, red, green and blue of a pixel beside each other, clipped to [0, 1]. titles: of
    rows, at their left. signed: columns from this one on show directions, each on its own scale: blue below zero and
    red above, of colours grey where they are zero.
    """
    channels = 1 if math.isqrt(images.shape[1]) ** 2 == images.shape[1] else 3
    side = math.isqrt(images.shape[1] // channels)
    rows = -(-len(images) // columns)
    margin = 0.0 if titles is None else 0.11 * max(len(title) for title in titles)
    figure = blank_figure(margin + INCH * columns, INCH * rows, layout=None)
    for row in range(rows):
        for column, image in enumerate(images[row * columns : (row + 1) * columns]):
            size = (INCH / figure.get_figwidth(), 1 / rows)
            axes = figure.add_axes((margin / figure.get_figwidth() + column * size[0], 1 - (row + 1) / rows, *size))
            axes.axis("off")
            direction = signed is not None and column >= signed
            limit = np.abs(image).max() if direction else 1
            colours, least = ("RdBu_r", -limit) if direction else ("gray_r", 0)
            if channels == 1:
                axes.imshow(image.reshape(side, side), colours, vmin=least, vmax=limit)
            else:
                shown = (image + limit) / (2 * limit) if direction else image
                axes.imshow(np.clip(shown, 0, 1).reshape(side, side, channels))
        if titles is not None:
            figure.text(0.01, 1 - (row + 0.5) / rows, titles[row], va="center", fontsize=9)
    return figure
