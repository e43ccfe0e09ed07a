"""Step 1 by a ridge: a field F = x - r(x) learned by denoising, whose ridge runs through the data; no Markov chains."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._loops import over_points
from .._pytree import pytree
from .._random import derived_keys, host_generator
from .._types import MDF, Array, Float, Int, Number, RandomKey, Scalar, Vector
from ..box import Box
from ..manifold.ridge import Ridge, value_and_derivative
from ..manifold.spectrum import descending_eigh
from ..tables import Stream
from ..training.config import TrainingConfig
from ..training.loop import History, train_afresh
from ..training.objective import Objective, Terms
from ..volumes.projected import projected
from .dimension import DenoisingConfig, Dimension, denoise, denoised, denoising_loss, sure
from .neighbourhoods import neighbourhoods, outward_steps

ROWS = 512
ANCHORS = 4096
LEAST_HELD_OUT = 500
HELD_OUT = 0.1, 1000
"""Share of the points that fits of different sizes are compared by, at most so many; none where points are fewer than
`LEAST_HELD_OUT`."""
GAIN, FEW = 0.8, 0.05
BETWEEN, PLACES = (0.25, 0.5), 20_000
EDGE, FARTHEST = 1.2, 0.001
"""M reaches to where ‖F‖ is so many times what it is at most at places on the way between neighbours, no more than
`PLACES`, but for such a share of them."""
CLOSEST, WIDEST = 4.0, 256
"""The last weight of the data where they are noisy; and the width beyond which networks are made no wider."""


@dataclass(frozen=True, kw_only=True)
class RidgeConfig(TrainingConfig):
    """Step 1 by a ridge: the field, how it is denoised, and how it is then fitted to the data.

    Lengths are in standardised units.
    """

    denoising: DenoisingConfig = field(default_factory=DenoisingConfig)  # the network, and what it starts from
    num_steps: int = 3000  # after these, to fit the field to the data
    batch_size: int = 256
    learning_rate: float = 0.01
    clip_norm: float | None = 10.0
    first_weight: float = 2.0  # of the data beside what holds off them, growing geometrically
    last_weight: float = 60.0
    rank_weight: float = 2.0
    softening: float = 0.03  # distance from the data below which errors count absolutely
    neighbours: int = 9  # that give first normals, or four for each dimension
    gap: float = 0.25
    least_reach: float = 0.03
    near_enough: float = 0.0025  # mean held-out distance at which no larger network is tried
    doublings: int = 3  # of steps, the first of width too, tried while held-out points are farther than that


def far_loss(model: Callable, points: Float[Array, "batch n"], data: Float[Array, "N n"], softening: Number) -> Scalar:
    """Mean of ‖F(x) - (x - x*)‖² / (‖x - x*‖² + s²), x* the datum nearest to x, s the softening."""
    squared = jnp.sum(data**2, axis=1)[None] - 2 * points @ data.T
    away = points - data[jnp.argmin(squared, axis=1)]
    error = jnp.sum((jax.vmap(model)(points) - away) ** 2, axis=1)
    return jnp.mean(error / (jnp.sum(away**2, axis=1) + softening**2))


def first_order_distance(model: Callable, x: Vector, projector: Float[Array, "n n"]) -> Scalar:
    """√(‖P F‖² / (‖DFᵀu‖² + .01) + ‖(1 - P) F‖²), u = P F / ‖P F‖ held fixed: a distance, so a flat F is no gain."""
    value, pull = jax.vjp(model, x)
    normal = projector @ value
    size = jnp.sum(normal**2)
    unit = jax.lax.stop_gradient(normal / jnp.sqrt(size + jnp.finfo(x.dtype).tiny))
    slope = jnp.sum(pull(unit)[0] ** 2)
    return jnp.sqrt(size / (slope + 0.01) + jnp.sum((value - normal) ** 2) + jnp.finfo(x.dtype).eps ** 2)


class RidgeMemory(NamedTuple):
    """Projectors on the normals of M at the data (N, n, n), and the number of updates."""

    projectors: Float[Array, "N n n"]
    step: Int[Array, ""]


@pytree
@dataclass(frozen=True, eq=False)
class RidgeObjective(Objective):
    """The field fitted to data whose normals are known, and held to displacements elsewhere.

    (denoising + far + c · rank) / w + distance, w growing: `denoising_loss`, `far_loss` in the box, ‖DF - P‖² and
    `first_order_distance` at the data. P are projectors at the data (N, n): `first` (N, n, n) in the first half of
    training, from half-way on the field's own where it has a gap.
    """

    data: Float[Array, "N n"]
    first: Float[Array, "N n n"]
    near: Int[Array, "N q"]
    edges: tuple[Float[Array, "e n"], Float[Array, "e n"]]
    box: Box
    codimension: int = field(metadata={"static": True})
    config: RidgeConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model) -> RidgeMemory:
        """The first projectors."""
        return RidgeMemory(self.first, jnp.zeros((), jnp.int32))

    def sample(self, key: RandomKey, model, memory: RidgeMemory, batch_size: int):
        """The memory, for the loss, and the same one update later."""
        return memory, memory._replace(step=memory.step + 1)

    def refresh(self, key: RandomKey, model, memory: RidgeMemory) -> RidgeMemory:
        """The field's own projectors, once half of the updates are done."""
        if 2 * int(memory.step) < self.config.num_steps:
            return memory
        return memory._replace(projectors=_own_projectors(self, model))

    def loss(self, key: RandomKey, model, batch, negatives: RidgeMemory) -> Terms:
        """The weighted sum, and its terms."""
        config, (points, rows) = self.config, batch
        noise_key, box_key, data_key, pick_key, share_key = jax.random.split(key, 5)
        half, quarter = len(points) // 2, len(points) // 4
        normals = negatives.projectors[rows]
        noise = config.denoising.least_noise, config.denoising.most_noise
        denoising, terms = denoising_loss(noise_key, model, points, *noise)
        low, high = self.box
        wide = jax.random.uniform(box_key, (quarter, points.shape[1]), points.dtype, low, high)
        if len(self.edges[0]):
            wide = jnp.concatenate([wide, _beyond(jax.random.fold_in(box_key, 1), self.edges, quarter)])
        anchors = self.data
        if len(anchors) > ANCHORS:
            anchors = anchors[jax.random.randint(data_key, (ANCHORS,), 0, len(anchors))]
        far = far_loss(model, wide, anchors, config.softening)
        # Along chords to neighbours as well: M does not end between them, however few they are.
        pick, share = (
            jax.random.randint(pick_key, (half,), 0, self.near.shape[1]),
            jax.random.uniform(share_key, (half, 1)),
        )
        other = self.data[self.near[rows[:half], pick]]
        along = points[:half] + share * (other - points[:half])
        _, derivative = jax.vmap(value_and_derivative, (None, 0))(model, along)
        rank = jnp.mean(jnp.sum((derivative - normals[:half]) ** 2, axis=(1, 2)))
        distance = jnp.mean(jax.vmap(first_order_distance, (None, 0, 0))(model, points, normals))
        weight = config.first_weight * (config.last_weight / config.first_weight) ** (negatives.step / config.num_steps)
        terms |= {"far": far, "rank": rank, "distance": distance}
        return (denoising + far + config.rank_weight * rank) / weight + distance, terms


def _beyond(key, edges, count: int):
    """Points beyond edges, from somewhere on a step out of each."""
    starts, steps = edges
    row = jax.random.randint(key, (count,), 0, len(starts))
    return starts[row] + jax.random.uniform(jax.random.fold_in(key, 0), (count, 1), starts.dtype) * steps[row]


@jax.jit
def _own_projectors(objective: RidgeObjective, model):
    """Projectors on the field's own normals at the data where it has a gap there, else the first ones."""
    rank = objective.codimension

    def own(row):
        x, first = row
        derivative = value_and_derivative(model, x)[1]
        values, vectors = descending_eigh((derivative + derivative.T) / 2)
        normal = vectors[:, :rank]
        return jnp.where(values[rank - 1] - values[rank] >= objective.config.gap, normal @ normal.T, first)

    return jax.lax.map(own, (objective.data, objective.first), batch_size=ROWS)


class RidgeFit(NamedTuple):
    """A ridge, the history of its training, what its spectrum said, and what it was trained for."""

    ridge: Ridge
    history: History
    dimension: Dimension
    objective: RidgeObjective

    @property
    def ends(self) -> bool:
        """Whether the points have an edge; where they are noisy none is sharp, and it is not looked for."""
        return len(self.objective.edges[0]) > 0


def held_out(
    key: RandomKey, points: Float[Array, "points n"]
) -> tuple[Float[Array, "train n"], Float[Array, "test n"]]:
    """Points to train with, and those that fits are compared by: none where there are few."""
    order = host_generator(key).permutation(len(points))
    held = min(int(HELD_OUT[0] * len(points)), HELD_OUT[1]) if len(points) >= LEAST_HELD_OUT else 0
    return points[order[held:]], points[order[:held]]


def fit_ridge(
    key: RandomKey,
    points: Float[Array, "points n"],
    test: Float[Array, "test n"],
    codimension: int | None,
    box: Box,
    config: RidgeConfig = RidgeConfig(),
    *,
    stream: Stream | None = None,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> RidgeFit:
    """Step 1: a field whose ridge runs through `points` (N, n), standardised.

    First the field is denoised, from the least noise at which its spectrum has a gap, on the stream of all points where
    these are a sample; codimension k is where the gap is, unless given. Then it is fitted to the points, their noise
    the less smoothed the less there is. `test` points say whether a wider network, and then a longer fit, is worth
    trying. Raises TrainingDiverged, and InputError where no codimension is given and the spectrum has no gap.
    """
    best: tuple[float, RidgeFit] | None = None
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    hidden = config.denoising.hidden
    for size, size_key in enumerate(derived_keys(key, config.doublings + 1)):
        denoising = replace(config.denoising, hidden=hidden)
        grown = replace(config, denoising=denoising, num_steps=config.num_steps << size)
        first_key, second_key = derived_keys(size_key, 2)
        first = {"stream": stream, **options}
        objective, model, found = _prepared(first_key, points, codimension, box, grown, size, first)
        ridge, history = trained(f"ridge {size}", second_key, model, objective, options)
        if size == 0:
            hidden = tuple(max(width, min(2 * width, WIDEST)) for width in ridge.field.hidden)
        distance = mean_distance(ridge, test, box, FEW)
        # A wider network costs every step on M, a longer fit nothing later.
        gained = best is None or distance < (GAIN if size == 1 else 1.0) * best[0]
        if gained:
            best = distance, RidgeFit(ridge, history, found, objective)
        if not gained or distance <= config.near_enough or found.noise > config.denoising.least_noise:
            break
    assert best is not None
    return best[1]


def _prepared(
    key: RandomKey, points, codimension: int | None, box: Box, config: RidgeConfig, size: int, options
) -> tuple[RidgeObjective, Any, Dimension]:
    """A field that denoises, of one size, what it is to be trained for, and what its spectrum said."""
    denoising = config.denoising
    denoise_here = denoise if size else denoised  # what the first found out about width and noise stands
    model, found = denoise_here(key, points, denoising, name=f"denoising {size}", **options)
    rank = sure(found).codimension if codimension is None else codimension
    # Noisy data are followed less closely: a ridge through every one of them would be rough.
    last = max(config.last_weight * (denoising.least_noise / found.noise) ** 2, CLOSEST)
    config = replace(config, last_weight=last, denoising=replace(denoising, least_noise=found.noise))
    host = np.asarray(points, np.float64)
    around = neighbourhoods(host, rank, config.neighbours)
    starts, steps = (jnp.asarray(one, points.dtype) for one in outward_steps(host, around))
    # Where data are noisy no edge is sharp, and a point beside the others is none.
    sharp = slice(None if found.noise <= denoising.least_noise else 0)
    edges = starts[sharp], steps[sharp]
    first, near = jnp.asarray(around.projectors, points.dtype), jnp.asarray(around.near)
    return RidgeObjective(points, first, near, edges, box, rank, config), model, found


def trained(name: str, key: RandomKey, model, objective: RidgeObjective, options) -> tuple[Ridge, History]:
    """The ridge of a field that was trained for an objective, ended beyond its data."""
    points, config = objective.data, objective.config
    rows = jnp.asarray(np.arange(max(len(points), config.batch_size)) % len(points))
    state, history = train_afresh(name, key, model, objective, (points[rows], rows), config, **options)
    return _ended(Ridge(state.model, objective.codimension, config.gap), points, objective.box, config), history


def mean_distance(mdf: MDF, points: Float[Array, "N n"], box: Box, few: float = 0.0) -> float:
    """Mean distance to M of points; one that does not reach it is as far as the box is wide.

    few: share of the farthest that are left out: beyond M's edge, perhaps.
    """
    if not len(points):
        return 0.0
    found, usable = projected(mdf, points, box)
    away = np.linalg.norm(found - np.asarray(points), axis=1)
    away = np.sort(np.where(usable, away, np.linalg.norm(box.high - box.low)))
    return float(away[: math.ceil((1 - few) * len(away))].mean())


def _ended(ridge: Ridge, points, box: Box, config: RidgeConfig) -> Ridge:
    """With its reach: ‖F‖ somewhat beyond its largest on the way from data to neighbours, but for a few."""
    host = np.asarray(points)
    near = neighbourhoods(host.astype(np.float64), ridge.codimension, config.neighbours).near
    between = np.concatenate([share * host[near] + (1 - share) * host[:, None] for share in BETWEEN])
    between = between.reshape(-1, host.shape[1])
    if len(between) > PLACES:
        between = between[np.random.default_rng(0).choice(len(between), PLACES, replace=False)]
    found, usable = projected(ridge, between, box)
    reach = config.least_reach
    if usable.any():
        reach = max(reach, EDGE * float(np.quantile(over_points(field_norm, ridge.field, found[usable]), 1 - FARTHEST)))
    return replace(ridge, reach=jnp.asarray(reach, points.dtype))


def field_norm(field: Any, x: Vector) -> Scalar:
    """‖F(x)‖."""
    return jnp.linalg.norm(field(x))
