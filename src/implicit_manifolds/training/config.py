"""Settings that every training has."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import optax
import tyro
from flax import nnx

from ..choices import Settings

Network = Annotated[Callable[[nnx.Rngs], Any] | None, tyro.conf.Suppress]
"""What makes a network of one's own: a callable pytree of one point, such as a Flax module, from its random numbers."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Settings):
    """Adam, or an optimiser of one's own, on shuffled batches; what is trained sets its own defaults."""

    num_steps: int = 1000
    batch_size: int = 100
    learning_rate: float = 0.003
    decay: bool = True  # of the learning rate, cosine, to zero
    clip_norm: float | None = None  # of the gradient, all parameters together
    optimizer: Annotated[optax.GradientTransformation | None, tyro.conf.Suppress] = field(
        default=None, repr=False
    )  # in place of Adam; the rate, its decay and the clipping then mean nothing
