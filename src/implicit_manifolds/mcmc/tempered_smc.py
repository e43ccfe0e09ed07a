"""Sequential Monte Carlo on {F = 0}: from draws of one law to another, and the ratio of their normalising constants.

Ours: BlackJAX 1.7.1 takes a constrained kernel and adds up log Z, but `adaptive_tempered_smc` chooses a temperature by
the particles of the one before, without their weights, so that fewer are left than were asked for; one weight that is
not finite makes all so, and one run says nothing of the error of log Z. Without its choice of temperatures, resampling
and a loop are left, a dozen lines.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfinv, logsumexp
from jax.tree_util import Partial

from .._random import key_or_seed
from .._types import Array, Energy, Float, Int, RandomKey, Scalar, callable_pytree, select
from ..errors import InputError
from ..findings import Finding, at_least, at_most
from .chains import start_chains
from .outcome import Reason
from .parallel_tempering import TemperedEnergy
from .sampler import AdjustedSampler

FEWEST, MOST, HALVINGS = 16, 1000, 50
"""Particles of a group, lest one weight be most of it; temperatures, and halvings of where the next one lies."""
DISTINCT, UNSURE, MASSLESS, REFUSED = 0.2, 0.3, 0.5, 0.2
"""Thresholds of `findings`: of a share of starts, a standard error, another share of starts, a share of steps."""
TRIALS, FIRST_TRIALS = 5, 25
"""Steps that only tune the step size, before those of every temperature and of the first."""
GAIN, FACTOR = 0.125, 2.0
"""How much of its error, in log h, a trial mends, little since acceptance may drop within a fifth of h, and at most."""


class TemperedSMC(NamedTuple):
    """What `tempered_smc` returns, as host arrays.

    positions (N, n), equally weighted draws of the target, group after group. log_normalizer: log ∫ exp(-E) dμ - log ∫
    exp(-reference) dμ; standard_error, its own. group_log_normalizers (groups,), the estimate of each group alone.
    At each temperature: inverse_temperatures (T,), the last is 1; acceptance (T,), mean of the probabilities;
    step_sizes (T,); refused (T,), the share of proposals that could not be made or undone, after which particles went
    on from where they were. dropped: starts at which E - reference is not finite, which have no mass. distinct: the
    share of all starts that have a descendant among `positions`.
    """

    positions: Float[np.ndarray, "particles n"]
    log_normalizer: float
    standard_error: float
    group_log_normalizers: Float[np.ndarray, " groups"]
    inverse_temperatures: Float[np.ndarray, " temperatures"]
    acceptance: Float[np.ndarray, " temperatures"]
    step_sizes: Float[np.ndarray, " temperatures"]
    refused: Float[np.ndarray, " temperatures"]
    dropped: int
    distinct: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What can be wrong about the draws and the ratio, each number with its threshold."""
        return (
            at_least("starts with descendants", self.distinct, DISTINCT, "few starts are behind all draws; take more"),
            at_most("standard error of log Z", self.standard_error, UNSURE, "groups differ: modes are missed by some"),
            at_most("starts without mass", self.dropped / len(self.positions), MASSLESS, "choose a nearer reference"),
            at_most(
                "steps that failed", self.refused.max(), REFUSED, "solves do not converge; begin with shorter steps"
            ),
        )


def tempered_smc(
    key: RandomKey | int,
    sampler: Any,
    positions: Float[Array | np.ndarray, "particles n"],
    *,
    reference: Energy | None = None,
    num_steps: int = 10,
    target_ess: float = 0.8,
    target_acceptance: float = 0.8,
    groups: int = 8,
) -> TemperedSMC:
    """Carry draws of exp(-reference) on M to exp(-E) by sequential Monte Carlo, and say what the ratio of masses is.

    At inverse temperature β the law is exp(-(1-β) reference - β E) by the sampler's measure. Each temperature weighs
    the particles, resamples them (systematically) and moves them by steps that keep the new law (Del Moral, Doucet &
    Jasra 2006); it lies where the weights of all particles together have the effective size asked for (Zhou,
    Johansen & Aston 2016). The sampler's step size is where the search for step sizes begins.

    Groups resample among themselves: independent runs, but for the temperatures and step sizes that they share. Were
    those given beforehand, the mean of the groups' Z would have no bias. As they are found on the way it has one of
    order 1/N, below its error of order 1/√N (Beskos, Jasra, Kantas & Thiery 2016); its log has one of minus half the
    squared error besides. standard_error is the jackknife's over groups, so that the error divided by it follows
    Student's law of groups - 1 degrees of freedom; of a part of the law that no group has found it cannot know.
    Averages over `positions` have a bias of order groups/N, of order 1/N where groups are weighed by their Z.

    Raises InputError for settings that cannot work, where a whole group has no mass, and where temperatures hardly
    rise; ValueError for starts from which no chain could leave, as `run` does.

    Arguments:
        key: a `jax.random` key, or an integer seed.
        sampler: one whose Metropolis step makes its law exact, such as `ConstrainedHMC`, with the energy E.
        positions: independent draws (N, n) on M of exp(-reference), by the sampler's measure.
        reference: their energy, a function of one point; None for zero, draws even by the measure.
        num_steps: steps of the sampler at each temperature.
        target_ess: effective share of particles that a temperature's weights leave, in (0, 1).
        target_acceptance: what step sizes are tuned to, as in `warm_up`.
        groups: at least 2; must divide N into groups of at least 16.

    Returns:
        `TemperedSMC`: positions (N, n), the log of the ratio of masses and its standard error, and what happened at
        each temperature.

    >>> angle = jax.random.uniform(jax.random.key(1), 1024, maxval=2 * jnp.pi)
    >>> even = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    >>> sampler = mcmc.ConstrainedHMC(circle.mdf, jax.tree_util.Partial(lambda x: -2 * x[0]), step_size=0.5)
    >>> found = mcmc.tempered_smc(jax.random.key(0), sampler, even)
    >>> exact = np.log(np.i0(2.0))
    >>> found.positions.shape, bool(abs(found.log_normalizer - exact) < 4 * found.standard_error)
    ((1024, 2), True)
    """
    key = key_or_seed(key)
    _check(sampler, len(positions), num_steps, target_ess, target_acceptance, groups)
    start_key, key = jax.random.split(key)
    reference = Partial(_zero) if reference is None else callable_pytree(reference)
    fixed = (replace(sampler, step_size=0.0, energy=callable_pytree(sampler.energy)), reference)
    start_chains(start_key, replace(fixed[0], energy=reference), positions, None)  # for what it refuses
    points = jnp.asarray(positions)
    particles, dtype = _Particles(points, _gaps(*fixed, points), jnp.arange(len(points))), points.dtype
    settings = _Settings(jnp.asarray(num_steps), jnp.asarray(target_ess, dtype), jnp.asarray(target_acceptance, dtype))
    power, step_size = jnp.zeros((), dtype), jnp.asarray(sampler.step_size, dtype)
    dropped = int((~np.isfinite(particles.gaps)).sum())
    masses, ladder = np.zeros(groups), list[_Temperature]()
    while power < 1:
        before, draw_key = float(power), jax.random.fold_in(key, len(ladder))
        particles, temperature = _next(*fixed, draw_key, particles, power, step_size, settings, groups)
        power, step_size = temperature.power, temperature.step_size
        ladder.append(jax.device_get(temperature))
        _refuse_standstill(before, ladder)
        masses += ladder[-1].log_means - (float(power) - before) * float(ladder[-1].lowest)
    columns = jax.tree.map(lambda *column: np.stack(column), *ladder)
    distinct = len(np.unique(particles.roots)) / len(points)
    powers, acceptance, step_sizes, refused, *_ = columns
    drawn, (total, error) = np.asarray(particles.positions), _pooled(masses)
    return TemperedSMC(drawn, total, error, masses, powers, acceptance, step_sizes, refused, dropped, distinct)


def _check(sampler, count, num_steps, target_ess, target_acceptance, groups) -> None:
    if not isinstance(sampler, AdjustedSampler):
        raise InputError("without a Metropolis step the particles' laws are others; give a ConstrainedHMC")
    if groups < 2 or count % groups or count // groups < FEWEST:
        raise InputError(
            f"{count} particles do not make {groups} groups; give 2 groups or more, each of {FEWEST} particles or more"
        )
    if num_steps < 1:
        raise InputError(f"num_steps is {num_steps}; take at least one step at each temperature")
    for name, share in (("target_ess", target_ess), ("target_acceptance", target_acceptance)):
        if not 0 < share < 1:
            raise InputError(f"{name} is {share}; it must be above 0 and below 1")


class _Particles(NamedTuple):
    """Equally weighted: where they are, E - reference there, and the starts that they descend from."""

    positions: Float[Array, "particles n"]
    gaps: Float[Array, " particles"]
    roots: Int[Array, " particles"]


class _Settings(NamedTuple):
    num_steps: Int[Array, ""]
    target_ess: Scalar
    target_acceptance: Scalar


class _Temperature(NamedTuple):
    """What `_next` did; log_means (groups,): of each group's weights exp(-(β' - β) (gap - lowest))."""

    power: Any
    acceptance: Any
    step_size: Any
    refused: Any
    log_means: Any
    lowest: Any


def _zero(x):
    return jnp.zeros((), x.dtype)


@jax.jit
def _gaps(sampler, reference, positions):
    return jax.vmap(lambda x: jnp.asarray(sampler.energy(x) - reference(x), x.dtype))(positions)


@partial(jax.jit, static_argnames="groups")
def _next(
    sampler, reference, key, particles: _Particles, power, step_size, settings: _Settings, groups: int
) -> tuple[_Particles, _Temperature]:
    """Choose the next temperature, weigh and resample for it, and move by it."""
    resample_key, move_key = jax.random.split(key)
    finite = jnp.isfinite(particles.gaps)
    lowest = jnp.min(jnp.where(finite, particles.gaps, jnp.inf))
    above = jnp.where(finite, particles.gaps - lowest, jnp.inf)
    raised = _next_power(above, power, settings.target_ess)
    log_weights = _log_weights(above, raised - power).reshape(groups, -1)
    log_means = logsumexp(log_weights, axis=1) - jnp.log(log_weights.shape[1])
    chosen = jax.vmap(_systematic)(jax.random.split(resample_key, groups), log_weights)
    chosen = (chosen + log_weights.shape[1] * jnp.arange(groups)[:, None]).ravel()
    tempered = replace(sampler, energy=TemperedEnergy(sampler.energy, reference, raised))
    trials = jnp.where(power > 0, TRIALS, FIRST_TRIALS)
    moved, step_size, shares = _moved(move_key, tempered, particles.positions[chosen], step_size, trials, settings)
    particles = _Particles(moved, _gaps(sampler, reference, moved), particles.roots[chosen])
    return particles, _Temperature(raised, shares[0], step_size, shares[1], log_means, lowest)


def _log_weights(above, increment):
    return jnp.where(jnp.isfinite(above), -increment * above, -jnp.inf)


def _next_power(above, power, target_ess) -> Scalar:
    """The β up to 1 at which weights leave `target_ess` of those particles that have any mass, by bisection."""
    least = jnp.log(target_ess * jnp.sum(jnp.isfinite(above)))

    def enough(increment):
        log_weights = _log_weights(above, increment)
        return 2 * logsumexp(log_weights) - logsumexp(2 * log_weights) >= least

    def halve(_, interval):
        low, high = interval
        middle = 0.5 * (low + high)
        more = enough(middle)
        return jnp.where(more, middle, low), jnp.where(more, high, middle)

    low, _ = jax.lax.fori_loop(0, HALVINGS, halve, (jnp.zeros_like(power), 1 - power))
    return jnp.where(enough(1 - power), 1, power + low)


def _systematic(key, log_weights) -> Int[Array, " count"]:
    """Whom each of as many places goes to: one uniform number for all; nobody without mass gets one, by rounding."""
    reached = jnp.cumsum(jnp.exp(log_weights - jnp.max(log_weights)))
    count = len(reached)
    places = (jnp.arange(count) + jax.random.uniform(key, (), reached.dtype)) / count * reached[-1]
    return jnp.minimum(jnp.searchsorted(reached, places, side="right"), jnp.searchsorted(reached, reached[-1]))


def _moved(key, sampler, positions, step_size, trials, settings: _Settings):
    """Where the steps lead, their size, and two shares: mean acceptance, and what could not be made or undone.

    Trials tune the size and are then forgotten: were particles to move by steps whose size follows their own
    acceptance, their law would be another.
    """
    start_key, step_key = jax.random.split(key)
    states = jax.vmap(sampler.init)(positions, jax.random.split(start_key, len(positions)))

    def step(index, carry):
        states, step_size, totals = carry
        trial, keys = index < trials, jax.random.split(jax.random.fold_in(step_key, index), len(positions))
        moved, info = jax.vmap(replace(sampler, step_size=step_size).step)(keys, states)
        undecided = (info.reason != Reason.ACCEPTED) & (info.reason != Reason.ENERGY)
        shares = jnp.stack([jnp.mean(info.acceptance_probability), jnp.mean(undecided, dtype=positions.dtype)])
        step_size *= jnp.where(trial, _correction(shares[0], settings.target_acceptance), 1)
        return select(trial, states, moved), step_size, totals + jnp.where(trial, 0, shares)

    carry = (states, step_size, jnp.zeros(2, positions.dtype))
    states, step_size, totals = jax.lax.fori_loop(0, trials + settings.num_steps, step, carry)
    return states.position, step_size, totals / settings.num_steps


def _correction(acceptance, target) -> Scalar:
    """The factor of a step size; leapfrog steps of size h are accepted as 1 - erf(c h²) (Beskos et al. 2013)."""
    ratio = erfinv(1 - target) / jnp.maximum(erfinv(1 - acceptance), jnp.finfo(target.dtype).tiny)
    return jnp.clip(ratio**GAIN, 1 / FACTOR, FACTOR)


def _refuse_standstill(before: float, ladder: list) -> None:
    last, massless = ladder[-1], np.flatnonzero(~np.isfinite(ladder[-1].log_means))
    if len(massless):
        raise InputError(
            f"E - reference is finite at no start of {len(massless)} groups (first: {massless[0]}); "
            "give more particles or fewer groups"
        )
    if not last.power > before or (len(ladder) >= MOST and last.power < 1):
        raise InputError(
            f"after {len(ladder)} temperatures β is {before:.3g} and hardly rises; give a reference nearer to the "
            "energy, turn on float64 or lower target_ess"
        )


def _pooled(masses: np.ndarray) -> tuple[float, float]:
    """log of the mean of exp(masses) and its standard error by the jackknife (Efron & Stein 1981)."""
    groups = len(masses)
    every = np.broadcast_to(masses, (groups, groups))
    others = _log_mean(every[~np.eye(groups, dtype=bool)].reshape(groups, -1))
    return float(_log_mean(masses)), float(np.sqrt((groups - 1) * np.var(others)))


def _log_mean(masses: np.ndarray) -> Any:
    return np.logaddexp.reduce(masses, axis=-1) - np.log(masses.shape[-1])
