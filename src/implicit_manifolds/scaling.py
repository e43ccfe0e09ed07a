"""One shift and one scalar scale: the standardisation under which volumes go exactly by scale^m."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ._types import Array, Float


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scaling:
    """x = shift + scale · z: shift (n,) and scale () in the units of the data, z without unit."""

    shift: Float[np.ndarray | Array, " n"]
    scale: Float[np.ndarray | Array, ""] | float

    def standardize(self, points: Float[np.ndarray | Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """Data units to standardised ones, (..., n); computed in double, so offsets do not eat digits."""
        wide = (np.asarray(points, np.float64) - np.asarray(self.shift, np.float64)) / float(self.scale)
        return jnp.asarray(wide, jnp.result_type(float))

    def restore(self, points: Float[np.ndarray | Array, "*batch n"]) -> np.ndarray:
        """Standardised units to data units, (..., n), in double."""
        return np.asarray(self.shift, np.float64) + float(self.scale) * np.asarray(points, np.float64)
