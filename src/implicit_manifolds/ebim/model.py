"""The energy-based implicit manifold as a value."""

from dataclasses import dataclass
from typing import NamedTuple

from .._pytree import pytree
from .._types import Energy, Scalar
from ..pieces import Pieces
from ..scaling import Scaling
from ..volumes.manifold import Manifold
from ..volumes.pools import Estimate


class ChainScales(NamedTuple):
    """ε and α of constrained Langevin chains; drift_scale None is ε², the one value that targets exp(-E)."""

    noise_scale: float | Scalar
    drift_scale: float | Scalar | None = None


@pytree
@dataclass(frozen=True, eq=False)
class EBIM:
    """A learned manifold {F = 0} and the energy of a density exp(-E)/Z on it, in standardised units.

    manifold: F with its box, projected training points as anchors, where chains start, and charts where there are any
    to be had. energy: a callable pytree, (n,) -> (). scaling takes data units to standardised ones. chains: scales of
    training's. log_normalizer: log Z in standardised units, None without charts (Ross et al. 2023).

    >>> model.manifold.codimension, model.manifold.ambient_dimension
    (1, 2)
    >>> float(model.energy(jnp.array([1.0, 0.0])))
    0.0
    """

    manifold: Manifold
    energy: Energy
    scaling: Scaling | Pieces
    chains: ChainScales
    log_normalizer: Estimate | None = None
