"""What a run of chains is worth: R-hat, effective sizes, refusals by cause, distance from M."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from .._loops import over_points
from ..findings import Finding, at_least, at_most, sentences
from ..manifold.tangent import linearize, tangent_projection
from .metric import STILL, accuracy_of
from .outcome import Reason
from .run import Chains

R_HAT, ESS, ACCEPTANCE, FAILED = 1.01, 400.0, 0.1, 0.1
BLOCK = 8192
LOOKS, ALONG = 64, 0.01
"""Draws at which coordinates that hardly vary are looked at; the part of one's direction that may yet be tangent."""
TAILS = 0.05, 0.95


class Summary(NamedTuple):
    """r_hat, ess_bulk, ess_tail (n,) of each coordinate; shares of steps by cause; largest ‖F‖ of all draws, or None.

    r_hat is rank-normalised and split (Vehtari et al. 2021), effective sizes are of all chains together; all are NaN
    for a coordinate that F holds, which varies by rounding alone. acceptance is the mean acceptance probability,
    lowest_acceptance that of the twentieth of chains (at least one) that have least, both None without a Metropolis
    step: far below the mean, steps are too long where these chains are. non_finite, unmoved: chains that ended not
    finite, or never moved between draws.
    """

    r_hat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray
    reasons: dict[str, float]
    acceptance: float | None
    lowest_acceptance: float | None
    largest_residual: float | None
    non_finite: int
    unmoved: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What can be wrong about the run, each number with its threshold (of R-hat and sizes, Vehtari et al. 2021)."""
        failed = sum(self.reasons.get(name, 0.0) for name in ("NOT_CONVERGED", "NOT_REVERSIBLE", "NON_FINITE"))
        least = 1.0 if self.lowest_acceptance is None else self.lowest_acceptance
        return (
            at_most("largest R-hat", _largest(self.r_hat), R_HAT, "chains have not mixed; run longer, or with jumps"),
            at_least("least bulk size", -_largest(-self.ess_bulk), ESS, "means are known to too few draws; run longer"),
            at_least("least tail size", -_largest(-self.ess_tail), ESS, "tails are known to too few draws; run longer"),
            at_most("chains not finite", self.non_finite, 0, "an energy or F is not finite where they went"),
            at_most("chains that never moved", self.unmoved, 0, "their draws are their starts; take shorter steps"),
            at_least("acceptance of the slowest chains", least, ACCEPTANCE, "steps are too long where these are"),
            at_most("share of steps that failed", failed, FAILED, "solves do not converge or lead back; shorter steps"),
        )

    def __str__(self) -> str:
        """A few lines to read."""
        lines = [f"{'coordinate':>10} {'R-hat':>7} {'bulk ESS':>9} {'tail ESS':>9}"]
        rows = zip(self.r_hat, self.ess_bulk, self.ess_tail, strict=True)
        lines += [f"{i:>10} {hat:7.3f} {bulk:9.0f} {tail:9.0f}" for i, (hat, bulk, tail) in enumerate(rows)]
        lines += [f"{name.lower().replace('_', ' ')}: {share:.2%}" for name, share in self.reasons.items() if share]
        if self.acceptance is not None:
            lines.append(
                f"mean acceptance probability: {self.acceptance:.3f}, "
                f"of the chains with least: {self.lowest_acceptance:.3f}"
            )
        if self.largest_residual is not None:
            lines.append(f"largest |F|: {self.largest_residual:.1e}")
        lines.append(f"chains not finite: {self.non_finite}, that never moved: {self.unmoved}")
        return "\n".join([*lines, *sentences(self.findings)])


def _largest(values: np.ndarray) -> float:
    """Of the coordinates that vary; NaN where none does."""
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")


def summary(chains: Chains) -> Summary:
    """Diagnose a run of at least four samples; `print` it for a table. Raises ValueError for fewer.

    Arguments:
        chains: what `run` returned.

    Returns:
        `Summary`: R-hat and effective sizes (n,) of the coordinates, shares of steps by cause, largest ‖F‖.

    >>> energy = jax.tree_util.Partial(lambda x: -2 * x[0])
    >>> sampler = mcmc.ConstrainedHMC(circle.mdf, energy, step_size=0.8)
    >>> found = mcmc.summary(mcmc.run(jax.random.key(0), sampler, circle.anchors, 500))
    >>> found.r_hat.shape, bool(found.acceptance > 0.5), found.non_finite
    ((2,), True, 0)
    """
    if len(chains.positions) < 4:
        raise ValueError(f"{len(chains.positions)} samples a chain cannot be diagnosed; draw at least 4")
    from arviz_stats.base import array_stats  # slow to import

    draws = np.moveaxis(np.asarray(chains.positions, np.float64), 0, 1)
    axes: dict[str, Any] = {"chain_axis": 0, "draw_axis": 1}
    reasons = getattr(chains.info, "reason", None)
    acceptance = getattr(chains.info, "acceptance_probability", None)
    if acceptance is not None:
        acceptance = acceptance.reshape(len(acceptance), -1).mean(axis=1)
    mdf = getattr(chains.sampler, "mdf", None)
    varies = ~_held(mdf, np.asarray(chains.positions))
    return Summary(
        np.where(varies, array_stats.rhat(draws, method="rank", **axes), np.nan),
        np.where(varies, array_stats.ess(draws, method="bulk", **axes), np.nan),
        np.where(varies, array_stats.ess(draws, method="tail", prob=TAILS, **axes), np.nan),
        {} if reasons is None else dict(zip(Reason.__members__, reasons.mean(axis=0).tolist(), strict=True)),
        None if acceptance is None else float(acceptance.mean()),
        None if acceptance is None else float(np.sort(acceptance)[: max(1, len(acceptance) // 20)].mean()),
        None if mdf is None else float(_residuals(mdf, chains.positions).max()),
        int(chains.non_finite.sum()),
        int((chains.positions == chains.positions[0]).all(axis=(0, 2)).sum()),
    )


def _held(mdf, positions: np.ndarray) -> np.ndarray:
    """Coordinates that vary by the accuracy of solves at most, and that M does not extend along, (n,).

    Without an F it is rounding of the coordinate itself that they may vary by.
    """
    spread = positions.astype(np.float64).std(axis=(0, 1))
    if mdf is None:
        return spread <= STILL * np.finfo(positions.dtype).eps * np.abs(positions).max(axis=(0, 1))
    still = spread <= accuracy_of(positions)
    flat = positions.reshape(-1, positions.shape[-1])
    some = flat[:: max(1, len(flat) // LOOKS)]
    for axis in np.flatnonzero(still):
        direction = (np.arange(len(still)) == axis).astype(positions.dtype)
        still[axis] = np.median(over_points(_along, (mdf, direction), some, BLOCK)) < ALONG
    return still


def _along(tree, x):
    """How much of a direction is tangent to M at a point."""
    mdf, direction = tree
    return jnp.linalg.norm(tangent_projection(mdf, linearize(mdf, x), direction))


def _residuals(mdf, positions):
    flat = positions.reshape(-1, positions.shape[-1])
    return over_points(_residual_norm, mdf, flat, BLOCK)


def _residual_norm(mdf, x):
    return jnp.linalg.norm(mdf(x))
