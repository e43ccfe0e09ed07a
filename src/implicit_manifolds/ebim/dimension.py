"""How many directions are normal to the data: a field that takes noise away, and the spectrum of its derivative."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from .._loops import over_points
from .._random import derived_keys
from .._types import Array, Float, Number, RandomKey, Vector
from ..errors import InputError
from ..manifold.ridge import value_and_derivative
from ..manifold.spectrum import descending_eigh
from ..networks.denoiser import scaled_noise
from ..networks.displacement import Displacement
from ..tables import Stream
from ..training.config import TrainingConfig
from ..training.loop import train_afresh
from ..training.objective import LossObjective, Terms

LEAST_GAP, CLEAR_GAP = 0.5, 0.7
"""Of the median eigenvalues, which run from one, normal, to zero, tangent. Less than the first is no gap; less than the
second, and a wider network or more noise may show a clearer one."""
COARSER, WIDEST = 2.0, 4


@dataclass(frozen=True, kw_only=True)
class DenoisingConfig(TrainingConfig):
    """A field that takes noise away; lengths are in standardised units."""

    hidden: tuple[int, ...] = (64, 64, 64)
    num_steps: int = 3000
    batch_size: int = 1024
    learning_rate: float = 0.01
    clip_norm: float | None = 10.0
    least_noise: float = 0.02  # doubled until the spectrum has a gap
    most_least_noise: float = 0.16  # but no further
    most_noise: float = 0.5


class Dimension(NamedTuple):
    """What the spectrum of DF at the data says of the codimension.

    codimension k: where the median spectrum has its largest gap, 1 ≤ k < n. gap, of the medians. votes: share of points
    whose own largest gap is there. spectrum (n,): medians, the largest first. noise: the least scale of noise that was
    taken away, in standardised units.
    """

    codimension: int
    gap: float
    votes: float
    spectrum: Float[np.ndarray, " n"]
    noise: float

    @property
    def found(self) -> bool:
        """Whether there is a gap to speak of."""
        return self.gap >= LEAST_GAP

    def __str__(self) -> str:
        """One line."""
        return f"codimension {self.codimension}: voted for by {self.votes:.0%} of the points, gap {self.gap:.2f}"


def denoising_loss(
    key: RandomKey, model: Callable, points: Float[Array, "batch n"], least: Number, most: Number
) -> Terms:
    """Mean of ‖F(x + σε) - σε‖² / (n σ²), ε normal, log σ uniform between two scales; F is then -σ²∇log p_σ.

    (Vincent 2011; Robbins 1956 and Miyasawa 1961 for the mean of x given x + σε.)
    """
    noise, scales = scaled_noise(key, points, least, most)
    loss = jnp.mean(((jax.vmap(model)(points + noise) - noise) / scales[:, None]) ** 2)
    return loss, {"denoising": loss}


def denoised(
    key: RandomKey,
    points: Float[Array, "N n"],
    config: DenoisingConfig = DenoisingConfig(),
    *,
    name: str = "denoising",
    **options: Any,
) -> tuple[Displacement, Dimension]:
    """A field that takes noise away from `points` (N, n), standardised, and the dimension that its spectrum tells.

    Where the spectrum has no clear gap the network is made twice as wide; then the least noise is doubled, since data
    that are noisy themselves fill space at scales below their noise; at last, where there is none yet, the network is
    made wider again. The first clear gap counts, else the largest; where that is none, `Dimension.found` is False.
    Raises TrainingDiverged.
    """
    tried: list[tuple[Displacement, Dimension]] = []
    for wider, least in _attempts(config):
        if wider == WIDEST and any(found.found for _, found in tried):
            break
        hidden = tuple(wider * width for width in config.hidden)
        one = replace(config, hidden=hidden, least_noise=least)
        # Named by width and noise: checkpoints of one attempt must not serve another.
        tried.append(denoise(key, points, one, name=f"{name}, {hidden[0]}, {least:g}", **options))
        if tried[-1][1].gap >= CLEAR_GAP:
            return tried[-1]
    return max(tried, key=lambda one: one[1].gap)


def denoise(
    key: RandomKey,
    points: Float[Array, "N n"],
    config: DenoisingConfig,
    *,
    name: str,
    stream: Stream | None = None,
    **options: Any,
) -> tuple[Displacement, Dimension]:
    """A field of one width that takes away noise of one scale and more, and what its spectrum tells.

    It is trained on the points, or where they are a sample on the stream of all.
    """
    model_key, train_key = derived_keys(key, 2)
    rows = jnp.asarray(np.arange(max(len(points), config.batch_size)) % len(points))
    start = Displacement(points.shape[1], config.hidden, rngs=nnx.Rngs(model_key))
    loss = LossObjective(Partial(_denoising, jnp.asarray(config.least_noise), jnp.asarray(config.most_noise)))
    state, _ = train_afresh(name, train_key, start, loss, points[rows] if stream is None else stream, config, **options)
    return state.model, dimension_of(state.model, points, config.least_noise)


def _attempts(config: DenoisingConfig) -> Iterator[tuple[int, float]]:
    """Multiples of the width, and least noises, in the order in which they are tried."""
    yield 1, config.least_noise
    yield 2, config.least_noise
    least = COARSER * config.least_noise
    while least <= config.most_least_noise:
        yield 1, least
        least *= COARSER
    yield WIDEST, config.least_noise


def dimension(
    key: RandomKey, points: Float[Array, "N n"], config: DenoisingConfig = DenoisingConfig(), **options: Any
) -> Dimension:
    """The codimension of `points` (N, n), standardised.

    Raises InputError where the spectrum has no gap, and TrainingDiverged.
    """
    return sure(denoised(key, points, config, **options)[1])


def sure(found: Dimension) -> Dimension:
    """The same dimension. Raises InputError where the spectrum has no gap."""
    if not found.found:
        raise InputError(
            f"no codimension is to be seen: the largest gap in the spectrum is {found.gap:.2f} of 1, so the points may "
            "fill their space; give a codimension if you know it"
        )
    return found


def dimension_of(field: Any, points: Float[np.ndarray | Array, "N n"], noise: float) -> Dimension:
    """The codimension of the data by a field that takes away noise of scale `noise` and more.

    For F(x) = x - E[x₀ | x], x₀ the datum and x its noisy copy, DF is near 1 along normal directions and near 0 along
    tangent ones (Stanczuk et al. 2024, there by the rank of scores).
    """
    own = spectra(field, points)
    steps = own[:, :-1] - own[:, 1:]
    medians = np.median(own, axis=0)
    chosen = int(np.argmax(medians[:-1] - medians[1:]))
    gap = float(medians[chosen] - medians[chosen + 1])
    # Outer gaps count as well: a point all of whose directions are alike votes for none.
    outer = np.maximum(1 - own[:, 0], own[:, -1])
    votes = float(np.mean((steps.argmax(axis=1) == chosen) & (steps[:, chosen] >= outer)))
    return Dimension(chosen + 1, gap, votes, medians, noise)


def other_estimates(points: Float[np.ndarray, "N n"]) -> dict[str, float]:
    """The dimension m by three estimators of scikit-dimension, by name; none where it is not installed."""
    try:
        from skdim import id as estimators
    except ImportError:
        return {}
    names = {"TwoNN": "TwoNN", "maximum likelihood": "MLE", "correlation integral": "CorrInt"}
    return {name: float(getattr(estimators, kind)().fit(points).dimension_) for name, kind in names.items()}


def spectra(field: Any, points: Float[np.ndarray | Array, "N n"]) -> Float[np.ndarray, "N n"]:
    """Eigenvalues of the symmetric part of DF at points, the largest first."""
    return over_points(_spectrum, field, np.asarray(points, jnp.result_type(float)))


def _spectrum(field: Any, x: Vector) -> Vector:
    derivative = value_and_derivative(field, x)[1]
    return descending_eigh((derivative + derivative.T) / 2)[0]


def _denoising(least, most, key, model, batch):
    return denoising_loss(key, model, batch, least, most)
