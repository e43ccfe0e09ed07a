"""Trajectories of unequal length: chains that go on by themselves, each to its next draw, while others are on the way.

Under `vmap(step)` all chains wait at every draw for the longest of all trajectories. Here the loop is over leapfrog
steps, and a chain whose trajectory has ended begins another (as Dance, Glaser, Orbanz & Adams 2025 do with finite state
machines): only at the end of a chunk, after many draws, does one chain wait for another.
"""

from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec

from .._types import RandomKey, select
from .chains import added, nothing_like
from .sampler import Sampler

WAITING = 1 / 3
"""The share of chains whose trajectories have ended at which they are given new ones: all chains pay for that."""
LATE = 1 / 20
"""The share of chains that warm-up does not wait for: it drops its draws, so a trajectory may as well be cut."""


@runtime_checkable
class Extendable(Sampler, Protocol):
    """A sampler whose step is a trajectory that is extended while it is `going`, and then finished."""

    def begin(self, key: RandomKey, state: Any) -> Any:
        """A trajectory from a state."""
        ...

    def extend(self, path: Any) -> Any:
        """The trajectory one step longer; not called, or not heeded, where it has ended."""
        ...

    def finish(self, state: Any, path: Any) -> tuple[Any, Any]:
        """State and Info after a trajectory that began at `state`."""
        ...


def draw_unequal(key: RandomKey, sampler: Extendable, states, first, count, thinning, size: int, mesh: Mesh | None):
    """`count` ≤ `size` samples of every chain, numbered from `first`, `thinning` trajectories apart; inside jit.

    Returns the states and, in buffers (size, chains, ...), positions, the summed Info and potentials. Every chain draws
    by keys of its own, so that what it draws depends on no other. Over a mesh each device runs its own chains, alone.
    """
    draw = partial(_draw, size=size)
    if mesh is not None:
        whole, chains = PartitionSpec(), PartitionSpec(mesh.axis_names)
        draw = jax.shard_map(
            draw,
            mesh=mesh,
            in_specs=(whole, whole, chains, chains, whole, whole, whole),
            out_specs=(chains, PartitionSpec(None, mesh.axis_names)),
            check_vma=False,
        )
    lanes = jnp.arange(jax.tree.leaves(states)[0].shape[0])
    return draw(key, sampler, lanes, states, first, count, thinning)


def hurried_step_of_all(mesh: Mesh | None):
    """`(sampler, keys, states) -> (states, Info)` for all chains, where the longest twentieth of trajectories are cut.

    For warm-up alone: cutting is no exact step. Over a mesh all devices count together, so that they cut as one does.
    """
    axes = None if mesh is None else mesh.axis_names

    def step(sampler, keys, states):
        total = (lambda value: value) if axes is None else (lambda value: jax.lax.psum(value, axes))
        chains = total(jnp.asarray(len(keys)))

        def extended(carry):
            paths = _longer(sampler, carry[0])
            return paths, total(jnp.sum(paths.going)) > LATE * chains

        paths, _ = jax.lax.while_loop(
            lambda carry: carry[1], extended, extended((jax.vmap(sampler.begin)(keys, states), True))
        )
        return jax.vmap(sampler.finish)(states, paths)

    if axes is not None:
        lanes = PartitionSpec(axes)
        step = jax.shard_map(
            step, mesh=mesh, in_specs=(PartitionSpec(), lanes, lanes), out_specs=lanes, check_vma=False
        )
    return jax.jit(step)


def _draw(key, sampler, lanes, states, first, count, thinning, size):
    goal, here = count * thinning, jnp.arange(len(lanes))
    record, unravel, buffer = _records(sampler, key, states, size)

    def begun(states, drawn):
        numbers = first * thinning + drawn
        keys = jax.vmap(lambda lane, number: jax.random.fold_in(jax.random.fold_in(key, lane), number))(lanes, numbers)
        return jax.vmap(sampler.begin)(keys, states)

    def finished(carry):
        states, paths, drawn, buffer = carry
        ended = ~paths.going & (drawn < goal)
        ends, infos = jax.vmap(sampler.finish)(states, paths)
        states = _where(ended, ends, states)
        place, sums = record(states, infos)
        row = jnp.where(ended, drawn // thinning, size)  # beyond the buffer nothing is written
        buffer = (
            buffer[0].at[row, here].set(place, mode="drop"),
            buffer[1].at[row, here].add(sums, mode="drop"),
        )
        drawn = drawn + ended
        return states, _where(ended & (drawn < goal), begun(states, drawn), paths), drawn, buffer

    def extended(carry):
        states, paths, drawn, buffer = carry
        left = jnp.sum(drawn < goal)
        most_go = lambda paths: jnp.sum(paths.going) > (1 - WAITING) * left
        longer = partial(_longer, sampler)
        paths = jax.lax.while_loop(most_go, longer, longer(paths))
        return finished((states, paths, drawn, buffer))

    none = jnp.zeros(len(lanes), jnp.int32)
    paths = begun(states, none)
    states, _, _, buffer = jax.lax.while_loop(
        lambda carry: jnp.any(carry[2] < goal), extended, (states, paths, none, buffer)
    )
    return states, unravel(*buffer)


def _records(sampler, key, states, size: int):
    """How draws are written: as two rows of numbers, of which the second is summed; and back, from (size, chains, ·).

    A scatter costs by the rows and not by what they hold.
    """
    seen = lambda state: (state.position, getattr(state, "potential", None))
    one = jax.tree.map(lambda leaf: leaf[0], states)
    zeros = nothing_like(jax.eval_shape(lambda: sampler.finish(one, sampler.begin(key, one))[1]))
    (place, to_place), (sums, to_info) = ravel_pytree(seen(one)), ravel_pytree(zeros)

    def written(state, info):
        return ravel_pytree(seen(state))[0], ravel_pytree(added(zeros, info))[0]

    def read(places, sums):
        position, potential = jax.vmap(jax.vmap(to_place))(places)
        return position, jax.vmap(jax.vmap(to_info))(sums), potential

    chains = jax.tree.leaves(states)[0].shape[0]
    buffer = (jnp.zeros((size, chains, place.size), place.dtype), jnp.zeros((size, chains, sums.size), sums.dtype))
    return jax.vmap(written), read, buffer


def _longer(sampler, paths):
    """Trajectories of all chains one step longer, where they have not ended."""
    return _where(paths.going, jax.vmap(sampler.extend)(paths), paths)


def _where(chosen, if_true, if_false):
    """Choose between two batches of trees, lane by lane."""
    return jax.vmap(select)(chosen, if_true, if_false)
