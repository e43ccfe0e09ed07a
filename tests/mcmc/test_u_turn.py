"""The iterative tree against one that is written out: every subtree looked at when its last leaf comes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds.mcmc.u_turn import none_open, with_leaf

DEPTH = 4


def turned(momenta) -> bool:
    """Whether the ends of a path of these momenta (l, n) move towards each other (Betancourt 2017, A.4.2; Stan's)."""
    along = momenta.sum(axis=0) - 0.5 * (momenta[0] + momenta[-1])
    return bool(momenta[0] @ along <= 0 or momenta[-1] @ along <= 0)


def closed_by(momenta, leaf) -> bool:
    """Whether a subtree that ends with this leaf has turned, by itself or where its halves meet."""
    size, found = 2, False
    while (leaf + 1) % size == 0:
        whole = momenta[leaf + 1 - size : leaf + 1]
        half = size // 2
        found |= turned(whole)
        if half > 1:
            found |= turned(whole[: half + 1]) or turned(whole[half - 1 :])
        size *= 2
    return found


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_every_subtree_is_looked_at_once_it_is_closed(spread):
    random, seen = np.random.default_rng(0), set()
    add = jax.jit(with_leaf)
    for _ in range(30):
        # Directions that wander: some paths turn within four leaves, some where two halves meet, some never.
        angle = np.cumsum(spread * random.normal(size=2**DEPTH)) * 0.5
        momenta = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
        subtrees, total, before = none_open(DEPTH, jnp.zeros(2)), np.zeros(2, np.float32), momenta[0]
        for leaf, momentum in enumerate(momenta):
            total = total + momentum
            subtrees, found = add(subtrees, jnp.asarray(leaf), before, momentum, total)
            assert bool(found) == closed_by(momenta.astype(np.float64), leaf), leaf
            seen.add(bool(found))
            before = momentum
    assert seen == {True, False}
