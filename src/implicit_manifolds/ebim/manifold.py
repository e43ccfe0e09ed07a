"""Step 1: a network F with {F = 0} through the data (Ross et al. 2023, §3.1)."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from scipy.spatial import KDTree

from .._loops import in_blocks
from .._pytree import pytree
from .._random import derived_keys, host_generator
from .._types import MDF, Array, Float, RandomKey, Vector
from ..box import Box, uniform_in_box
from ..mcmc.chains import advance
from ..mcmc.langevin import Langevin
from ..networks.mlp import MLP, start_as_sphere
from ..tables import Stream
from ..training import replay_buffer
from ..training.config import Network, TrainingConfig
from ..training.loop import History, train_afresh
from ..training.objective import Objective, RestartsObjective
from ..volumes.projected import BLOCK, projected
from .anchors import shuffled
from .manifold_loss import ResidualNorm, manifold_loss, pulled_norms, residual_norm

CHOICE_POINTS = 1000
SLACK = 1.15


@dataclass(frozen=True, kw_only=True)
class ManifoldConfig(TrainingConfig):
    """Step 1: the network F, its loss, and the ambient Langevin chains that find its stray zeros."""

    hidden: tuple[int, ...] = (64, 64, 64)
    restarts: int = 8  # networks warmed up side by side, of which the best is kept
    warmup_steps: int = 2000  # of the loss without negatives
    warmup_learning_rate: float = 0.01
    negative_weight: float = 0.3
    rank_weight: float = 1.0
    square_weight: float = 0.3
    minimum_singular_value: float = 1.0
    maximum_singular_value: float | None = None
    isometry_weight: float = 0.0  # of a penalty on all singular values, for many constraints
    residual_isometry_weight: float = 0.0  # of the same in the direction of F alone, which keeps ‖F‖ a distance
    isometry_points: int | None = None  # of each batch that the penalty is taken at; all unless given
    norm: ResidualNorm = "l2"
    negative_norm: ResidualNorm = "l2"
    langevin_steps: int = 20
    noise_scale: float = 0.1
    drift_scale: float | None = 10.0
    gradient_clip: float | None = 0.03
    replay_fraction: float = 0.95
    buffer_size: int = 10_000
    network: Network = field(default=None, repr=False)  # F, (n,) to (k,), in place of a perceptron; k is then its own


def _mdf_norm(kind, mdf: MDF, x: Vector):
    return residual_norm(mdf(x), kind)


@pytree
@dataclass(frozen=True, eq=False)
class ManifoldObjective(Objective):
    """Step 1: the MDF loss, with negatives from ambient Langevin chains on ‖F‖ inside the box.

    The box bounds fresh noise and finished chains. The memory is the replay buffer (size, n).
    """

    box: Box
    config: ManifoldConfig = field(metadata={"static": True})

    @property
    def _has_negatives(self) -> bool:
        return self.config.negative_weight != 0 or self.config.square_weight != 0

    def initial_memory(self, key: RandomKey, model) -> Float[Array, "size n"] | tuple[()]:
        """A buffer of uniform noise in the box; nothing where the loss has no negatives."""
        if not self._has_negatives:
            return ()
        return jnp.asarray(uniform_in_box(host_generator(key), self.box, self.config.buffer_size))

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """Negatives (batch, n), or None where their weights are zero; and the buffer with them pushed."""
        config = self.config
        if not self._has_negatives:
            return None, memory
        fresh_key, draw_key, chain_key = jax.random.split(key, 3)
        low, high = self.box
        fresh = jax.random.uniform(fresh_key, (batch_size, low.shape[0]), low.dtype, low, high)
        start = replay_buffer.draw(draw_key, memory, fresh, config.replay_fraction)
        energy = Partial(Partial(_mdf_norm, config.negative_norm), model)
        sampler = Langevin(energy, config.noise_scale, config.drift_scale, config.gradient_clip)
        states, _ = advance(chain_key, sampler, jax.vmap(sampler.init)(start), config.langevin_steps)
        finished = self.box.clip(states.position)
        return finished, replay_buffer.push(memory, finished)

    def loss(self, key: RandomKey, model, batch, negatives):
        """`manifold_loss` with this objective's weights."""
        config = self.config
        return manifold_loss(
            key,
            model,
            batch,
            negatives,
            negative_weight=config.negative_weight,
            rank_weight=config.rank_weight,
            square_weight=config.square_weight,
            minimum_singular_value=config.minimum_singular_value,
            maximum_singular_value=config.maximum_singular_value,
            isometry_weight=config.isometry_weight,
            isometry_points=config.isometry_points,
            residual_isometry_weight=config.residual_isometry_weight,
            norm=config.norm,
            negative_norm=config.negative_norm,
        )


def fit_manifold(
    key: RandomKey,
    points: Float[Array, "points n"],
    codimension: int,
    box: Box,
    config: ManifoldConfig = ManifoldConfig(),
    *,
    stream: Stream | None = None,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[MDF, History]:
    """Step 1: learn F with {F = 0} through `points` (N, n), standardised; returns F and the history.

    A warm-up without negatives comes first. Where data are sparse, negatives from the start open the manifold
    (they are most often just there), while F alone closes it smoothly; what it leaves are stray zeros, which
    `config.restarts` networks side by side and a choice among them (`nearest_fit`) avoid, and the negatives of the
    main training remove; that is on the stream of all points, where they are a sample. Raises TrainingDiverged.
    """
    model_key, warm_key, choice_key, train_key = derived_keys(key, 4)
    sizes = (points.shape[1], *config.hidden, codimension)
    models = _initial_networks(model_key, config.network, sizes, config.restarts)
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    if config.warmup_steps:
        calm = replace(
            config,
            negative_weight=0.0,
            square_weight=0.0,
            num_steps=config.warmup_steps,
            learning_rate=config.warmup_learning_rate,
            optimizer=None,
        )
        objective = RestartsObjective(ManifoldObjective(box, calm), config.restarts)
        models = train_afresh("warm-up", warm_key, models, objective, points, calm, **options)[0].model
    mdf = nearest_fit(choice_key, models, shuffled(choice_key, points)[:CHOICE_POINTS], box)
    full = ManifoldObjective(box, config)
    seen = points if stream is None else stream
    state, history = train_afresh("manifold", train_key, mdf, full, seen, config, **options)
    return state.model, history


@partial(jax.jit, static_argnames=("network", "sizes", "count"))
def _initial_networks(key, network, sizes, count):
    """`count` networks of the same sizes, or of one's own, stacked along a leading axis.

    With one constraint half of them start as spheres. Those have one sign all round, hence seldom stray sheets between
    parts of the manifold; the others, smoother at the start, close better where data are sparse.
    """
    if network is not None:
        return jax.vmap(lambda key: network(nnx.Rngs(key)))(jax.random.split(key, count))
    spheres = count // 2 if sizes[-1] == 1 else 0

    def initial(key, sphere):
        network = MLP(sizes, rngs=nnx.Rngs(key))
        if not spheres:
            return network
        return jax.tree.map(lambda a, b: jnp.where(sphere, a, b), start_as_sphere(network), network)

    return jax.vmap(initial)(jax.random.split(key, count), jnp.arange(count) < spheres)


def nearest_fit(key: RandomKey, models, data: Float[Array | np.ndarray, "points n"], box: Box) -> MDF:
    """Of the stacked models whose zeros in the box and data (N, n) are near to each other, the best conditioned.

    A model's misfit is the root mean square distance from data to the zeros they project to, plus the mean distance
    from zeros (noise, projected) to data: stray zeros count by share and remoteness. A point that reaches no zero
    counts as far as the box is wide. Among those within `SLACK` of the least misfit the one with the largest ratio of
    least to largest singular value of J on its zeros is taken: where that is small, sheets are about to tear or join.
    """
    data = np.asarray(data)
    noise = uniform_in_box(host_generator(key), box, len(data))
    width = float(np.linalg.norm(box[1] - box[0]))
    tree = KDTree(data)

    def judged(mdf) -> tuple[float, float]:
        reached, usable = projected(mdf, data, box)
        to_zeros = np.where(usable, np.linalg.norm(reached - data, axis=1), width)
        zeros, usable = projected(mdf, noise, box)
        if not usable.any():
            return 2 * width, 0.0
        misfit = float(np.sqrt((to_zeros**2).mean()) + tree.query(zeros[usable])[0].mean())
        values = in_blocks(lambda rows: _pulled_norms(mdf, rows, key), zeros, BLOCK)[usable]
        return misfit, float(values.min() / values.max())

    models = jax.device_get(models)
    members = [jax.tree.map(lambda leaf, row=row: leaf[row], models) for row in range(_count(models))]
    misfits, ratios = np.transpose([judged(member) for member in members])
    chosen = int(np.argmax(np.where(misfits <= SLACK * misfits.min(), ratios, -1.0)))
    return jax.tree.map(jnp.asarray, members[chosen])


def _count(stacked) -> int:
    return jax.tree.leaves(stacked)[0].shape[0]


@jax.jit
def _pulled_norms(mdf, points, key):
    return pulled_norms(key, mdf, points)[0]
