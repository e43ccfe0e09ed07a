"""One shift and one scalar scale: the standardisation under which volumes go exactly by scale^m."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ._types import Array, Float, Vector


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scaling:
    """x = shift + scale · z: shift (n,) and scale () in the units of the data, z without unit."""

    shift: Vector
    scale: Float[Array, ""]

    def standardize(self, points: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """Data units to standardised ones, (..., n); computed in double, so offsets do not eat digits."""
        wide = (np.asarray(points, np.float64) - np.asarray(self.shift, np.float64)) / float(self.scale)
        return jnp.asarray(wide, self.scale.dtype if jax.config.jax_enable_x64 else jnp.float32)

    def restore(self, points: Float[Array, "*batch n"]) -> np.ndarray:
        """Standardised units to data units, (..., n), in double."""
        return np.asarray(self.shift, np.float64) + float(self.scale) * np.asarray(points, np.float64)
