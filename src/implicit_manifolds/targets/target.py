"""What a constrained target is: F, an energy, where it starts, and what is known of its law."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from .._types import MDF, Energy, RandomKey, Vector
from ..box import Box
from ..mcmc.phase_space import Measure


class Quantity(NamedTuple):
    """A function of a point whose mean under the law is known: exactly, or with a standard error.

    function: (n,) to a scalar, in JAX. mean; standard_error of that mean, 0 where it is exact. deviation: standard
    deviation of the quantity under the law, in which errors are told. source: how they are known, in a few words.
    """

    function: Callable[[Vector], Any]
    mean: float
    deviation: float
    standard_error: float = 0.0
    source: str = "exact"


@dataclass(frozen=True)
class Target:
    """A law on {F = 0}, for any sampler to be measured by.

    mdf: F, a callable pytree (n,) to (k,). energy: E, a callable pytree. measure: exp(-E) is a density by the volume of
    {F = 0} ("hausdorff"), or an ambient density conditioned on F = 0 ("ambient"). starts: `(key, count)` to points of M
    (count, n), float64, spread over all of M that has mass but not drawn from the law. quantities: by name, what is
    known. box: bounds of the law, or None. log_normalizer: log ∫ exp(-E) by volume (or log of the density of F at 0),
    where it is known. about: two sentences, with the source.
    """

    name: str
    dimension: int
    mdf: MDF
    energy: Energy
    measure: Measure
    starts: Callable[[RandomKey, int], np.ndarray]
    quantities: dict[str, Quantity]
    about: str
    box: Box | None = None
    log_normalizer: float | None = None

    @property
    def codimension(self) -> int:
        """k."""
        return jax.eval_shape(self.mdf, np.zeros(self.dimension)).shape[0]
