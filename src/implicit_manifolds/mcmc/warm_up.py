"""Warm-up of many chains: one step size, a metric, lengths of trajectories, and lanes that stand still."""

import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from .._devices import automatic, on_host
from .._loops import progress_bar
from .._random import host_generator, key_or_seed
from .._types import Array, Float, RandomKey, relative_tolerance
from ..choices import check_choice
from ..errors import ChainsStuck
from .chains import restarted, start_chains
from .dual_averaging import Averages, adapted, before_scale, covariance
from .lengths import tuned_lengths
from .metric import STILL, Metric, accuracy_of, is_faster, is_uneven, scale_of
from .outcome import Reason
from .sampler import AdjustedSampler, Sampler

FEWEST = 50
ENOUGH = 150
"""Steps below which no metric is looked for."""
FIRST, LAST = 0.15, 0.3
"""Shares of warm-up before the windows of a metric, and after them, at least."""
WINDOW = 25
"""Steps of the first window; each that follows is twice as long."""
MISSED = 0.2
"""How far below its target an acceptance is told of."""


class WarmUp(NamedTuple):
    """What `warm_up` returns.

    sampler with its step size, and its scale and `max_steps` where they were tuned; state, the chains' last; acceptance
    (chains,), of each chain at the end; restarted, indices of chains that stood still and went on from where others
    were.
    """

    sampler: Any
    state: Any
    acceptance: Any
    restarted: Any


def warm_up(
    key: RandomKey | int,
    sampler: Sampler,
    positions: Float[Array | np.ndarray, "chains n"],
    num_steps: int,
    target_acceptance: float = 0.8,
    *,
    metric: Metric = "auto",
    progress: bool = False,
    mesh: Mesh | None = None,
) -> WarmUp:
    """Tune step size, metric and lengths of trajectories, which all chains share, and let chains forget their starts.

    A proposal that cannot be made or undone counts as acceptance 0. Lanes that stand still are restarted from others,
    named in the result and in a warning; an acceptance far below the target is warned of. Raises `ChainsStuck` where
    more than half of the chains stand still, although acceptance looks fine or because every proposal is refused;
    InputError or ValueError for starts as in `run`, under 50 steps, and for samplers without a Metropolis step.

    Arguments:
        key: a `jax.random` key, or an integer seed.
        sampler: one with a Metropolis step; its step size, scale and `max_steps` are where the search begins. Without
            `max_steps` lengths stay as they are; with it about ten short pilots are run besides `num_steps`.
        positions: starts (chains, n), on M.
        num_steps: at least 50, better 300; with a metric better 500.
        target_acceptance: about 0.8 for several leapfrog steps, 0.65 for one.
        metric: the mass matrix, the inverse of a covariance pooled over chains. "diagonal" or "dense" adapt it in
            windows; "auto" takes a diagonal one where spreads of coordinates differ more than threefold and steps then
            carry farther; "identity" leaves the sampler's scale as it is. Under 150 steps all leave it.
        progress: show a bar.
        mesh: devices to share the chains among, as in `run`.

    Returns:
        `WarmUp`: the sampler with what was tuned, the chains' last state, their acceptance (chains,), and who was
        restarted.

    >>> slow = mcmc.ConstrainedHMC(circle.mdf, lambda x: -2 * x[0], step_size=0.01)
    >>> tuned = mcmc.warm_up(0, slow, circle.anchors, 200)
    >>> bool(tuned.sampler.step_size > 0.3), len(tuned.restarted)
    (True, 0)
    """
    mesh, key = automatic(mesh), key_or_seed(key)
    check_choice("metric", metric, Metric)
    if not isinstance(sampler, AdjustedSampler):
        raise ValueError("warm-up tunes samplers with a Metropolis step; give this one its step size")
    if num_steps < FEWEST:
        raise ValueError(f"{num_steps} steps tune nothing; warm up for at least {FEWEST}, better 300")
    start_key, key = jax.random.split(key)
    states = start_chains(start_key, sampler, positions, mesh)
    with progress_bar("warming up", num_steps, progress) as bar:
        run = _Run(key, sampler, states, target_acceptance, mesh, bar)
        return run.through(num_steps, metric)


class _Run:
    """Warm-up as it goes from stage to stage; each begins where the last ended, with a step size to start from."""

    def __init__(self, key, sampler, states, target, mesh, bar):
        self.key, self.sampler, self.states = key, sampler, states
        self.target, self.mesh, self.bar = target, mesh, bar
        self.adapts = self.products = False
        self.stages, self.restarted, self.causes = 0, np.zeros(0, int), np.zeros(len(Reason))

    def through(self, num_steps: int, metric: Metric) -> WarmUp:
        """All stages."""
        self.adapts = metric != "identity" and num_steps >= ENOUGH and hasattr(self.sampler, "scale")
        self.products = metric == "dense"
        first, windows, last = _stages(num_steps) if self.adapts else (0, [], num_steps)
        if self.adapts:
            self.find_metric(first, windows, metric)
        if getattr(self.sampler, "max_steps", None) is not None:
            half = last // 2
            self.stage(half)
            self.sampler, self.states = tuned_lengths(self.next_key(), self.sampler, self.states, self.mesh)
            last -= half
        averages = self.stage(last, is_last=True)
        if len(self.restarted):
            told = _told("stood", self.restarted, averages, self.causes)
            warnings.warn(f"{told}; they went on from where others were", stacklevel=3)
        _warn_of_acceptance(averages.acceptance, self.target)
        return WarmUp(self.sampler, self.states, averages.acceptance, self.restarted)

    def find_metric(self, first: int, windows: list[int], metric: Metric) -> None:
        """Windows of the metric; "auto" goes back to none where steps do not carry farther with it."""
        averages, plain = self.stage(first), self.sampler
        for count, next_count in zip([first, *windows], [*windows, 0], strict=True):
            found = covariance(averages, count)
            if metric != "auto" or self.is_uneven(found):
                self.rescale(scale_of(found, len(averages.moved) * (count - count // 2)))
            if next_count:
                averages = self.stage(next_count)
        if metric != "auto" or self.sampler.scale is plain.scale:
            return
        averages = self.stage(WINDOW)
        if not is_faster(float(self.sampler.step_size), np.asarray(self.sampler.scale), float(plain.step_size)):
            self.sampler = plain
            self.begin_again(self.states.position)

    def stage(self, count: int, is_last: bool = False) -> Averages:
        """Tune the step size for `count` steps, and put chains that stood still where others are.

        Where a metric is looked for, moments are summed in every stage, needed or not: without them is another program.
        """
        centre = before_scale(self.sampler, self.states).mean(axis=0) if self.adapts else None
        key, sampler, states = self.next_key(), self.sampler, self.states
        self.states, averages = adapted(
            key, sampler, states, count, self.target, centre, self.products, self.mesh, self.bar
        )
        step_size = np.exp(averages.log_average)
        self.sampler = replace(self.sampler, step_size=jnp.asarray(step_size, self.states.position.dtype))
        self.restart(averages, count, float(np.mean(step_size)), is_last)
        return averages

    def rescale(self, scale: np.ndarray) -> None:
        """Another scale, and a step size that carries the widest coordinate as far as before."""
        old = 1.0 if self.sampler.scale is None else np.max(np.abs(self.sampler.scale))
        dtype = self.states.position.dtype
        step_size = np.minimum(np.asarray(self.sampler.step_size) * old / np.max(np.abs(scale)), 1.0)
        step_size = np.maximum(step_size, 0.05)  # far below, where narrow coordinates held the old one back
        self.sampler = replace(self.sampler, scale=jnp.asarray(scale, dtype), step_size=jnp.asarray(step_size, dtype))
        self.begin_again(self.states.position)

    def begin_again(self, positions) -> None:
        """States of the chains under the sampler as it is now."""
        self.states = restarted(self.next_key(), self.sampler, positions, self.mesh)

    def is_uneven(self, variances: np.ndarray) -> bool:
        """Whether a diagonal scale could pay."""
        return is_uneven(variances, accuracy_of(on_host(self.states.position)))

    def restart(self, averages: Averages, count: int, step_size: float, is_last: bool) -> None:
        """Put chains that stood still where others are; at the end raise ChainsStuck where most did."""
        positions = on_host(self.states.position)
        reach = np.maximum(1, np.linalg.norm(positions, axis=1))
        moved = np.sqrt(averages.moved / (count - count // 2))
        stuck = np.flatnonzero(~(moved > STILL * relative_tolerance(positions.dtype) * reach))
        if not len(stuck):
            return
        if 2 * len(stuck) > len(positions):
            if is_last:
                raise ChainsStuck(_why_stuck(averages, stuck, positions.dtype, step_size))
            return
        others = np.setdiff1d(np.arange(len(positions)), stuck)
        chosen = host_generator(self.next_key()).choice(others, len(stuck))
        positions = positions.copy()
        positions[stuck] = positions[chosen]
        self.begin_again(positions)
        self.restarted = np.union1d(self.restarted, stuck)
        self.causes += averages.reasons[stuck].sum(axis=0)

    def next_key(self):
        """A key for the next stage."""
        self.stages += 1
        return jax.random.fold_in(self.key, self.stages)


def _stages(num_steps: int) -> tuple[int, list[int], int]:
    """Steps before the windows, of each window, and after them."""
    first, rest = int(FIRST * num_steps), int((1 - FIRST - LAST) * num_steps)
    windows: list[int] = []
    size = WINDOW
    while sum(windows) + size <= rest:
        windows.append(size)
        size *= 2
    return first, windows, num_steps - first - sum(windows)


def _told(stand: str, stuck, averages: Averages, reasons) -> str:
    """Which chains stand still, and why."""
    cause = Reason(int(reasons[1:].argmax()) + 1).name.lower().replace("_", " ")
    return (
        f"{len(stuck)} of {len(averages.moved)} chains (first: {stuck[0]}) {stand} still, their proposals refused "
        f"(mostly: {cause})"
    )


def _why_stuck(averages: Averages, stuck, dtype, step_size: float) -> str:
    refused = stuck[averages.reasons[stuck, Reason.ACCEPTED] == 0]
    if not len(refused):
        acceptance = float(averages.acceptance[stuck].mean())
        return (
            f"{len(stuck)} of {len(averages.moved)} chains (first: {stuck[0]}) stand still although acceptance reads "
            f"{acceptance:.2f}: in {dtype} steps of size {step_size:.0e} are lost in rounding; rescale the energy or "
            "turn on float64"
        )
    told = _told("stand", refused, averages, averages.reasons[refused].sum(axis=0))
    return f"{told}; start them on M where F and the energy are smooth, or from a smaller step size"


def _warn_of_acceptance(acceptance, target: float) -> None:
    if acceptance.mean() < target - MISSED:
        warnings.warn(
            f"warm-up reached an acceptance of {acceptance.mean():.2f} where {target:.2f} was asked for; take more "
            "steps of warm-up, and look at the causes of refusal in summary",
            stacklevel=4,
        )
