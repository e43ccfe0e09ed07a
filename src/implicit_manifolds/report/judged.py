"""How near given points are to a model, and how likely, beside a kernel density on the same manifold."""

from typing import NamedTuple

import numpy as np

from .._random import host_generator
from .._types import Float, RandomKey
from ..ebim.kernels import MAX_CENTRES, held_out_densities, masses, mixture_weights
from ..ebim.members import folds
from ..ebim.model import EBIM
from ..ebim.verbs import Densities, log_density, log_volume_scale, nearest_points
from ..volumes.atlas import draw_pool

FOLDS, DRAWS = 5, 20_000


class Judged(NamedTuple):
    """Of points (N, n): their scores; and mean negative log-densities with standard errors, the model's and a kernel's.

    The kernel density is that of the other folds of the same points, None without charts or normaliser.
    """

    scores: Densities
    model: tuple[float, float] | None
    kernel: tuple[float, float] | None


def judged(key: RandomKey, model: EBIM, points: Float[np.ndarray, "N n"]) -> Judged:
    """Scores of points in data units, and a kernel density's beside them, chosen and judged by cross-validation."""
    scores = log_density(model, points)
    good = scores.converged & np.isfinite(scores.log_density)
    if model.log_normalizer is None or good.sum() < 10 * FOLDS:
        return Judged(scores, None, None)
    ours = _mean(-scores.log_density[good])
    if model.manifold.atlas is None:
        return Judged(scores, ours, None)
    near = nearest_points(model, points[good]).points
    standard = np.asarray(model.scaling.standardize(near))[:MAX_CENTRES]
    fold = folds(host_generator(key), standard, FOLDS)
    dimension = model.manifold.dimension
    mass = masses(standard, dimension, draw_pool(key, model.manifold, DRAWS))
    each = held_out_densities(standard, fold, dimension) / mass
    logs = np.log(each @ mixture_weights(each) + np.finfo(float).tiny) - log_volume_scale(model, standard)
    return Judged(scores, ours, _mean(-logs))


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))
