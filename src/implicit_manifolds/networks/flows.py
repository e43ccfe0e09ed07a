"""Normalising flows of spline couplings, one point at a time: bijections of R^n with their log determinants."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._random import host_generator
from .._types import Array, Float, Scalar, Vector
from .residual import ResidualMLP
from .splines import spline

Context = Float[Array, " c"] | None


class Fixed(nnx.Variable):
    """A constant of a layer, an array so that layers can be stacked; not a parameter."""


class Flow(nnx.Module):
    """Bijection of R^n: layers of [permutation or linear map, spline coupling], closed by one more of the former.

    `forward(z, context)` and `inverse(x, context)` give the image (n,) and log |det| of the map's own Jacobian.
    Couplings change coordinates 0, 2, ... and 1, 3, ... in turn, as functions of the others and of a context (c,).
    linear puts an invertible matrix and a shift, which start as the identity, after each permutation. Outside of
    [-bound, bound] the splines are the identity. For n = 1 splines have nothing to depend on but the context. Layers
    are stacked and run in a scan: written out, compilation would take longer than most fits (Durkan et al. 2019;
    Brehmer & Cranmer 2020).
    """

    def __init__(
        self,
        dimension: int,
        *,
        layers: int,
        bins: int,
        bound: float,
        width: int = 100,
        blocks: int = 2,
        context: int = 0,
        linear: bool = False,
        rngs: nnx.Rngs,
    ):
        random = host_generator(rngs.params())

        def layer(index):
            conditioner = {"width": width, "blocks": blocks, "context": context, "rngs": rngs}
            return Mixing(random, dimension, linear), Coupling(dimension, index % 2, bins, bound, **conditioner)

        stack = [layer(index) for index in range(layers)]
        self.mixing, self.coupling = jax.tree.map(lambda *leaves: jnp.stack(leaves), *stack)
        self.last = Mixing(random, dimension, linear)

    def forward(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """X (n,) of z (n,), and log |det dx/dz|."""

        def layer(carry, stack):
            (z, total), (mixing, coupling) = carry, stack
            z, mixed = mixing.forward(z)
            z, coupled = coupling(z, context)
            return (z, total + mixed + coupled), None

        start = (z, jnp.zeros((), z.dtype))
        (z, total), _ = jax.lax.scan(layer, start, (self.mixing, self.coupling))
        x, mixed = self.last.forward(z)
        return x, total + mixed

    def inverse(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """Z (n,) of x (n,), and log |det dz/dx|."""

        def layer(carry, stack):
            (x, total), (mixing, coupling) = carry, stack
            x, coupled = coupling(x, context, inverse=True)
            x, mixed = mixing.inverse(x)
            return (x, total + mixed + coupled), None

        (z, total), _ = jax.lax.scan(layer, self.last.inverse(x), (self.mixing, self.coupling), reverse=True)
        return z, total


class Coupling(nnx.Module):
    """Splines of every second coordinate whose parameters are functions of the others and of the context."""

    def __init__(self, dimension: int, first: int, bins: int, bound: float, **conditioner: Any):
        changed = (np.arange(dimension) + first) % 2 == 0 if dimension > 1 else np.ones(1)
        self.changed = Fixed(jnp.asarray(changed, float))
        self.bins, self.bound = bins, bound
        self.conditioner = ResidualMLP(dimension, dimension * (3 * bins - 1), **conditioner)

    def __call__(self, x: Vector, context: Context = None, *, inverse: bool = False) -> tuple[Vector, Scalar]:
        """The image (n,), or pre-image, of one point and its log determinant."""
        changed = jax.lax.stop_gradient(self.changed[...])
        parameters = self.conditioner((1 - changed) * x, context).reshape(len(x), -1)
        # Logits of the bins grow with the width of the network that they come from.
        logits, slopes = jnp.split(parameters, [2 * self.bins], axis=1)
        rows = jnp.concatenate([logits * self.conditioner.width**-0.5, slopes], axis=1)
        values, logs = jax.vmap(lambda value, row: spline(value, row, self.bound, inverse=inverse))(x, rows)
        return jnp.where(changed > 0, values, x), jnp.vdot(changed, logs)


class Mixing(nnx.Module):
    """A fixed permutation, then, if `linear`, x -> L U x + b, L with a unit and U with a positive diagonal."""

    def __init__(self, random: np.random.Generator, dimension: int, linear: bool):
        self.order = Fixed(jnp.asarray(np.eye(dimension)[random.permutation(dimension)], float))
        self.factors = nnx.Param(jnp.zeros((dimension, dimension))) if linear else None
        self.shift = nnx.Param(jnp.zeros(dimension)) if linear else None

    def forward(self, x: Vector) -> tuple[Vector, Scalar]:
        """The image (n,) of one point, and the log determinant."""
        x = jax.lax.stop_gradient(self.order[...]) @ x
        if self.factors is None or self.shift is None:
            return x, jnp.zeros((), x.dtype)
        lower, upper, log_diagonal = _triangles(self.factors[...])
        return lower @ (upper @ x) + self.shift[...], jnp.sum(log_diagonal)

    def inverse(self, y: Vector) -> tuple[Vector, Scalar]:
        """The pre-image (n,) of one point, and the log determinant of the inverse."""
        order = jax.lax.stop_gradient(self.order[...])
        if self.factors is None or self.shift is None:
            return y @ order, jnp.zeros((), y.dtype)
        lower, upper, log_diagonal = _triangles(self.factors[...])
        solve = jax.scipy.linalg.solve_triangular
        x = solve(upper, solve(lower, y - self.shift[...], lower=True, unit_diagonal=True))
        return x @ order, -jnp.sum(log_diagonal)


def _triangles(factors):
    """L, U and the log of U's diagonal from one matrix that holds all three."""
    log_diagonal = jnp.diag(factors)
    lower = jnp.tril(factors, -1) + jnp.eye(len(factors), dtype=factors.dtype)
    return lower, jnp.triu(factors, 1) + jnp.diag(jnp.exp(log_diagonal)), log_diagonal
