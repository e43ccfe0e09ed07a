"""Arrays on the devices of a mesh, and back on the host."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_SHARED: ContextVar[Mesh | None] = ContextVar("_SHARED", default=None)


def automatic(mesh: Mesh | None) -> Mesh | None:
    """The mesh with its axes left to the compiler; `jax.make_mesh` makes them explicit, which `vmap` does not mix."""
    return mesh and Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


@contextmanager
def shared_among(mesh: Mesh | None) -> Iterator[None]:
    """While it lasts, blocks of points and batches of training are shared among the devices of a mesh.

    A context and no argument: a fit reaches them through thirty functions that have nothing to do with devices.
    """
    token = _SHARED.set(automatic(mesh) or _SHARED.get())
    try:
        yield
    finally:
        _SHARED.reset(token)


def shared_mesh() -> Mesh | None:
    """The mesh of `shared_among`, None outside of it."""
    return _SHARED.get()


def replicated(tree, mesh: Mesh | None):
    """The tree with a copy on every device of the mesh."""
    if mesh is None:
        return tree
    return jax.tree.map(lambda leaf: placed(leaf, NamedSharding(mesh, PartitionSpec())), tree)


def rows_shared(tree, mesh: Mesh | None):
    """The tree with the rows of its arrays shared among the devices of the mesh, which must divide them."""
    if mesh is None:
        return tree
    return jax.tree.map(lambda leaf: placed(leaf, NamedSharding(mesh, PartitionSpec(mesh.axis_names))), tree)


def placed(leaf, sharding: NamedSharding):
    """An array that every process holds alike, on the devices of a sharding."""
    if jax.process_count() == 1:
        return jax.device_put(leaf, sharding)
    if isinstance(leaf, jax.Array) and leaf.sharding == sharding:
        return leaf
    leaf = jnp.asarray(leaf)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(placed(jax.random.key_data(leaf), sharding), impl=jax.random.key_impl(leaf))
    return jax.make_array_from_callback(leaf.shape, sharding, lambda index: np.asarray(leaf)[index])


def unplaced(tree, mesh: Mesh | None):
    """A tree that is whole on every device, on the one that a process uses by itself."""
    if mesh is None:
        return tree

    def alone(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(alone(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jnp.asarray(np.asarray(leaf))

    return jax.tree.map(alone, tree)


def gathered(values, mesh: Mesh | None):
    """Values of all chains on every device, inside jit, so that their sum has one order on any number of devices.

    Any pytree of arrays.
    """
    if mesh is None:
        return values
    return jax.lax.with_sharding_constraint(values, NamedSharding(mesh, PartitionSpec()))


def on_host(tree):
    """The tree as NumPy arrays, gathered from all processes where there are several."""
    if jax.process_count() > 1:
        return multihost_utils.process_allgather(tree, tiled=True)
    return jax.tree.map(np.asarray, tree)
