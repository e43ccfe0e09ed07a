"""Settings that every training has."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Adam on shuffled batches; what is trained sets its own defaults."""

    num_steps: int = 1000
    batch_size: int = 100
    learning_rate: float = 0.003
    decay: bool = True  # of the learning rate, cosine, to zero
    clip_norm: float | None = None  # of the gradient, all parameters together
