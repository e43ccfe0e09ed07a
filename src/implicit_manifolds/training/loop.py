"""The one training loop: jitted chunks of rounds, with the bar, the checkpoint and the NaN check between."""

import time
from contextlib import nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._devices import automatic, gathered, replicated, shared_mesh, unplaced
from .._files import locked
from .._loops import chunk_sizes, collect, progress_bar
from .._random import derived_keys, host_generator
from .._types import RandomKey
from ..errors import TrainingDiverged
from ..networks.normalization import power_iteration
from ..tables import Rows
from . import checkpoint
from .config import TrainingConfig
from .objective import Objective
from .pause import CHUNKS, chunk_number, pause_if_late

MAX_BATCHES_PER_ROUND = 50
RARE = 50
"""Points to a row that a round draws, beyond which it draws them one by one."""
MOST_READ = 2**21
"""Rows of a table too large to hold that are read at once, unless one round takes more."""
SECONDS = "seconds"
"""Their name among the rows of a history that checkpoints hold."""


class TrainingState(NamedTuple):
    """All that training needs to go on: model, optimiser state, the objective's memory, the base key."""

    model: Any
    optimizer_state: Any
    memory: Any
    key: RandomKey


class History(NamedTuple):
    """Mean terms of each round: steps (rounds,), the update count at its end; terms, name to (rounds,).

    seconds (rounds,): what each took by the clock, compilation in the first chunk; a resumed run has those before, too.
    """

    steps: np.ndarray
    terms: dict[str, np.ndarray]
    seconds: np.ndarray


@lru_cache
def adam(
    learning_rate: float,
    num_steps: int | None = None,
    clip_norm: float | None = None,
) -> optax.GradientTransformation:
    """Adam, with cosine decay to zero over `num_steps` if given, after clipping by global norm if given.

    The same arguments give the same object, so that jit finds what it compiled.
    """
    rate = learning_rate if num_steps is None else optax.cosine_decay_schedule(learning_rate, num_steps)
    optimizer = optax.adam(rate)
    return optimizer if clip_norm is None else optax.chain(optax.clip_by_global_norm(clip_norm), optimizer)


def initial_state(
    key: RandomKey, objective: Objective, optimizer: optax.GradientTransformation, model
) -> TrainingState:
    """The state before the first update, with the objective's memory begun afresh."""
    memory_key, state_key = derived_keys(key, 2)
    return TrainingState(model, _initialize(optimizer, model), objective.initial_memory(memory_key, model), state_key)


@partial(jax.jit, static_argnums=0)
def _initialize(optimizer, model):
    return optimizer.init(model)


def _update(objective, optimizer, state: TrainingState, batch, keys, mesh: Mesh | None):
    batch_size = jax.tree.leaves(batch)[0].shape[0]
    sample_key, loss_key = keys
    model = power_iteration(state.model)
    negatives, memory = objective.sample(sample_key, model, state.memory, batch_size)
    batch, negatives = _spread((batch, negatives), mesh)
    gradient_of = jax.value_and_grad(lambda model: objective.loss(loss_key, model, batch, negatives), has_aux=True)
    (loss, terms), gradient = gradient_of(model)
    updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, model)
    model = optax.apply_updates(model, updates)
    # Whole on every device, before and after: other placements would compile again.
    model, optimizer_state, memory = gathered((model, optimizer_state, memory), mesh)
    return TrainingState(model, optimizer_state, memory, state.key), {"loss": loss, **terms}


def _spread(tree, mesh: Mesh | None):
    """The tree with the rows of its arrays shared among the devices of a mesh, as far as they go round; inside jit."""
    if mesh is None:
        return tree
    shared = NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def placed(leaf):
        return jax.lax.with_sharding_constraint(leaf, shared) if leaf.ndim and len(leaf) >= mesh.size else leaf

    return jax.tree.map(placed, tree)


@partial(jax.jit, static_argnames=("optimizer", "mesh"))
def _train_chunk(objective, optimizer, state, data, orders, words, count, mesh):
    keys = jax.random.wrap_key_data(words, impl=jax.random.key_impl(state.key))

    def train_round(index, state):
        def body(state, inputs):
            order, keys = inputs
            batch = jax.tree.map(lambda leaf: leaf[order], data)
            return _update(objective, optimizer, state, batch, keys, mesh)

        return jax.lax.scan(body, state, (orders[index], keys[index]))

    return gathered(collect(train_round, state, 0, count, len(orders)), mesh)


def _host_draws(key: RandomKey, first: int, size: int, num_points: int, shape: tuple[int, int]):
    """What `size` rounds from `first` draw: batches of shuffled indices (size, *shape), two keys' words per batch.

    Drawn on the host, by key and round: inside the program a sort would cost half a second of compilation,
    and every use of a key a fifth.
    """
    batches, batch_size = shape
    orders = np.empty((size, *shape), np.int64)
    keys = np.empty((size, batches, 2, *jax.random.key_data(key).shape), np.uint32)
    for row in range(size):
        random = host_generator(key, first + row)
        few = num_points > RARE * batches * batch_size  # a permutation of a large table would take seconds
        drawn = random.choice(num_points, shape, False) if few else random.permutation(num_points)
        orders[row] = np.resize(drawn, shape)
        keys[row] = random.integers(0, 2**32, keys.shape[1:], np.uint32)
    return orders, keys


def _read(source: Rows, orders: np.ndarray, mesh: Mesh | None):
    """The rows that orders name, on the devices, and orders of those rows."""
    read = replicated(jax.tree.map(jnp.asarray, source.rows(orders.ravel())), mesh)
    return read, np.arange(orders.size, dtype=np.int32).reshape(orders.shape)


def _refreshed(objective, state: TrainingState, round_index: int) -> TrainingState:
    key = jax.random.fold_in(state.key, round_index)
    return state._replace(memory=objective.refresh(key, state.model, state.memory))


def batches_per_round(num_points: int, batch_size: int) -> int:
    """Updates between two shuffles: an epoch, or `MAX_BATCHES_PER_ROUND` where the data hold more."""
    return max(1, min(num_points // batch_size, MAX_BATCHES_PER_ROUND))


def _raise_if_not_finite(name: str, terms: dict[str, np.ndarray], first: int) -> None:
    """Terms (rounds, batches) of the rounds from `first`."""
    bad = {term: np.flatnonzero(~np.isfinite(values)) for term, values in terms.items()}
    bad.pop("loss")  # not finite whenever a term is not
    failures = [(rows[0], term) for term, rows in bad.items() if len(rows)]
    if failures:
        step, term = min(failures)
        raise TrainingDiverged(
            f"{name}: the term '{term}' was not finite at step {first * terms[term].shape[1] + step + 1}; "
            "lower the learning rate or clip the gradient (clip_norm)"
        )


def _raise_if_broken(name: str, model) -> None:
    """Terms are those before an update: what the last one breaks is in none."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(model):
        if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) and not bool(jnp.isfinite(leaf).all()):
            which = f"the parameter {jax.tree_util.keystr(path)}" if path else "the model"
            raise TrainingDiverged(
                f"{name}: {which} was not finite after the last step; "
                "lower the learning rate or clip the gradient (clip_norm)"
            )


def train(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    state: TrainingState,
    data: Any | Rows,
    *,
    num_steps: int,
    batch_size: int,
    name: str = "training",
    progress: bool = False,
    checkpoint_dir: Path | None = None,
    mesh: Mesh | None = None,
) -> tuple[TrainingState, History]:
    """Update the model `num_steps` times (rounded up to whole rounds) on shuffled batches of `data`.

    data: (N, n), or a pytree of arrays that share the leading axis, whose rows go together; or what such rows are read
    from, a chunk of at most `MOST_READ` at a time, where they are too many to hold.
    A round visits the data once without replacement, or 50 batches of it. With `checkpoint_dir` the state is
    saved after each of 20 chunks, and a run that finds one there goes on from it, to parameters
    bit-identical with those of a run never stopped. Over a mesh, its own or that of `shared_among`, each batch and its
    negatives are shared among the devices, while data, memory and model are whole on each. Raises TrainingDiverged
    naming step and term.
    """
    held = not isinstance(data, Rows)
    count = jax.tree.leaves(data)[0].shape[0] if held else len(data)
    batch_size, mesh = min(batch_size, count), automatic(mesh) or shared_mesh()
    objective, data = replicated(objective, mesh), replicated(data, mesh) if held else data
    batches = batches_per_round(count, batch_size)
    rounds = -(-num_steps // batches)
    size = -(-rounds // (CHUNKS if checkpoint_dir is None else chunk_number()))
    size = size if held else max(1, min(size, MOST_READ // (batches * batch_size)))
    done, rows = 0, []
    guard = (
        nullcontext() if checkpoint_dir is None else locked(checkpoint_dir.with_name(f".{checkpoint_dir.name}.lock"))
    )
    with guard, progress_bar(name, rounds * batches, progress) as bar:
        if checkpoint_dir is not None and (saved := checkpoint.restore_latest(checkpoint_dir, state)):
            done, state, rows = saved
        state = replicated(state, mesh)  # what refreshes it finds all in one place
        bar.update(done * batches)
        for first, chunk in chunk_sizes(done, rounds, size):
            started = time.perf_counter()
            state = replicated(_refreshed(objective, state, first), mesh)
            orders, words = _host_draws(state.key, first, size, count, (batches, batch_size))
            rows_here, orders = (data, orders.astype(np.int32)) if held else _read(data, orders, mesh)
            state, terms = _train_chunk(objective, optimizer, state, rows_here, orders, words, chunk, mesh)
            terms = {term: np.asarray(values)[:chunk] for term, values in terms.items()}
            _raise_if_not_finite(name, terms, first)
            rows.append({term: values.mean(axis=1) for term, values in terms.items()})
            bar.set_postfix({term: f"{values[-1]:.3g}" for term, values in rows[-1].items()}, refresh=False)
            rows[-1][SECONDS] = np.full(chunk, (time.perf_counter() - started) / chunk)
            bar.update(chunk * batches)
            if checkpoint_dir is not None:
                checkpoint.save(checkpoint_dir, first + chunk, state, rows)
                pause_if_late()
    _raise_if_broken(name, state.model)
    state = _refreshed(objective, state, rounds)
    terms = {term: np.concatenate([row[term] for row in rows]) for term in rows[0]}
    return unplaced(state, mesh), History(batches * np.arange(1, rounds + 1), terms, terms.pop(SECONDS))


def train_afresh(
    name: str,
    key: RandomKey,
    model,
    objective: Objective,
    data,
    config: TrainingConfig,
    *,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
    mesh: Mesh | None = None,
) -> tuple[TrainingState, History]:
    """Train `model` from its first update with the optimiser, batches and steps of `config`, as `train` does."""
    optimizer = config.optimizer
    if optimizer is None:
        optimizer = adam(config.learning_rate, config.num_steps if config.decay else None, config.clip_norm)
    return train(
        objective,
        optimizer,
        initial_state(key, objective, optimizer, model),
        data,
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        name=name,
        progress=progress,
        checkpoint_dir=None if checkpoint_dir is None else checkpoint_dir / name,
        mesh=mesh,
    )
