"""An energy of codes, or of points of R^n itself, in a box: by maximum likelihood or by contrastive divergence."""

import jax
import jax.numpy as jnp
import numpy as np

from .._random import derived_keys, host_generator, uniform_in_box
from .._types import Energy, Float, RandomKey
from ..fit import box_around
from ..fit_energy import fit_contrastive, fit_likelihood, judged, log_normalizer
from ..kernel import kernel_energy, kernel_source, mixture_weights
from ..training.loop import History
from .config import LatentEnergyConfig
from .latents import EnergyLatent


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
    random = host_generator(data_key)
    found = judged(random, codes, codes.shape[1], config.likelihood.members)
    kernel = kernel_energy(codes[: len(found.densities)], mixture_weights(found.densities), codes.shape[1])
    source = kernel_source(box, kernel)
    energy: Energy
    if config.loss == "contrastive":
        starts = jnp.asarray(uniform_in_box(random, box, config.contrastive.starts))
        energy, history = fit_contrastive(
            energy_key, None, jnp.asarray(codes), starts, box, config.contrastive, progress=progress
        )
    else:
        energy, history = fit_likelihood(energy_key, source, found, config.likelihood, progress=progress)
    return EnergyLatent(energy, *box, log_normalizer(normalizer_key, source, energy), kernel), history
