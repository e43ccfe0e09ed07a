"""Loops: while loops safe under vmap, jitted chunks of traced length, functions over many points, and the bar."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ._devices import on_host, rows_shared, shared_mesh

BLOCK = 4096
"""Rows of a compiled block, where nothing asks for fewer."""


def bounded_while(unsolved, body, carry, max_iterations: int):
    """Repeat `carry = body(carry)` while `unsolved(carry)`, at most `max_iterations` times.

    Returns the carry and the iterations taken. Under `vmap` a lane that is done stands still while the
    others go on. The condition is a stored bit, not recomputed: under `vmap` JAX evaluates it in the
    loop's test and again in its body, and where the compiler rounds the two differently a lane exactly at its
    tolerance is frozen by the one and kept alive by the other, for ever (seen with jaxlib 0.10.2).
    """

    def step(state):
        carry, _, iteration = state
        carry = body(carry)
        return carry, unsolved(carry) & (iteration + 1 < max_iterations), iteration + 1

    start = (carry, unsolved(carry) & (max_iterations > 0), jnp.zeros((), jnp.int32))
    carry, _, iterations = jax.lax.while_loop(lambda state: state[1], step, start)
    return carry, iterations


def collect(body, carry, first, count, size: int):
    """Run `carry, output = body(index, carry)` for index in [first, first + count), count ≤ size.

    Returns the carry and the outputs stacked in buffers of `size` rows, of which `count` are filled. Only
    `size` is static: a shorter last chunk does not compile again.
    """
    body = jax.jit(body)  # traced once for its shapes and for the loop
    output = jax.eval_shape(body, first, carry)[1]
    buffer = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), output)

    def step(row, state):
        carry, buffer = state
        carry, output = body(first + row, carry)
        buffer = jax.tree.map(lambda rows, value: rows.at[row].set(value), buffer, output)
        return carry, buffer

    return jax.lax.fori_loop(0, count, step, (carry, buffer))


def chunk_sizes(first: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, count) of the chunks that cover [first, stop)."""
    for start in range(first, stop, size):
        yield start, min(size, stop - start)


def in_blocks(function, points, block: int):
    """`function(points)` as host arrays, called on blocks of `block` rows so that any number compiles once.

    points (N, n), or a pytree of arrays that share the leading axis; the function maps rows to rows, its result any
    pytree. The last block is filled up with copies of its first row, which cost a solver no more than that row does.
    Where devices are shared (`shared_among`) each has a block of its own.
    """
    mesh = shared_mesh()
    points, pieces = jax.tree.map(np.asarray, points), []
    fetch = jax.device_get if mesh is None else on_host
    block = block if mesh is None else block * mesh.size
    count = len(jax.tree.leaves(points)[0])
    for first in range(0, max(count, 1), block):
        rows = min(block, count - first)
        padded = jax.tree.map(lambda leaf, first=first: _filled_up(leaf[first : first + block], block), points)
        found = fetch(function(rows_shared(padded, mesh)))
        pieces.append(jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[:rows], found))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)


def _filled_up(rows: np.ndarray, count: int) -> np.ndarray:
    filling = rows[:1] if len(rows) else np.zeros((1, *rows.shape[1:]), rows.dtype)
    return np.concatenate([rows, np.repeat(filling, count - len(rows), axis=0)])


def over_points(function, tree, points, block: int = BLOCK):
    """`function(tree, x)` at each row x of points (N, n), as host arrays (N, ...), in blocks that compile once.

    function: of one point, defined once and for all (jit knows it by identity); what varies goes into `tree`, any
    pytree. points may be a pytree of arrays, x is then one of their rows. The result is any pytree.
    """
    return in_blocks(lambda rows: _over_rows(function, tree, rows), points, block)


@partial(jax.jit, static_argnums=0)
def _over_rows(function, tree, rows):
    return jax.vmap(lambda x: function(tree, x))(rows)


def value(function, x):
    """`function(x)`, of a callable pytree: what `over_points` takes to evaluate one."""
    return function(x)


def progress_bar(title: str, total: int, show: bool) -> tqdm:
    """A bar on stderr, or nothing; write terms beside it with `set_postfix`."""
    return tqdm(total=total, desc=title, disable=not show, leave=False, dynamic_ncols=True)
