"""Step 2 by score matching, tangential and without a normaliser (Hyvärinen 2005; Mardia, Kent & Laha 2016)."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._pytree import pytree
from .._random import derived_keys, host_generator
from .._types import MDF, Array, Energy, Float, Int, RandomKey
from ..manifold.tangent import framed, linearize, pseudo_inverse_times, tangent_projection
from ..networks.mixtures import PiecewiseMixture
from ..tables import Rows
from ..training.loop import History, train_afresh
from ..training.objective import Objective, Terms
from ..volumes.atlas import charts_of, draw_pool
from ..volumes.importance import MIN_NORMALIZER_DRAWS
from ..volumes.manifold import Manifold
from ..volumes.parts import components, part_of
from ..volumes.pools import Pool, log_integral
from .members import (
    Best,
    FoldedPoints,
    MembersConfig,
    better,
    folds,
    initial_members,
    member_energies,
    own_fold_losses,
    summed_losses,
    untrained,
)


@dataclass(frozen=True, kw_only=True)
class ScoreMatchingConfig(MembersConfig):
    """Step 2 by tangential score matching: the same energies, without points of M."""

    batch_size: int = 200


def score_matching_loss(
    key: RandomKey,
    mdf: MDF,
    energy: Energy,
    points: Float[Array | np.ndarray, "batch n"],
    weights: Float[Array, " batch"] | None = None,
    tolerance: float | None = None,
) -> Terms:
    """Mean ½‖s‖² - div_M s, s = P∇E, over points x (batch, n) of M, with optional weights (batch,).

    div_M s = tr(P Ds P) is estimated by one probe of random signs a point (Hutchinson 1990), by Jacobian-vector
    products alone, so that it serves any number of constraints. Least, up to a constant on each connected part of M, at
    the density exp(-E): the parts' weights it cannot see. tolerance is that of conjugate gradients,
    as in `tangent_projection`. Returns the loss and its terms.
    """

    def one(x, probe):
        at = linearize(mdf, x)
        along = tangent_projection(mdf, at, probe, tolerance)
        gradient, change = jax.jvp(jax.grad(energy), (x,), (along,))
        # With J v = 0, v·D_v(P∇E) = v·∇²E v - F''[v, v]·G⁻¹J∇E, which takes no derivative of a linear solve.
        local = framed(mdf, at)
        bend = jax.jvp(lambda y: jax.jvp(local, (y,), (along,))[1], (x,), (along,))[1]
        divergence = jnp.vdot(along, change) - jnp.vdot(pseudo_inverse_times(mdf, at, bend, tolerance), gradient)
        return jnp.sum(tangent_projection(mdf, at, gradient, tolerance) ** 2) / 2, divergence

    probes = jax.random.rademacher(key, points.shape, points.dtype)
    squares, divergences = jax.vmap(one)(points, probes)
    terms = {"square": jnp.average(squares, weights=weights), "divergence": jnp.average(divergences, weights=weights)}
    return terms["square"] - terms["divergence"], terms


@pytree
@dataclass(frozen=True, eq=False)
class ScoreMatchingObjective(Objective):
    """Tangential score matching of stacked energies on M, no pool needed; early stopping as in `LikelihoodObjective`.

    The memory is `Best`.
    """

    mdf: MDF
    data: FoldedPoints
    config: ScoreMatchingConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model) -> Best:
        """Untrained members."""
        return untrained(model, self.config.members)

    def refresh(self, key: RandomKey, model, memory: Best) -> Best:
        """Whichever of each member's parameters validate best, judged by the same probes each time."""
        return _judged_by_score(jax.random.key(0), self.mdf, model, memory, self.data)

    def loss(self, key: RandomKey, model, batch: FoldedPoints, negatives):
        """Summed `score_matching_loss` of the members; terms are means."""
        one = lambda member, seen: score_matching_loss(key, self.mdf, member, batch.points, seen)
        return summed_losses(one, model, batch)


@jax.jit
def _judged_by_score(key, mdf, members, best: Best, data: FoldedPoints) -> Best:
    losses = own_fold_losses(lambda m, fold: score_matching_loss(key, mdf, m, data.points, fold), members, data)
    return better(members, losses, best)


def fit_score_matching(
    key: RandomKey,
    manifold: Manifold,
    points: Float[Array, "a n"],
    config: ScoreMatchingConfig = ScoreMatchingConfig(),
    *,
    fold: Int[np.ndarray, " a"] | None = None,
    stream: Rows | None = None,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[Energy, History]:
    """Learn E on a frozen M from points (a, n) on it by tangential score matching.

    Members, folds and stream as in `fit_likelihood`; folds (a,) are random unless given. What score matching cannot
    see, the weights of M's connected parts, is set afterwards from its charts; without them E is the member of least
    validation loss, and parts keep weights that mean nothing. Returns E and the history. Raises TrainingDiverged.
    """
    model_key, fold_key, train_key, weight_key = derived_keys(key, 4)
    fold = folds(host_generator(fold_key), np.asarray(points), config.members) if fold is None else fold
    members = initial_members(model_key, points.shape[1], config)
    data = FoldedPoints(points, jnp.asarray(fold))
    objective = ScoreMatchingObjective(manifold.mdf, data, config)
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    seen = data if stream is None else stream
    state, history = train_afresh("energy", train_key, members, objective, seen, config, **options)
    best = state.memory
    if manifold.atlas is None:
        least = int(jnp.argmin(best.losses))
        return jax.tree.map(lambda leaf: leaf[least], best.members), history
    pool = draw_pool(weight_key, manifold, MIN_NORMALIZER_DRAWS)
    return _weighed_by_part(best.members, np.asarray(points), manifold, pool), history


def _weighed_by_part(members, points, manifold: Manifold, pool: Pool) -> PiecewiseMixture:
    """The mean of the members' densities, each connected part of M with the share of the points that lie on it."""
    atlas, part = charts_of(manifold), components(manifold)
    energies = member_energies(members, pool.points)
    of_pool, of_data = (part_of(atlas, part, rows) for rows in (pool.points, points))
    rows = []
    for number in range(part.max() + 1):
        # Half a point more for each part: one that no data are on is unlikely, not impossible.
        share = (np.sum(of_data == number) + 0.5) / (len(of_data) + 0.5 * (part.max() + 1))
        logs = np.where(of_pool[:, None] == number, -energies, -np.inf)
        rows.append([math.log(share / energies.shape[1]) - log_integral(pool, column).value for column in logs.T])
    log_weights = jnp.asarray(rows, points.dtype)
    return PiecewiseMixture(members, jnp.asarray(atlas.bases), jnp.asarray(part), log_weights)
