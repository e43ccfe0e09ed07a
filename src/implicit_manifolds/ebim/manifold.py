"""Step 1: a network F with {F = 0} through the data (Ross et al. 2023, §3.1)."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from scipy.spatial import KDTree

from .._loops import in_blocks
from .._random import Box, derived_keys, host_generator, uniform_in_box
from .._types import MDF, Array, Float, RandomKey, Vector
from ..mcmc.chains import advance
from ..mcmc.langevin import Langevin
from ..networks.mlp import MLP, start_as_sphere
from ..training import replay_buffer
from ..training.loop import History, train_afresh
from ..training.objective import RestartsObjective
from .anchors import BLOCK, _projected
from .manifold_loss import ResidualNorm, manifold_loss, residual_norm, singular_values

CHOICE_POINTS = 1000
SLACK = 1.15


@dataclass(frozen=True)
class ManifoldConfig:
    """Step 1: the network F, its loss, and the ambient Langevin chains that find its stray zeros."""

    hidden: tuple[int, ...] = (64, 64, 64)
    restarts: int = 8  # networks warmed up side by side, of which the best is kept
    warmup_steps: int = 2000  # of the loss without negatives
    warmup_learning_rate: float = 0.01
    num_steps: int = 1000
    batch_size: int = 100
    learning_rate: float = 0.003
    decay: bool = True  # cosine, to zero
    clip_norm: float | None = None
    negative_weight: float = 0.3
    rank_weight: float = 1.0
    square_weight: float = 0.3
    minimum_singular_value: float = 1.0
    maximum_singular_value: float | None = None
    isometry_weight: float = 0.0  # of a penalty on all singular values, for many constraints
    isometry_points: int | None = None  # of each batch that the penalty is taken at; all unless given
    norm: ResidualNorm = "l2"
    negative_norm: ResidualNorm = "l2"
    langevin_steps: int = 20
    noise_scale: float = 0.1
    step_size: float | None = 10.0
    gradient_clip: float | None = 0.03
    replay_fraction: float = 0.95
    buffer_size: int = 10_000


def _mdf_norm(kind, mdf: MDF, x: Vector):
    return residual_norm(mdf(x), kind)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ManifoldObjective:
    """Step 1: the MDF loss, with negatives from ambient Langevin chains on ‖F‖ inside the box.

    low, high (n,): the box that bounds fresh noise and finished chains. The memory is the replay buffer
    (size, n).
    """

    low: Vector
    high: Vector
    config: ManifoldConfig = field(metadata={"static": True})

    @property
    def _has_negatives(self) -> bool:
        return self.config.negative_weight != 0 or self.config.square_weight != 0

    def initial_memory(self, key: RandomKey, model) -> Float[Array, "size n"] | tuple[()]:
        """A buffer of uniform noise in the box; nothing where the loss has no negatives."""
        if not self._has_negatives:
            return ()
        return jnp.asarray(uniform_in_box(host_generator(key), (self.low, self.high), self.config.buffer_size))

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """Negatives (batch, n), or None where their weights are zero; and the buffer with them pushed."""
        config = self.config
        if not self._has_negatives:
            return None, memory
        fresh_key, draw_key, chain_key = jax.random.split(key, 3)
        shape = (batch_size, self.low.shape[0])
        fresh = jax.random.uniform(fresh_key, shape, self.low.dtype, self.low, self.high)
        start = replay_buffer.draw(draw_key, memory, fresh, config.replay_fraction)
        energy = Partial(Partial(_mdf_norm, config.negative_norm), model)
        sampler = Langevin(energy, config.noise_scale, config.step_size, config.gradient_clip)
        states, _ = advance(sampler, chain_key, jax.vmap(sampler.init)(start), config.langevin_steps)
        finished = jnp.clip(states.position, self.low, self.high)
        return finished, replay_buffer.push(memory, finished)

    def loss(self, key: RandomKey, model, batch, negatives):
        """`manifold_loss` with this objective's weights."""
        config = self.config
        return manifold_loss(
            model,
            batch,
            negatives,
            key,
            negative_weight=config.negative_weight,
            rank_weight=config.rank_weight,
            square_weight=config.square_weight,
            minimum_singular_value=config.minimum_singular_value,
            maximum_singular_value=config.maximum_singular_value,
            isometry_weight=config.isometry_weight,
            isometry_points=config.isometry_points,
            norm=config.norm,
            negative_norm=config.negative_norm,
        )

    def between(self, key: RandomKey, model, memory):
        """The memory as it is."""
        return memory


def fit_manifold(
    key: RandomKey,
    points: Float[Array, "points n"],
    codimension: int,
    box: tuple[Vector, Vector],
    config: ManifoldConfig = ManifoldConfig(),
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[MLP, History]:
    """Step 1: learn F with {F = 0} through `points` (N, n), standardised; returns F and the history.

    A warm-up without negatives comes first. Where data are sparse, negatives from the start open the manifold
    (they are most often just there), while F alone closes it smoothly; what it leaves are stray zeros, which
    `config.restarts` networks side by side and a choice among them (`nearest_fit`) avoid, and the negatives of the
    main training remove. Raises TrainingDiverged.
    """
    model_key, warm_key, choice_key, train_key = derived_keys(key, 4)
    sizes = [points.shape[1], *config.hidden, codimension]
    models = _initial_mlps(model_key, tuple(sizes), config.restarts)
    options = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    if config.warmup_steps:
        calm = replace(
            config,
            negative_weight=0.0,
            square_weight=0.0,
            num_steps=config.warmup_steps,
            learning_rate=config.warmup_learning_rate,
        )
        objective = RestartsObjective(ManifoldObjective(*box, calm), config.restarts)
        models = train_afresh("warm-up", warm_key, models, objective, points, calm, **options)[0].model
    mdf = nearest_fit(choice_key, models, _some(choice_key, points, CHOICE_POINTS), box)
    full = ManifoldObjective(*box, config)
    state, history = train_afresh("manifold", train_key, mdf, full, points, config, **options)
    return state.model, history


@partial(jax.jit, static_argnames=("sizes", "count"))
def _initial_mlps(key, sizes, count):
    """`count` networks of the same sizes, stacked along a leading axis.

    With one constraint half of them start as spheres. Those have one sign all round, hence seldom stray sheets between
    parts of the manifold; the others, smoother at the start, close better where data are sparse.
    """
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
        reached, usable = _projected(mdf, data, box)
        to_zeros = np.where(usable, np.linalg.norm(reached - data, axis=1), width)
        zeros, usable = _projected(mdf, noise, box)
        if not usable.any():
            return 2 * width, 0.0
        misfit = float(np.sqrt((to_zeros**2).mean()) + tree.query(zeros[usable])[0].mean())
        values = in_blocks(lambda rows: _singular_values(mdf, rows, key), zeros, BLOCK)[usable]
        return misfit, float(values.min() / values.max())

    models = jax.device_get(models)
    members = [jax.tree.map(lambda leaf, row=row: leaf[row], models) for row in range(_count(models))]
    misfits, ratios = np.transpose([judged(member) for member in members])
    chosen = int(np.argmax(np.where(misfits <= SLACK * misfits.min(), ratios, -1.0)))
    return jax.tree.map(jnp.asarray, members[chosen])


def _some(key, points, count):
    """At most `count` random rows of `points`, in random order."""
    return host_generator(key).permutation(np.asarray(points))[:count]


def _count(stacked) -> int:
    return jax.tree.leaves(stacked)[0].shape[0]


@jax.jit
def _singular_values(mdf, points, key):
    return singular_values(mdf, points, key)[0]
