"""Chains at several temperatures that exchange places, so that the coldest crosses between modes (Geyer 1991)."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._pytree import pytree
from .._types import Array, Float, Int, RandomKey, Scalar, Vector, callable_pytree
from ..errors import InputError
from .phase_space import PhasePoint, phase_point


@pytree
@dataclass(frozen=True, eq=False)
class TemperedEnergy:
    """(1 - β) R(x) + β E(x); R None is zero."""

    energy: Any
    reference: Any
    inverse_temperature: Any

    def __call__(self, x: Vector) -> Scalar:
        """The energy at a point (n,)."""
        cold = self.inverse_temperature * self.energy(x)
        return cold if self.reference is None else cold + (1 - self.inverse_temperature) * self.reference(x)


class TemperedState(NamedTuple):
    """The chain at β = 1, those at the others, leaves (temperatures - 1, ...), and steps so far."""

    cold: PhasePoint
    hot: PhasePoint
    turn: Int[Array, "*batch"]

    @property
    def position(self):
        """Where the coldest is, (n,); of a batch of states, (..., n)."""
        return self.cold.position

    @property
    def linearization(self):
        """F to first order there."""
        return self.cold.linearization

    @property
    def potential(self):
        """U there."""
        return self.cold.potential


class TemperedInfo(NamedTuple):
    """What one step reports, of each temperature in order (R,) but for reason, residual and iterations.

    acceptance_probability (R,); swap_probability (R - 1,) of each with the next hotter one, 0 at steps that try the
    other pairs, so half of what a swap has; reason, residual_norm: of the coldest; iterations: of all solves.
    """

    acceptance_probability: Float[Array, " temperatures"]
    swap_probability: Float[Array, " pairs"]
    residual_norm: Scalar
    iterations: Int[Array, ""]
    reason: Int[Array, ""]


@pytree
@dataclass(frozen=True, eq=False)
class ParallelTempering:
    """A step of `sampler` at each of several temperatures, then swaps of neighbours, even and odd pairs by turns.

    At inverse temperature β the energy is (1 - β) R + β E, by the measure of the sampler; neighbours at x and y swap
    with probability min(1, exp((β - β')(V(x) - V(y)))), V = E - R. Alternating pairs let a place travel up and down
    faster than pairs at random (Syed, Bouchard-Côté, Deligiannidis & Doucet 2022).

    sampler: a `ConstrainedHMC` or `ConstrainedNUTS`, whose energy is E. inverse_temperatures: (R,), falling from 1; 0
    is for a compact M, or a reference that has an integral. step_size: (R,), or one for all to begin with; `warm_up`
    tunes each to the same acceptance. reference: R, a function of a point. Take as many temperatures as swap in a fifth
    of the tries or more. F is the same at all: parts of M that no path joins stay apart, and jumps of the sampler's
    atlas cross there. Raises InputError for temperatures in another order.

    >>> cold = mcmc.ConstrainedHMC(circle.mdf, lambda x: -20 * x[0] ** 2, num_steps=3)
    >>> sampler = mcmc.ParallelTempering(cold, [1.0, 0.4, 0.1], step_size=0.3)
    >>> chains = mcmc.run(0, sampler, circle.anchors, 200, num_warmup=100)
    >>> chains.positions.shape, bool(((chains.positions[:, :, 0] > 0).mean(axis=0) > 0.1).all())
    ((200, 4, 2), True)
    """

    adjusted: ClassVar[bool] = True

    sampler: Any
    inverse_temperatures: Any
    step_size: Any = 0.1
    reference: Any = None

    def __post_init__(self) -> None:
        """Temperatures as an array, a step size for each, and a plain function as a pytree."""
        if isinstance(self.inverse_temperatures, list | tuple):
            betas = jnp.asarray(self.inverse_temperatures, jnp.result_type(float))
            object.__setattr__(self, "inverse_temperatures", betas)
            object.__setattr__(
                self, "step_size", jnp.broadcast_to(jnp.asarray(self.step_size, betas.dtype), betas.shape)
            )
        if callable(self.reference):
            object.__setattr__(self, "reference", callable_pytree(self.reference))
        _check_ladder(self.inverse_temperatures)

    @property
    def mdf(self):
        """F."""
        return self.sampler.mdf

    @property
    def tolerance(self):
        """Of F."""
        return self.sampler.tolerance

    @property
    def reverse_tolerance(self):
        """Of reversed moves."""
        return self.sampler.reverse_tolerance

    @property
    def box(self):
        """What the law is restricted to."""
        return self.sampler.box

    def at(self, inverse_temperature: Any, step_size: Any):
        """The sampler of one temperature."""
        energy = TemperedEnergy(self.sampler.energy, self.reference, inverse_temperature)
        return replace(self.sampler, energy=energy, step_size=step_size)

    def init(self, position: Vector, key: RandomKey | None = None) -> TemperedState:
        """All chains at `position` (n,), which should lie on M, with momenta of their own, or none without a key."""
        betas, step_sizes = self._of(position.dtype)
        keys = None if key is None else jax.random.split(key, len(betas))
        start = lambda beta, step_size, key: self.at(beta, step_size).init(position, key)
        states = jax.vmap(start, (0, 0, None if key is None else 0))(betas, step_sizes, keys)
        return _apart(states, jnp.zeros((), jnp.int32))

    def step(self, key: RandomKey, state: TemperedState) -> tuple[TemperedState, TemperedInfo]:
        """One step of each temperature, and one try of half of the swaps."""
        swap_key, key = jax.random.split(key)
        betas, step_sizes = self._of(state.position.dtype)
        move = lambda beta, step_size, key, state: self.at(beta, step_size).step(key, state)
        states, info = jax.vmap(move)(betas, step_sizes, jax.random.split(key, len(betas)), _together(state))
        order, probability = self._swaps(swap_key, states, betas, state.turn % 2)
        swapped = jax.tree.map(lambda leaf: leaf[order], states)
        # Where a chain is at another temperature now, its target is another.
        renew = lambda beta, step_size, at, momentum, turn: phase_point(self.at(beta, step_size), at, momentum, turn)
        states = jax.vmap(renew)(betas, step_sizes, swapped.linearization, swapped.momentum, states.turn)
        told = TemperedInfo(
            info.acceptance_probability,
            probability,
            info.residual_norm[0],
            jnp.sum(info.iterations),
            info.reason[0],
        )
        return _apart(states, state.turn + 1), told

    def _of(self, dtype):
        return jnp.asarray(self.inverse_temperatures, dtype), jnp.asarray(self.step_size, dtype)

    def _swaps(self, key, states, betas, parity):
        """Who comes to each temperature (R,), and the probabilities of pairs that were tried (R - 1,)."""
        count = len(betas)
        excess = jax.vmap(TemperedEnergy(self.sampler.energy, self.reference, 1.0))(states.position)
        if self.reference is not None:
            excess -= jax.vmap(self.reference)(states.position)
        log_ratio = (betas[:-1] - betas[1:]) * (excess[:-1] - excess[1:])
        tried = jnp.arange(count - 1) % 2 == parity
        probability = jnp.where(tried & ~jnp.isnan(log_ratio), jnp.exp(jnp.minimum(log_ratio, 0)), 0)
        swap = jax.random.uniform(key, (count - 1,), probability.dtype) < probability
        none = jnp.zeros(1, bool)
        up, down = jnp.concatenate([swap, none]), jnp.concatenate([none, swap])
        return jnp.arange(count) + up.astype(int) - down.astype(int), probability


def _check_ladder(betas) -> None:
    """Raises InputError for numbers that do not fall from 1: the first chain's law is what is drawn from."""
    known = isinstance(betas, np.ndarray | jax.Array) and not isinstance(betas, jax.core.Tracer)
    if not known or betas.ndim == 0 or not getattr(betas, "is_fully_addressable", True):
        return  # while jit rebuilds a sampler, it may hold anything
    host = np.asarray(betas)
    if not ((host[..., 0] == 1).all() and (np.diff(host) < 0).all() and (host >= 0).all()):
        raise InputError(f"the inverse temperatures are {host.tolist()}; give 1 first, then ever smaller ones")


def _together(state: TemperedState) -> PhasePoint:
    return jax.tree.map(lambda cold, hot: jnp.concatenate([cold[None], hot]), state.cold, state.hot)


def _apart(states: PhasePoint, turn) -> TemperedState:
    return TemperedState(jax.tree.map(lambda leaf: leaf[0], states), jax.tree.map(lambda leaf: leaf[1:], states), turn)
