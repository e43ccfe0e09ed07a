"""Pytrees on disk by orbax: one flat dictionary of named arrays, restored against a template."""

import errno
import hashlib
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from .._files import write_whole
from .._types import RandomKey
from ..errors import InputError
from ..points import BLOCK
from .checksums import check_sums, write_sums

FULL = "No space left on device"
OVERHEAD = 2**16
"""Bytes of orbax's own files beside arrays, about."""


def _orbax():
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports every save otherwise
    import orbax.checkpoint as ocp

    return ocp


def _alone():
    """That a process reads and writes by itself: all have the same, and the first alone writes."""
    me = jax.process_index()
    return _orbax().options.MultiprocessingOptions(me, {me}, f"process {me}")


def _checkpointer():
    return _orbax().StandardCheckpointer(multiprocessing_options=_alone())


def _is_key(leaf) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def flatten(tree) -> dict[str, np.ndarray]:
    """A pytree's leaves by path, as host arrays; random keys as their words."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(
            jax.random.key_data(leaf) if _is_key(leaf) else leaf
        )
        for path, leaf in leaves
    }


def unflatten(template, arrays: dict[str, np.ndarray]):
    """The template's structure with its leaves replaced by name. Raises ValueError where names or shapes differ."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    if set(names) != set(arrays):
        raise ValueError(f"expected the arrays {sorted(names)}, found {sorted(arrays)}")
    restored = []
    for name, (_, leaf) in zip(names, leaves, strict=True):
        array = arrays[name]
        if _is_key(leaf):
            restored.append(jax.random.wrap_key_data(jnp.asarray(array)))
            continue
        if np.shape(leaf) != array.shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {np.shape(leaf)}")
        on_host = isinstance(leaf, np.ndarray | np.generic)  # may be wider than JAX's types
        restored.append(np.asarray(array, leaf.dtype) if on_host else jnp.asarray(array, jnp.result_type(leaf)))
    return jax.tree_util.tree_unflatten(structure, restored)


@contextmanager
def _full_disk_told(path: Path, arrays) -> Iterator[None]:
    """Orbax has errors of its own for a full disk, told in pages from its threads; this is the system's."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if shutil.disk_usage(there).free < sum(array.nbytes for array in jax.tree.leaves(arrays)) + OVERHEAD:
        raise OSError(errno.ENOSPC, FULL, str(path))
    try:
        yield
    except Exception as error:
        if FULL in str(error):
            raise OSError(errno.ENOSPC, FULL, str(path)) from error
        raise


def save_tree(path: Path, tree) -> None:
    """Write a pytree to a new directory `path`, whole or not at all. Raises OSError where there is no room."""
    arrays = flatten(tree)
    with _full_disk_told(path, arrays), _checkpointer() as saver:
        saver.save(path.absolute(), arrays)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `save_tree` wrote: arrays by name, which `unflatten` puts into a template."""
    with _checkpointer() as loader:
        return {name: np.asarray(array) for name, array in loader.restore(path.absolute()).items()}


def _manager(directory: Path):
    ocp = _orbax()
    options = ocp.CheckpointManagerOptions(
        max_to_keep=2, enable_async_checkpointing=False, create=False, multiprocessing_options=_alone()
    )
    return ocp.CheckpointManager(directory.absolute(), options=options)


def save(directory: Path, done: int, state, rows: list[dict[str, np.ndarray]]) -> None:
    """Save a training state after `done` rounds, with its history so far; the last two are kept.

    Of several processes the first does. Raises OSError where there is no room.
    """
    if jax.process_index():
        return
    directory.mkdir(parents=True, exist_ok=True)
    terms = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    saved = {"state": flatten(state), "history": terms}
    with _full_disk_told(directory, saved), _manager(directory) as manager:
        manager.save(done, args=_orbax().args.StandardSave(saved))
    write_sums(directory / str(done))


def claim(directory: Path, key: RandomKey, points: np.ndarray, settings: str) -> None:
    """Mark a directory as that of the run with this key, data and settings; raises InputError where it is another's."""
    digest = hashlib.sha256(np.asarray(jax.random.key_data(key)).tobytes())
    for start in range(0, len(points), BLOCK):
        digest.update(np.asarray(points[start : start + BLOCK]).tobytes())
    digest.update(settings.encode())
    mark = digest.hexdigest()
    note = directory / "run.sha256"
    if jax.process_index() == 0:
        directory.mkdir(parents=True, exist_ok=True)
        if not note.exists() and not any(directory.iterdir()):
            write_whole(note, mark.encode())
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("the directory is claimed")
    if not note.exists() or note.read_text() != mark:
        raise InputError(f"{directory} holds checkpoints of another run; remove it or name another output")


def restore_latest(directory: Path, template):
    """(rounds done, state, history rows) of the newest whole checkpoint, or None where there is none.

    One that is damaged is told and removed, and the one before is taken. Raises InputError where all are.
    """
    if not directory.exists():
        return None
    with _manager(directory) as manager:
        steps = sorted(manager.all_steps(), reverse=True)
        for done in steps:
            try:
                check_sums(directory / str(done))
                saved = manager.restore(done, args=_orbax().args.StandardRestore())
                return done, unflatten(template, saved["state"]), [saved["history"]]
            except Exception as error:  # orbax raises many kinds; all mean the same to the user
                warnings.warn(
                    f"the checkpoint {directory / str(done)} is damaged ({error}); it is removed", stacklevel=2
                )
                manager.delete(done)
    if steps:
        raise InputError(f"{directory} has damaged checkpoints alone, which were removed; begin again")
    return None
