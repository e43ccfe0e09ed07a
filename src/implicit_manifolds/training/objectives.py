"""What the two steps of an EBIM are trained for: a loss, and where its negatives come from."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from .._random import derived_keys, host_generator, uniform_in_box
from .._types import MDF, Array, Float, RandomKey, Vector
from ..config import EnergyConfig, ManifoldConfig
from ..losses.contrastive import contrastive_loss
from ..losses.manifold import manifold_loss, residual_norm
from ..manifold.multipliers import gradient_descent, quasi_newton
from ..manifold.scaled_chord import scaled_chord
from ..mcmc.constrained_langevin import ConstrainedLangevin
from ..mcmc.langevin import Langevin
from ..mcmc.stepping import advance
from . import replay_buffer

SOLVERS = {"quasi-newton": quasi_newton, "scaled-chord": scaled_chord, "gradient-descent": gradient_descent}


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


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ContrastiveObjective:
    """Step 2: contrastive divergence with F frozen, negatives from constrained Langevin chains on M.

    Without an MDF, M is all of R^n in the box and chains are ambient. starts (s, n): points of M that fresh chains are
    drawn from. low, high (n,): the box no chain may
    leave. The memory is the replay buffer (size, n), all of it on M.
    """

    mdf: MDF | None
    starts: Float[Array, "starts n"]
    low: Vector
    high: Vector
    config: EnergyConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model) -> Float[Array, "size n"]:
        """A buffer of random starts."""
        return self.starts[host_generator(key).integers(0, len(self.starts), self.config.buffer_size)]

    def sampler(self, energy: Any) -> ConstrainedLangevin | Langevin:
        """The chains of this objective for a given energy."""
        config = self.config
        if self.mdf is None:
            return Langevin(energy, config.noise_scale, config.step_size, config.gradient_clip)
        return ConstrainedLangevin(
            self.mdf,
            energy,
            config.noise_scale,
            config.step_size,
            config.gradient_clip,
            config.tolerance,
            (self.low, self.high),
            SOLVERS[config.solver],
            config.max_iterations,
        )

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """Negatives (batch, n) on M, and the buffer with them pushed."""
        fresh_key, draw_key, chain_key = jax.random.split(key, 3)
        # A uniform number and not `randint`, which draws, and compiles, twice.
        picked = jax.random.uniform(fresh_key, (batch_size,)) * self.starts.shape[0]
        fresh = self.starts[picked.astype(int)]
        start = replay_buffer.draw(draw_key, memory, fresh, self.config.replay_fraction)
        sampler = self.sampler(model)
        states = jax.vmap(sampler.init)(start)
        states, _ = advance(sampler, chain_key, states, self.config.langevin_steps)
        # Constrained chains never leave the box; ambient ones are brought back.
        finished = jnp.clip(states.position, self.low, self.high)
        return finished, replay_buffer.push(memory, finished)

    def loss(self, key: RandomKey, model, batch, negatives):
        """`contrastive_loss` with this objective's penalty."""
        return contrastive_loss(model, batch, negatives, square_weight=self.config.square_weight)

    def between(self, key: RandomKey, model, memory):
        """The memory as it is."""
        return memory


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RestartsObjective:
    """Several models trained side by side for one objective, each with its own memory and chains.

    Models and memories are stacked along a leading axis. The loss is the sum over members, so gradients are
    those of each alone; an optimiser that clips the global norm would couple them. Terms are means.
    """

    member: Any
    restarts: int = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model):
        """The members' memories, stacked."""
        memories = [self.member.initial_memory(key, model) for key in derived_keys(key, self.restarts)]
        return jax.tree.map(lambda *members: jnp.stack(members), *memories)

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """The members' negatives and memories, stacked."""
        keys = jax.random.split(key, self.restarts)
        return jax.vmap(lambda k, m, b: self.member.sample(k, m, b, batch_size))(keys, model, memory)

    def loss(self, key: RandomKey, model, batch, negatives):
        """Summed loss, mean terms."""
        losses, terms = jax.vmap(lambda m, x: self.member.loss(key, m, batch, x))(model, negatives)
        return jnp.sum(losses), jax.tree.map(jnp.mean, terms)

    def between(self, key: RandomKey, model, memory):
        """The memory as it is."""
        return memory


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LossObjective:
    """A loss of model and data alone: function(key, model, batch) gives it with its terms; a callable pytree."""

    function: Any

    def initial_memory(self, key: RandomKey, model) -> tuple[()]:
        """Nothing."""
        return ()

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """No negatives."""
        return (), memory

    def loss(self, key: RandomKey, model, batch, negatives):
        """The function's."""
        return self.function(key, model, batch)

    def between(self, key: RandomKey, model, memory):
        """Nothing."""
        return memory
