"""Steps of many chains at once, inside jit, on one device or spread over many."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._devices import on_host, placed, replicated
from .._loops import over_points
from .._types import Array, Float, Int, RandomKey
from ..manifold.algebra import pull_back
from ..manifold.multipliers import residual_weights
from ..manifold.projection import project
from .outcome import Reason, inside
from .phase_space import reverse_floor
from .reparametrised import reparametrisation
from .sampler import AdjustedSampler, Sampler

OFF = 50
"""Starts farther from F = 0 than this many tolerances are off M; a reversed step may miss its start by 100."""


@jax.jit
def initial_states(sampler: Sampler, positions: Float[Array, "chains n"], key: RandomKey | None = None):
    """States of chains that start at `positions` (chains, n), at rest where no key is given."""
    if key is None:
        return jax.vmap(sampler.init)(positions)
    return jax.vmap(sampler.init)(positions, jax.random.split(key, len(positions)))


def step_of_all(mesh: Mesh | None):
    """`(sampler, keys, states) -> (states, Info)` for all chains; over a mesh each device steps its own, alone."""
    step = lambda sampler, keys, states: jax.vmap(sampler.step)(keys, states)
    if mesh is not None:
        chains = PartitionSpec(mesh.axis_names)
        step = jax.shard_map(
            step, mesh=mesh, in_specs=(PartitionSpec(), chains, chains), out_specs=chains, check_vma=False
        )
    return jax.jit(step)  # traced once for its shapes and for the loop


def advance(key: RandomKey, sampler: Sampler, states, num_steps: Int[Array, ""] | int, mesh: Mesh | None = None):
    """Take `num_steps` steps of all chains inside jit; returns states and each chain's summed Info.

    What of Info is not finite, such as the residual of a step that diverged and was not taken, adds nothing.

    `num_steps` may be traced, so a new count compiles nothing.
    """
    chains = jax.tree.leaves(states)[0].shape[0]
    step_all = step_of_all(mesh)

    def body(index, carry):
        states, totals = carry
        keys = jax.random.split(jax.random.fold_in(key, index), chains)
        states, info = step_all(sampler, keys, states)
        return states, added(totals, info)

    one = jax.eval_shape(lambda *arguments: step_all(*arguments)[1], sampler, jax.random.split(key, chains), states)
    return jax.lax.fori_loop(0, num_steps, body, (states, nothing_like(one)))


def nothing_like(info):
    """Zeros to which infos of these shapes are `added`."""
    counted = jax.eval_shape(_tally, info)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.result_type(leaf.dtype, jnp.float32)), counted)


def added(totals, info):
    """Totals with one more Info; what of it is not finite adds nothing, and reasons are counted."""
    add = lambda total, value: total + jnp.where(jnp.isfinite(value), value, 0)
    return jax.tree.map(add, totals, _tally(info))


def _tally(info):
    """Info with each `reason` as one number a `Reason`, so that sums count them."""

    def counted(path, leaf):
        return jax.nn.one_hot(leaf, len(Reason)) if getattr(path[-1], "name", None) == "reason" else leaf

    return jax.tree_util.tree_map_with_path(counted, info)


def start_chains(key: RandomKey, sampler: Sampler, positions, mesh: Mesh | None):
    """Initial states, one chain a row of `positions`, spread over the mesh.

    Raises ValueError where positions are no floating-point rows or do not share evenly; for a sampler that checks
    reversibility also where no chain could ever leave them: off M or beyond its end, at an energy that is not finite,
    or with a tolerance that the dtype cannot reach (in float32 chains then freeze, some at a high acceptance).
    """
    if np.ndim(positions) != 2 or not jnp.issubdtype(jnp.asarray(positions).dtype, jnp.floating):
        raise ValueError("positions must be floating-point numbers of shape (chains, n)")
    states = _spread_states(key, sampler, positions, mesh)
    if isinstance(sampler, AdjustedSampler):
        _refuse_starts(sampler, *on_host(_start_faults(sampler, states)))
    return states


@jax.jit
def _start_faults(sampler, states):
    """At each start, in this order: how far F is from zero in units of what counts as such, F's rounding, the least
    distance that a reversed move can be held to, whether U is finite, and whether M has it.
    """

    def one(state):
        at = state.linearization
        excess = jnp.linalg.norm(residual_weights(at, sampler.tolerance) * at.residual)
        reach = jnp.maximum(1, jnp.linalg.norm(at.position))
        rounding = jnp.finfo(reach.dtype).eps * reach * jnp.max(at.row_norms)
        has = inside(getattr(sampler, "box", None), state.position, at.within)
        return excess, rounding, reverse_floor(at, sampler.tolerance), jnp.isfinite(state.potential), has

    return jax.vmap(one)(states)


def _refuse_starts(sampler: AdjustedSampler, excess, rounding, floor, finite, has) -> None:
    tolerance, reverse = sampler.tolerance, sampler.reverse_tolerance
    if tolerance is not None and tolerance < np.median(rounding):
        raise ValueError(
            f"the tolerance of {float(tolerance):.0e} is below the rounding of F in {rounding.dtype}, "
            f"{np.median(rounding):.0e}; leave it unset or turn on float64"
        )
    if reverse is not None and reverse < np.median(floor):
        raise ValueError(
            f"the reverse tolerance of {float(reverse):.0e} is below ten times what solves leave in {floor.dtype}, "
            f"{np.median(floor):.0e}, and would bias the law; leave it unset"
        )
    off, infinite, outside = (np.flatnonzero(bad) for bad in (~(excess <= OFF), ~finite, ~has))
    if len(off):
        raise ValueError(
            f"{len(off)} of {len(excess)} starts (first: {off[0]}) do not lie on {{F = 0}} to the accuracy of their "
            "dtype; bring them there with manifold.project"
        )
    if len(outside):
        raise ValueError(
            f"{len(outside)} of {len(has)} starts (first: {outside[0]}) lie outside the box or the domain of F, where "
            "M ends; leave them out"
        )
    if len(infinite):
        raise ValueError(f"the energy is not finite at {len(infinite)} of {len(finite)} starts (first: {infinite[0]})")


def _spread_states(key, sampler, positions, mesh):
    if mesh is None:
        return initial_states(sampler, jnp.asarray(positions), key)
    if len(positions) % mesh.size:
        raise ValueError(
            f"{len(positions)} chains cannot be shared evenly among {mesh.size} devices; change their number"
        )
    spread = placed(positions, NamedSharding(mesh, PartitionSpec(mesh.axis_names)))
    return initial_states(replicated(sampler, mesh), spread, replicated(key, mesh))


def restarted(key: RandomKey, sampler: Any, positions, mesh: Mesh | None):
    """States of chains that go on from `positions` (chains, n), where chains have been, with another sampler.

    In other coordinates F counts as zero at another accuracy, and a step back to a point off M fails: so they are
    brought onto M in those of the new sampler.
    """
    projected = over_points(_onto, (sampler.mdf, reparametrisation(sampler), sampler.tolerance), on_host(positions))
    return _spread_states(key, sampler, projected, mesh)


def _onto(tree, x):
    mdf, change, tolerance = tree
    if change is None:
        found = project(mdf, x, tolerance)
        return jnp.where(found.converged, found.position, x)
    found = project(pull_back(mdf, change), change.inverse(x), tolerance)
    return jnp.where(found.converged, change(found.position), x)
