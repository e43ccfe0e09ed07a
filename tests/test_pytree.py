"""Our dataclasses as pytrees: leaves, constants, and classes that are told apart."""

from dataclasses import dataclass, field
from typing import Any

import jax

from implicit_manifolds._pytree import pytree


@pytree
@dataclass(frozen=True)
class Line:
    slope: Any = 1.0
    offset: Any = None
    name: str = field(default="a", metadata={"static": True})


@pytree
@dataclass(frozen=True)
class Parabola(Line):
    pass


def test_trees_are_rebuilt_and_their_leaves_named():
    line = Line(2.0, (3.0, 4.0), "b")
    leaves, structure = jax.tree.flatten(line)
    assert leaves == [2.0, 3.0, 4.0]
    assert jax.tree.unflatten(structure, leaves) == line
    assert [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(line)] == [
        ".slope",
        ".offset[0]",
        ".offset[1]",
    ]
    assert structure != jax.tree.structure(Line(2.0, (3.0, 4.0), "c"))


def test_two_classes_of_equal_fields_are_two_structures():
    # Where they compare equal, jit may run what it compiled for the other class.
    assert jax.tree.structure(Line()) != jax.tree.structure(Parabola())
