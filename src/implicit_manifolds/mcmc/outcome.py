"""What became of a step, and why."""

from enum import IntEnum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Int, Scalar, Vector
from ..box import Box


class Reason(IntEnum):
    """What became of a step: accepted, or why the chain stayed where it was.

    >>> mcmc.Reason(2).name
    'NOT_CONVERGED'
    """

    ACCEPTED = 0
    ENERGY = 1
    NOT_CONVERGED = 2
    NOT_REVERSIBLE = 3
    NON_FINITE = 4
    OUT_OF_BOUNDS = 5


class StepInfo(NamedTuple):
    """What one step of an unadjusted constrained sampler reports.

    residual_norm: largest ‖F‖ that a solve ended with, taken or not. iterations: of all solves. reason: a `Reason`;
    the chain moved where it is `ACCEPTED` and otherwise stayed where it was.
    """

    residual_norm: Scalar
    iterations: Int[Array, ""]
    reason: Int[Array, ""]


def reason_of(converged: Any, finite: Any, inside: Any) -> Int[Array, ""]:
    """The `Reason` for which an unadjusted step is or is not taken."""
    reason = jnp.where(inside, Reason.ACCEPTED, Reason.OUT_OF_BOUNDS)
    reason = jnp.where(finite, reason, Reason.NON_FINITE)
    return jnp.where(converged, reason, Reason.NOT_CONVERGED).astype(jnp.int32)


def inside(box: Box | None, position: Vector, within: Any) -> Any:
    """Whether a point (n,) of {F = 0} is one of M: in the box, and within F's own domain; None is no bound."""
    boxed = jnp.asarray(True) if box is None else box.contains(position)
    return boxed if within is None else boxed & within


def all_finite(tree: Any) -> Any:
    """Whether every number of a state is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))
