"""Dataclasses as pytrees."""

import dataclasses

import jax
from jax.tree_util import GetAttrKey


def pytree(cls):
    """Register a dataclass as a pytree: its fields are leaves, those with `metadata={"static": True}` are compared.

    Not by `jax.tree_util.register_dataclass`: under it (jaxlib 0.10.2) trees of two classes compare equal where their
    static fields do, only their hashes differ, and where a look-up does not tell by those, jit runs what it compiled
    for the other class.
    """
    fields = [field for field in dataclasses.fields(cls) if field.init]
    static = tuple(field.name for field in fields if field.metadata.get("static", False))
    leaves = tuple(field.name for field in fields if field.name not in static)

    def flatten(tree):
        return tuple(getattr(tree, name) for name in leaves), tuple(getattr(tree, name) for name in static)

    def flatten_with_keys(tree):
        values, constants = flatten(tree)
        return tuple(zip(map(GetAttrKey, leaves), values, strict=True)), constants

    def unflatten(constants, values):
        return cls(**dict(zip(leaves, values, strict=True)), **dict(zip(static, constants, strict=True)))

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls
