"""In which form M is learned: as a zero set or as a ridge, by a rule where it is left open."""

from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from .._random import derived_keys, host_generator
from .._types import MDF, Array, Float, RandomKey
from ..box import Box, uniform_in_box
from ..manifold.ridge import Ridge
from ..tables import Stream
from ..training.loop import History
from ..volumes.atlas import draw_pool
from ..volumes.cover import cover
from ..volumes.emptiness import holes
from ..volumes.manifold import Manifold
from ..volumes.projected import projected
from .dimension import Dimension, dimension
from .holes import cut, filled
from .manifold import ManifoldConfig, fit_manifold
from .ridge import RidgeConfig, fit_ridge, held_out, mean_distance
from .survey import has_pools

Form = Literal["auto", "zero-set", "ridge"]
NO_FARTHER = 1.25
"""Mean distance of held-out points to a zero set, over that to the ridge, up to which the zero set is as good."""
NEAR = 0.001
"""In standardised units; a zero set no farther from held-out points than this is as good as any."""
BEYOND = 1.5
"""A zero is where no data are, if it is so many times as far from them as any ridge point that the box leads to."""
LARGER = 1.25
"""Volume of a zero set over that of the ridge up to which it may be the same surface."""
LOOKED, DRAWS = 1000, 20_000


class Learned(NamedTuple):
    """F, the history of its training, the dimension where it was looked for, and why F has its form ("" if asked)."""

    mdf: MDF
    history: History
    dimension: Dimension | None
    reason: str = ""


def fit_form(
    key: RandomKey,
    points: Float[Array, "points n"],
    codimension: int | None,
    box: Box,
    form: Form,
    zero_set: ManifoldConfig,
    ridge: RidgeConfig,
    stream: Stream | None = None,
    **options: Any,
) -> Learned:
    """F of the form asked for from `points` (N, n), standardised; `auto` is a ridge unless a zero set is as good.

    Where points are a sample of more, networks are trained on the stream of all, but for the last fit of a ridge.

    A zero set is tried where there is one constraint and the points have no edge, since {F = 0} of one F has two sides
    and no edge. It is taken, for its cheaper steps, where held-out points are no farther from it than `NEAR`, or
    `NO_FARTHER` times their distance from the ridge, it has no zeros where no data are (or no greater share than the
    ridge leaves out of the held-out points), and goes on over no abrupt holes. Where points are noisy their edges are
    not seen; then it must not be much larger than the ridge either. Raises InputError where no codimension is given
    and none is to be seen, and TrainingDiverged.
    """
    if form == "zero-set":
        seen = None
        if codimension is None:
            seen = dimension(key, points, ridge.denoising, stream=stream, **options)
            codimension = seen.codimension
        return Learned(*fit_manifold(key, points, codimension, box, zero_set, stream=stream, **options), seen)
    split_key, ridge_key, zero_key, look_key = derived_keys(key, 4)
    train, test = held_out(split_key, points)
    fit = fit_ridge(ridge_key, train, test, codimension, box, ridge, stream=stream, **options)
    sharp = fit.dimension.noise <= ridge.denoising.least_noise
    if sharp and has_pools(points.shape[1], fit.ridge.codimension):
        fit = cut(look_key, fit, test, **options)
        if not fit.ends:
            fit = fit._replace(ridge=filled(look_key, fit.ridge, train, box, ridge.neighbours))
    found = fit.ridge
    learned = Learned(found, fit.history, fit.dimension)
    if form == "ridge":
        return learned
    if reason := _no_zero_set(found, points.shape[1], fit.ends):
        return learned._replace(reason=f"a ridge, since {reason}")
    mdf, history = fit_manifold(zero_key, train, 1, box, zero_set, stream=stream, **options)
    judged_by = test if len(test) else train
    ours, other = (mean_distance(one, judged_by, box) for one in (mdf, found))
    beyond = _share_beyond(look_key, mdf, found, points, box)
    told = f"held-out points are {ours:.2g} from a zero set and {other:.2g} from a ridge"
    if ours > max(NO_FARTHER * other, NEAR):
        return learned._replace(reason=f"a ridge, since {told}")
    if beyond > 1 - projected(found, judged_by, box)[1].mean():
        return learned._replace(reason=f"a ridge, since {beyond:.1%} of a zero set's points are where no data are")
    if (empty := holes(look_key, Manifold(mdf, box), points)).abrupt.any():
        wide = empty.radii[empty.abrupt].max()
        return learned._replace(reason=f"a ridge, since a zero set goes on over a place without points {wide:.2g} wide")
    if not sharp and (larger := _larger(look_key, mdf, found, points, box)) > LARGER:
        return learned._replace(reason=f"a ridge, since a zero set is {larger:.2g} times as large")
    return Learned(mdf, history, fit.dimension, f"a zero set, since there is no edge and {told}")


def _no_zero_set(ridge: Ridge, dimension: int, ends: bool) -> str:
    """Why M cannot be a zero set of one function, "" if nothing is known against it."""
    if ridge.codimension > 1:
        return f"M has codimension {ridge.codimension}"
    if not has_pools(dimension, 1):
        return "whether M has an edge cannot be seen"
    # An edge of M where the points have none is a fault of the ridge, and no reason to keep it.
    return "the points have an edge" if ends else ""


def _larger(key: RandomKey, mdf: MDF, ridge: Ridge, points, box: Box) -> float:
    """Volume of a zero set over that of a ridge; infinite where there are no charts to tell it from.

    Around an edge, which noise hides, a zero set turns back and lies on both sides of the points.
    """
    sizes = []
    for one in (mdf, ridge):
        found, usable = projected(one, points, box)
        try:
            charted = cover(key, Manifold(one, box, found[usable]))
        except (ArithmeticError, ValueError):
            return np.inf
        sizes.append(draw_pool(key, charted, DRAWS).weights.sum())
    return float(sizes[0] / sizes[1])


def _share_beyond(key: RandomKey, mdf: MDF, ridge: Ridge, points, box: Box) -> float:
    """Share of a zero set's points, to which the box leads, farther from data than ridge points are."""
    noise, tree = uniform_in_box(host_generator(key), box.on_host(), LOOKED), KDTree(np.asarray(points))
    away = []
    for one in (mdf, ridge):
        found, usable = projected(one, noise, box)
        away.append(tree.query(found[usable])[0] if usable.any() else np.zeros(1))
    return float(np.mean(away[0] > BEYOND * away[1].max()))
