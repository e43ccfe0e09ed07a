"""Everything a fit can be told."""

from dataclasses import dataclass, field
from typing import Literal

from ..choices import Settings
from .contrastive import EnergyConfig
from .forms import Form
from .likelihood import LikelihoodConfig
from .manifold import ManifoldConfig
from .ridge import RidgeConfig
from .score_matching import ScoreMatchingConfig

EnergyLoss = Literal["likelihood", "contrastive", "score-matching"]


@dataclass(frozen=True)
class FitConfig(Settings):
    """Everything `fit` can be told.

    >>> config = im.FitConfig(energy_loss="contrastive")
    >>> config.zero_set.hidden
    (64, 64, 64)
    """

    zero_set: ManifoldConfig = field(default_factory=ManifoldConfig)
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    score_matching: ScoreMatchingConfig = field(default_factory=ScoreMatchingConfig)
    energy_loss: EnergyLoss | None = None  # unless given, likelihood where points of known volume can be had
    standardize: bool = True
    box_margin: float = 0.25  # of the largest extent, added on each side of the data
    box_half_widths: tuple[float, ...] | None = None  # of a box about the origin of standardised space, instead
    manifold: Form = "auto"  # a ridge, unless a zero set is as good (`forms.fit_form`)
    ridge: RidgeConfig = field(default_factory=RidgeConfig)  # its denoising is also how a codimension is found
