"""An energy of codes, or of points of R^n itself, in a box: by maximum likelihood or by contrastive divergence."""

from dataclasses import dataclass, field
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from .._random import derived_keys, host_generator
from .._types import Energy, Float, RandomKey
from ..box import Box, box_around, uniform_in_box
from ..choices import Settings
from ..ebim.contrastive import EnergyConfig, fit_contrastive
from ..ebim.kernels import FoldDensities, KernelEnergy, fold_densities, kernel_energy, kernel_source, mixture_weights
from ..ebim.likelihood import LikelihoodConfig, fit_likelihood
from ..training.loop import History
from ..volumes.importance import log_normalizer
from ..volumes.pools import PoolSource
from .latents import EnergyLatent


@dataclass(frozen=True)
class LatentEnergyConfig(Settings):
    """An energy of codes in the box around those of the data, by the losses that an EBIM's energy has."""

    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    contrastive: EnergyConfig = field(default_factory=EnergyConfig)
    loss: Literal["likelihood", "contrastive"] = "likelihood"
    box_margin: float = 0.25


def fit_latent_energy(
    key: RandomKey,
    codes: Float[np.ndarray | jax.Array, "N m"],
    config: LatentEnergyConfig = LatentEnergyConfig(),
    *,
    progress: bool = False,
) -> tuple[EnergyLatent, History]:
    """exp(-E)/Z in the box around the codes (N, m), widened, with E and Z as an EBIM has them; and the history.

    Raises TrainingDiverged.
    """
    codes = np.asarray(codes)
    data_key, energy_key, normalizer_key = derived_keys(key, 3)
    box = box_around(jnp.asarray(codes), config.box_margin)
    found, kernel, source = kernel_near(data_key, codes, box, config.likelihood.members)
    energy: Energy
    if config.loss == "contrastive":
        starts = jnp.asarray(uniform_in_box(host_generator(data_key, 1), box, config.contrastive.starts))
        energy, history = fit_contrastive(
            energy_key, box, jnp.asarray(codes), starts, config.contrastive, progress=progress
        )
    else:
        energy, history = fit_likelihood(energy_key, source, found, config.likelihood, progress=progress)
    return EnergyLatent(energy, box, log_normalizer(normalizer_key, source, energy), kernel), history


def kernel_near(
    key: RandomKey, codes: Float[np.ndarray, "N m"], box: Box, members: int = 4
) -> tuple[FoldDensities, KernelEnergy, PoolSource]:
    """What kernels say of codes (N, m) in `members` folds, the kernel density of all, and pools drawn with it."""
    found = fold_densities(host_generator(key), codes, codes.shape[1], members)
    kernel = kernel_energy(codes[: len(found.densities)], mixture_weights(found.densities), codes.shape[1])
    return found, kernel, kernel_source(box, kernel)
