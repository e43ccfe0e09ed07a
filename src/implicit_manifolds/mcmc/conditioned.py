"""A differentiable generative model conditioned on what was observed, without noise added (Graham & Storkey 2017).

Inputs u (m,) with a prior density, outputs g(u) (k,), k < m, of which y was seen. The posterior of u is the prior
conditioned on F(u) = g(u) - y = 0; by the volume of {F = 0} its density is that of the prior over √det J Jᵀ. This is
what measure="ambient" targets with E = -log prior (M. M. Graham & A. J. Storkey, Asymptotically exact inference in
differentiable generative models, Electronic Journal of Statistics 11(2), 2017, 5105-5164).
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial, all_leaves

from .._loops import BLOCK, over_points
from .._pytree import pytree
from .._random import key_or_seed
from .._types import MDF, Array, Bool, Energy, Float, Int, RandomKey, Residual, Scalar, Vector, callable_pytree
from ..errors import InputError
from ..manifold.projection import project
from ..manifold.tangent import Linearization, linearize

TRIES = 50
"""Prior draws for each start that is asked for, after which the search ends."""
FEWEST = 16
"""Draws of the smallest block, so that few starts of one model and many of another compile few programs."""
RANK = 4.0
"""In units of √ε: sine of the angle of one gradient to the span of others, below which rounding alone may stand behind
it. G = J Jᵀ has the square of it for a pivot, with an error of some ε."""


@pytree
@dataclass(frozen=True)
class StandardNormal:
    """Independent standard normal inputs, `size` of them."""

    size: int = field(metadata={"static": True})

    def sample(self, key: RandomKey) -> Vector:
        """One draw, (size,)."""
        return jax.random.normal(key, (self.size,))

    def log_prob(self, u: Vector) -> Scalar:
        """Log-density at u (size,), its constant left out."""
        return -0.5 * jnp.sum(u**2)


def standard_normal(size: int) -> StandardNormal:
    """The prior of inputs that are independent and standard normal.

    Arguments:
        size: m, how many.

    Returns:
        A prior with `sample(key)` and `log_prob(u)`, the latter up to a constant.

    >>> prior = mcmc.standard_normal(3)
    >>> prior.sample(jax.random.key(0)).shape, float(prior.log_prob(jnp.ones(3)))
    ((3,), -1.5)
    """
    return StandardNormal(size)


@pytree
@dataclass(frozen=True)
class _Opaque:
    """A distribution that is no pytree: static, so another one compiles anew."""

    distribution: Any = field(metadata={"static": True})

    @property
    def support(self):
        return getattr(self.distribution, "support", None)

    def sample(self, key):
        return _draw(self.distribution, key)

    def log_prob(self, u):
        return self.distribution.log_prob(u)


@pytree
@dataclass(frozen=True)
class Conditioned:
    """What `conditioned` returns: F = g - y and E = -log prior for a sampler of measure "ambient", and the prior.

    A pytree whose leaves are the observation and the parameters of simulator and prior: new ones compile nothing.
    """

    mdf: MDF
    energy: Energy
    prior: Any

    def starts(self, key: RandomKey | int, count: int) -> Float[np.ndarray, "count m"]:
        """Points of {F = 0} for chains to start at, one prior draw projected to each; not draws from the posterior.

        The projection of a prior draw is somewhere on {F = 0}, by no law of use: let chains forget it. Draws that
        reach no point, or one where J loses rank or the prior has no density, are replaced by others, up to 50 for
        each start; if fewer than `count` are found then, they are repeated.
        Raises InputError where none is found, or the observation is not finite.

        Arguments:
            key: a `jax.random` key, or an integer seed.
            count: how many.

        Returns:
            (count, m), rows on {F = 0}.
        """
        return _starts(key_or_seed(key), self, count)


class _Start(NamedTuple):
    """A prior draw's projection; distance ‖g(u) - y‖ left, and whether it arrived, J has full rank, E is finite."""

    position: Vector
    distance: Scalar
    arrived: Bool[Array, ""]
    regular: Bool[Array, ""]
    allowed: Bool[Array, ""]


def conditioned(simulator: Callable, observation: Any, prior: Any) -> Conditioned:
    """The posterior of a simulator's inputs given its output, for a sampler on {u: g(u) = y}; all noise is an input.

    Raises InputError where shapes do not fit, or where outputs are as many as inputs or more: no manifold is left.

    Arguments:
        simulator: g, inputs (m,) to a floating-point output of any shape; a function or a callable pytree.
        observation: y, of the output's shape.
        prior: of the inputs, with `log_prob(u)` of u (m,), a scalar or one number for each independent input, and
            `sample(key)` or `sample(seed=key)`: a distribution of NumPyro, distrax or TFP, or `standard_normal(m)`.
            Beyond its `support`, where it says what that is, the posterior is zero.

    Returns:
        `Conditioned`: `mdf`, `energy` and `prior`, and `starts(key, count)`. The sampler must have measure="ambient":
        the default leaves √det J Jᵀ out, which gives another law.

    >>> simulator = lambda u: u[0] + jnp.exp(0.5 * u[0]) * u[1]
    >>> model = mcmc.conditioned(simulator, 1.5, mcmc.standard_normal(2))
    >>> sampler = mcmc.ConstrainedHMC(model.mdf, model.energy, step_size=0.5, num_steps=4, measure="ambient")
    >>> starts = model.starts(jax.random.key(0), 4)
    >>> chains = mcmc.run(jax.random.key(1), sampler, starts, 100, num_warmup=50)
    >>> bool(abs(jax.vmap(simulator)(chains.positions[-1]) - 1.5).max() < 1e-4)
    True
    """
    if not hasattr(prior, "sample") or not hasattr(prior, "log_prob"):
        raise InputError(f"the prior is {prior!r}; give a distribution with `sample` and `log_prob`")
    simulator = callable_pytree(simulator)
    prior = _Opaque(prior) if all_leaves([prior]) else prior
    inputs = _inputs_of(prior)
    output = jax.eval_shape(simulator, inputs)
    if not hasattr(output, "dtype") or not jnp.issubdtype(output.dtype, jnp.floating):
        raise InputError("the simulator does not return one floating-point array; make it one that does")
    if np.shape(observation) != output.shape:
        raise InputError(
            f"the observation has shape {np.shape(observation)} and the simulator's output {output.shape}; make the "
            "two the same"
        )
    if output.size >= inputs.size:
        raise InputError(
            f"{output.size} outputs of {inputs.size} inputs leave no manifold to sample; give the simulator its noise "
            "as further inputs, so that there are more inputs than outputs"
        )
    mdf = Partial(_difference, simulator, jnp.asarray(observation, output.dtype))
    return Conditioned(mdf, Partial(_minus_log_density, prior), prior)


def _inputs_of(prior):
    """Shape and type of a draw, (m,), if both are as they should be."""
    inputs = jax.eval_shape(lambda: _draw(prior, jax.random.key(0)))
    if inputs.ndim != 1 or not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise InputError(
            f"a draw from the prior has shape {inputs.shape} and type {inputs.dtype}; give a prior of floating-point "
            "vectors (m,), such as mcmc.standard_normal(m)"
        )
    density = jax.eval_shape(prior.log_prob, inputs)
    if density.shape not in ((), inputs.shape):
        raise InputError(
            f"the prior's log_prob has shape {density.shape}; it must be one number, or one for each input"
        )
    return inputs


def _draw(prior, key):
    """One draw; NumPyro takes the key first, distrax and TFP by the name of seed."""
    named = "seed" in inspect.signature(prior.sample).parameters
    return prior.sample(seed=key) if named else prior.sample(key)


def _difference(simulator, observation, u):
    return jnp.ravel(simulator(u) - observation)


def _minus_log_density(prior, u):
    """Infinite beyond the support: NumPyro's log_prob does not look where it is asked, and may be finite there."""
    value, support = -jnp.sum(prior.log_prob(u)), getattr(prior, "support", None)
    return jnp.where(jnp.all(support(u)), value, jnp.inf) if callable(support) else value


def _starts(key: RandomKey, model: Conditioned, count: int) -> Float[np.ndarray, "count m"]:
    if count < 1:
        raise InputError(f"{count} starts were asked for; ask for at least one")
    if not np.isfinite(model.mdf.args[1]).all():  # type: ignore[attr-defined]
        raise InputError("the observation holds numbers that are not finite; leave those outputs out of the simulator")
    block = min(BLOCK, max(FEWEST, 1 << (count - 1).bit_length()))
    found, tried = [], []
    for first in range(0, TRIES * max(count, FEWEST), block):
        batch = over_points(_start, (model, key), np.arange(first, first + block, dtype=np.int32), block)
        tried.append(batch._replace(position=batch.position[:0]))
        found.append(batch.position[batch.arrived & batch.regular & batch.allowed])
        if sum(map(len, found)) >= count:
            break
    positions = np.concatenate(found)
    if not len(positions):
        raise InputError(_why_none(jax.tree.map(lambda *parts: np.concatenate(parts), *tried)))
    return positions[np.arange(count) % len(positions)]


def _start(tree: tuple[Conditioned, RandomKey], index: Int[Array, ""]) -> _Start:
    model, key = tree
    reached = project(model.mdf, _draw(model.prior, jax.random.fold_in(key, index)))
    at = linearize(model.mdf, reached.position, dense=True)
    energy = jnp.asarray(model.energy(reached.position), reached.position.dtype)
    distance = jnp.linalg.norm(reached.residual)
    return _Start(reached.position, distance, reached.converged, _full_rank(at), jnp.isfinite(energy))


def _full_rank(at: Linearization) -> Bool[Array, ""]:
    """Whether each gradient stands off the span of those before it, by more than rounding."""
    sines: Residual = jnp.diag(jnp.asarray(at.gram_factor)) / at.row_norms
    return jnp.all(sines > RANK * jnp.finfo(sines.dtype).eps ** 0.5)


def _why_none(tried: _Start) -> str:
    none = f"none of {len(tried.arrived):,} prior draws led to a start"
    if not tried.regular.any():
        return (
            f"{none}, since nowhere does each output vary on its own; leave out what follows from others or is constant"
        )
    if not tried.arrived.any():
        near = np.min(tried.distance, initial=np.inf, where=np.isfinite(tried.distance))
        return (
            f"{none}, the nearest output being {near:.2g} from the observation; check that the simulator can give what "
            "was observed, or give it noise as further inputs"
        )
    return (
        f"{none}, although {tried.arrived.sum():,} reached the observation, since J loses rank there or the prior has "
        "no finite density; give a prior under which what was observed can occur"
    )
