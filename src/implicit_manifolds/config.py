"""Settings of the two trainings and of sampling, as frozen dataclasses that a command line can fill.

Defaults are in standardised units (one shift and one scale, which give data of unit root mean square).
"""

from dataclasses import dataclass, field

from .losses.manifold import ResidualNorm


@dataclass(frozen=True)
class ManifoldConfig:
    """Step 1: the network F, its loss, and the ambient Langevin chains that find its stray zeros."""

    hidden: tuple[int, ...] = (32, 32)
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
    square_weight: float = 1.0
    minimum_singular_value: float = 1.0
    maximum_singular_value: float | None = None
    norm: ResidualNorm = "l2"
    negative_norm: ResidualNorm = "l2"
    langevin_steps: int = 20
    noise_scale: float = 0.1
    step_size: float | None = 10.0
    gradient_clip: float | None = 0.03
    replay_fraction: float = 0.95
    buffer_size: int = 10_000


@dataclass(frozen=True)
class EnergyConfig:
    """Step 2: the energy E, contrastive divergence, and the constrained chains on M."""

    hidden: tuple[int, ...] = (32, 32)
    num_steps: int = 1000
    batch_size: int = 100
    learning_rate: float = 0.01
    decay: bool = True
    clip_norm: float | None = 1.0
    square_weight: float = 0.1
    langevin_steps: int = 10
    noise_scale: float = 0.15
    step_size: float | None = None  # noise_scale², the one value that targets exp(-E)
    gradient_clip: float | None = None
    replay_fraction: float = 0.95
    buffer_size: int = 10_000
    starts: int = 2000  # points of M that fresh chains are drawn from


@dataclass(frozen=True)
class FitConfig:
    """Everything `fit` can be told."""

    manifold: ManifoldConfig = field(default_factory=ManifoldConfig)
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    standardize: bool = True
    box_margin: float = 0.1  # of the largest extent, added on each side of the data
    box: tuple[float, ...] | None = None  # half-widths about the origin of standardised space, instead
