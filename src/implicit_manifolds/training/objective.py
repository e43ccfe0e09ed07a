"""What a model is trained for: a loss with a source of negatives and a memory, or a loss alone."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from .._pytree import pytree
from .._random import derived_keys
from .._types import RandomKey, Scalar

Terms = tuple[Scalar, dict[str, Scalar]]
"""A loss and its named terms, unweighted."""


class Objective:
    """What a model is trained for: a pytree, so that its arrays travel through jit as arguments.

    A subclass has a `loss`, and whatever else differs from an objective without negatives and memory.
    """

    def initial_memory(self, key: RandomKey, model) -> Any:
        """The memory before the first update; called on the host, once."""
        return ()

    def sample(self, key: RandomKey, model, memory, batch_size: int) -> tuple[Any, Any]:
        """Negatives for one update, and the memory (a replay buffer, say) that goes on to the next."""
        return (), memory

    def loss(self, key: RandomKey, model, batch, negatives) -> Terms:
        """The loss of a batch (batch, n), and the named terms to report."""
        raise TypeError(f"{type(self).__name__} has no loss; define one")

    def refresh(self, key: RandomKey, model, memory) -> Any:
        """The memory to go on with; called on the host before each chunk of updates and after the last."""
        return memory


@pytree
@dataclass(frozen=True, eq=False)
class LossObjective(Objective):
    """A loss of model and data alone: function(key, model, batch) gives it with its terms; a callable pytree."""

    function: Any

    def loss(self, key: RandomKey, model, batch, negatives) -> Terms:
        """The function's."""
        return self.function(key, model, batch)


@pytree
@dataclass(frozen=True, eq=False)
class RestartsObjective(Objective):
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
        """Summed loss; means of losses and terms."""
        losses, terms = jax.vmap(lambda m, x: self.member.loss(key, m, batch, x))(model, negatives)
        return jnp.sum(losses), jax.tree.map(jnp.mean, terms | {"loss": losses})
