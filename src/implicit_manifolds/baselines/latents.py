"""Densities of codes: a standard normal, a flow, an energy normalised in a box."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from .._pytree import pytree
from .._types import Array, Energy, Float, RandomKey, Scalar
from ..box import Box
from ..ebim.kernels import KernelEnergy, kernel_source
from ..networks.flows import Context, Flow
from ..volumes.importance import resampled
from ..volumes.pools import Estimate, box_source
from .autoencoders import Code


@runtime_checkable
class Latent(Protocol):
    """What a pushforward model needs of the law of its codes."""

    def log_density(self, z: Code, context: Context = None) -> Scalar:
        """Log density of a code (m,), given a context (c,) if the law has one."""
        ...

    def draw(self, key: RandomKey, count: int, context: Context = None) -> Float[Array | np.ndarray, "count m"]:
        """Independent codes (count, m), on the host."""
        ...


@pytree
@dataclass(frozen=True, eq=False)
class StandardNormal:
    """N(0, I) in m dimensions."""

    dimension: int = field(metadata={"static": True})

    def log_density(self, z: Code, context: Context = None) -> Scalar:
        """Log density of a code (m,); the context is not used."""
        return standard_normal(z)

    def draw(self, key: RandomKey, count: int, context: Context = None) -> Float[Array, "count m"]:
        """Codes (count, m)."""
        return jax.random.normal(key, (count, self.dimension))


@pytree
@dataclass(frozen=True, eq=False)
class FlowLatent:
    """The law of h(z), z ~ N(0, I), h a flow of R^m that may depend on a context."""

    flow: Flow
    dimension: int = field(metadata={"static": True})

    def log_density(self, z: Code, context: Context = None) -> Scalar:
        """Log density of a code (m,) given a context (c,)."""
        base, log_determinant = self.flow.inverse(z, context)
        return standard_normal(base) + log_determinant

    def draw(self, key: RandomKey, count: int, context: Context = None) -> Float[Array, "count m"]:
        """Codes (count, m) given one context (c,)."""
        return _pushed(self.flow, jax.random.normal(key, (count, self.dimension)), context)


@jax.jit
def _pushed(flow, base, context):
    return jax.vmap(lambda z: flow.forward(z, context)[0])(base)


@pytree
@dataclass(frozen=True, eq=False)
class EnergyLatent:
    """exp(-E)/Z in a box of R^m, and nothing outside.

    log_normalizer is log Z; kernel, if there is one, a density like it, to look for mass with.
    """

    energy: Energy
    box: Box
    log_normalizer: Estimate
    kernel: KernelEnergy | None = None

    def log_density(self, z: Code, context: Any = None) -> Scalar:
        """Log density of a code (m,), -inf outside of the box; the context is not used."""
        return jnp.where(self.box.contains(z), -self.energy(z) - self.log_normalizer.value, -jnp.inf)

    def draw(self, key: RandomKey, count: int, context: Context = None) -> Float[np.ndarray, "count m"]:
        """Codes (count, m) by importance resampling of fresh points of the box, none used twice."""
        source = box_source(self.box) if self.kernel is None else kernel_source(self.box, self.kernel)
        return resampled(key, source, self.energy, count).points


def standard_normal(z: Code) -> Scalar:
    """Log density of N(0, I) at a point (m,)."""
    return -0.5 * (jnp.vdot(z, z) + z.size * jnp.log(2 * jnp.pi))
