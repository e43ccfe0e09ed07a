"""Settings of the two trainings and of sampling, as frozen dataclasses that a command line can fill.

Defaults are in standardised units (one shift and one scale, which give data of unit root mean square).
"""

from dataclasses import dataclass, field
from typing import Literal

from .losses.manifold import ResidualNorm


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


@dataclass(frozen=True)
class EnergyConfig:
    """Step 2 by contrastive divergence, and its constrained chains on M; those of `sample` share ε and α."""

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
    solver: Literal["quasi-newton", "scaled-chord", "gradient-descent"] = "quasi-newton"  # of multipliers
    tolerance: float | None = None  # of ‖F‖; what the dtype allows, unless given
    max_iterations: int | None = None  # of the solver, since chains wait for the slowest; its own cap unless given


@dataclass(frozen=True)
class LikelihoodConfig:
    """Step 2 by maximum likelihood: the energies, and the points of M they are normalised with."""

    hidden: tuple[int, ...] = (32, 32)
    features: int = 16  # Fourier features
    bandwidths: tuple[float, ...] = (0.5, 1.0, 2.0)  # of the features, in radians per standard unit
    members: int = 4  # energies trained side by side and averaged, each stopped early on a fold it does not see
    num_steps: int = 600
    batch_size: int = 200
    learning_rate: float = 0.005
    decay: bool = True
    pool_size: int = 5000  # points of M, redrawn twenty times
    pool_batch: int = 500
    held_out: int = 10_000  # points of M that validate
    kernel: bool = True  # mix in an adaptive kernel density, as far as held-out folds ask for it


@dataclass(frozen=True)
class ScoreMatchingConfig:
    """Step 2 by tangential score matching: the same energies, without points of M."""

    hidden: tuple[int, ...] = (32, 32)
    features: int = 16
    bandwidths: tuple[float, ...] = (0.5, 1.0, 2.0)
    members: int = 4
    num_steps: int = 1000
    batch_size: int = 200
    learning_rate: float = 0.003
    decay: bool = True


EnergyLoss = Literal["likelihood", "contrastive", "score-matching"]


@dataclass(frozen=True)
class FitConfig:
    """Everything `fit` can be told."""

    manifold: ManifoldConfig = field(default_factory=ManifoldConfig)
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    score_matching: ScoreMatchingConfig = field(default_factory=ScoreMatchingConfig)
    energy_loss: EnergyLoss | None = None  # unless given, likelihood where points of known volume can be had
    standardize: bool = True
    box_margin: float = 0.25  # of the largest extent, added on each side of the data
    box: tuple[float, ...] | None = None  # half-widths about the origin of standardised space, instead
