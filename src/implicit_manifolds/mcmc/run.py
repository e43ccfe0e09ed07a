"""Many chains as one program: scan over vmap(step), in chunks that the host can watch, on one device or many."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from .._devices import automatic, on_host, replicated
from .._loops import chunk_sizes, collect, progress_bar
from .._random import key_or_seed
from .._types import Array, Float, RandomKey
from .chains import advance, start_chains
from .sampler import Sampler
from .unequal import Extendable, draw_unequal
from .warm_up import warm_up

BEFORE = 2**32 - 1
"""What the key is folded with for warm-up and momenta at the start; samples take 0, 1, ..."""


class Chains(NamedTuple):
    """What `run` returns, as host arrays.

    positions (num_samples, chains, n), after every `thinning` steps; state, the chains' last, to go on from; info, the
    sampler's Info averaged over all steps of each chain (what is not finite counts as 0), fields (chains,), and in
    place of `reason` the shares of steps by `Reason`, (chains, 6). num_steps taken by each chain; non_finite, chains
    whose last position is not finite; sampler, with the step size that warm-up found. statistics: of each draw, fields
    of Info by name (num_samples, chains), averaged over the steps since the last, `reason` the most frequent one, and
    the `potential` there, where the state has one. restarted: chains that warm-up put where others were.
    """

    positions: Any
    state: Any
    info: Any
    num_steps: int
    non_finite: Any
    sampler: Any
    statistics: dict[str, Any]
    restarted: Any


@partial(jax.jit, static_argnames=("size", "mesh"))
def _run_chunk(sampler, key, states, first, count, thinning, size, mesh):
    """Up to `size` samples, `thinning` steps apart, numbered from `first` so chunks change no draw."""
    if isinstance(sampler, Extendable):
        return draw_unequal(key, sampler, states, first, count, thinning, size, mesh)

    def sample(index, states):
        states, totals = advance(jax.random.fold_in(key, index), sampler, states, thinning, mesh)
        return states, (states.position, totals, getattr(states, "potential", None))

    return collect(sample, states, first, count, size)


def run(
    key: RandomKey | int,
    sampler: Sampler,
    positions: Float[Array | np.ndarray, "chains n"],
    num_samples: int,
    thinning: int = 1,
    *,
    num_warmup: int = 0,
    target_acceptance: float = 0.8,
    chunk_size: int = 100,
    progress: bool = False,
    mesh: Mesh | None = None,
) -> Chains:
    """Run every chain from its start until each has `num_samples` samples.

    Chunks and meshes change no draw. With several processes (`jax.distributed`) each calls `run` alike and gets all
    results. Memory is num_samples x chains x n, and a dozen numbers more for each draw's statistics.
    Raises ValueError for starts that no chain could leave (off M or beyond its end, of infinite energy) and for a
    tolerance that the dtype cannot reach, `ChainsStuck` where warm-up leaves most chains standing still.

    Arguments:
        key: a `jax.random` key, or an integer seed.
        sampler: any `init`/`step` pair as a pytree; it travels as an argument, so new parameters do not recompile.
        positions: starts (chains, n), on M.
        num_samples: samples of each chain, at least 1.
        thinning: steps between samples.
        num_warmup: steps of `warm_up` before, whose draws are dropped; 0 for none.
        target_acceptance: of that warm-up.
        chunk_size: samples between two looks of the host.
        progress: show a bar, moved once a chunk.
        mesh: devices to share the chains among; their number must divide the chains'. None for all there are.

    Returns:
        `Chains`: positions (num_samples, chains, n), the chains' last state, and what became of their steps.

    >>> energy = jax.tree_util.Partial(lambda x: -2 * x[0])
    >>> sampler = mcmc.ConstrainedHMC(circle.mdf, energy)
    >>> chains = mcmc.run(jax.random.key(0), sampler, circle.anchors, 100, num_warmup=50)
    >>> chains.positions.shape, chains.non_finite.tolist()
    ((100, 4, 2), [False, False, False, False])
    """
    mesh, key = automatic(mesh), key_or_seed(key)
    if num_samples < 1 or thinning < 1:
        raise ValueError("num_samples and thinning must be at least 1")
    before = jax.random.fold_in(key, BEFORE)
    if num_warmup:
        tuned = warm_up(before, sampler, positions, num_warmup, target_acceptance, progress=progress, mesh=mesh)
        sampler, states, put_elsewhere = tuned.sampler, tuned.state, tuned.restarted
    else:
        states, put_elsewhere = start_chains(before, sampler, positions, mesh), np.zeros(0, int)
    sampler = replicated(sampler, mesh)
    pieces: list = []
    with progress_bar("sampling", num_samples, progress) as bar:
        for first, count in chunk_sizes(0, num_samples, chunk_size):
            states, outputs = _run_chunk(sampler, key, states, first, count, thinning, chunk_size, mesh)
            pieces.append(jax.tree.map(lambda leaf, count=count: leaf[:count], on_host(outputs)))
            bar.update(count)
    positions, totals, potential = jax.tree.map(lambda *parts: np.concatenate(parts), *pieces)
    mean = jax.tree.map(lambda leaf: leaf.sum(axis=0, dtype=np.float64) / (num_samples * thinning), totals)
    statistics = _of_each_draw(totals, thinning) | ({} if potential is None else {"potential": potential})
    last = on_host(states.position)
    non_finite = ~np.isfinite(last).all(axis=tuple(range(1, last.ndim)))
    num_steps = num_samples * thinning
    return Chains(positions, states, mean, num_steps, non_finite, sampler, statistics, put_elsewhere)


def _of_each_draw(totals, thinning: int) -> dict[str, np.ndarray]:
    """Fields of Info by name, averaged over steps; of reasons the most frequent."""
    return {
        name: value.argmax(axis=2).astype(np.int8) if name == "reason" else value / thinning
        for name, value in totals._asdict().items()
    }
