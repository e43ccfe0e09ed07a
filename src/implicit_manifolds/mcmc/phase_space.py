"""What constrained samplers with a momentum share: the target, tangent momenta, one geodesic step, why steps fail."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._types import MDF, Array, Float, RandomKey, Scalar, Vector
from ..manifold.multipliers import MultiplierSolution, residual_weights
from ..manifold.tangent import Linearization, linearize, tangent_projection

Measure = Literal["hausdorff", "ambient"]


class PhasePoint(NamedTuple):
    """A point of M and a tangent momentum: F to first order at q, U(q), P∇U(q) (n,) and p (n,).

    U is -log of the target density by the Hausdorff measure, up to a constant.
    """

    linearization: Linearization
    potential: Scalar
    slope: Vector
    momentum: Vector

    @property
    def position(self) -> Float[Array, "*batch n"]:
        """The point q itself, (n,); of a batch of states, (..., n)."""
        return self.linearization.position


def log_det_sqrt_gram(mdf: MDF, position: Vector) -> Scalar:
    """½ log det G(x), G = J Jᵀ: the density of Hausdorff measure over that of x conditioned on F(x) = 0."""
    factor = jnp.asarray(linearize(mdf, position, dense=True).gram_factor)
    return jnp.sum(jnp.log(jnp.diag(factor)))


def potential(sampler: Any, position: Vector) -> Scalar:
    """U = E for a target by Hausdorff measure, E + ½ log det G for an ambient density conditioned on F = 0."""
    value = jnp.asarray(sampler.energy(position), position.dtype)
    return value + log_det_sqrt_gram(sampler.mdf, position) if sampler.measure == "ambient" else value


def phase_point(sampler: Any, at: Linearization, momentum: Vector) -> PhasePoint:
    """Evaluate the target where a chain stands; its slope is zero for a sampler that asks for no gradient."""
    if not getattr(sampler, "use_gradient", True):
        return PhasePoint(at, potential(sampler, at.position), jnp.zeros_like(at.position), momentum)
    value, gradient = jax.value_and_grad(lambda x: potential(sampler, x))(at.position)
    return PhasePoint(at, value, tangent_projection(sampler.mdf, at, gradient), momentum)


def tangent_normal(key: RandomKey, mdf: MDF, at: Linearization) -> Vector:
    """A standard normal vector of the tangent space, (n,)."""
    return tangent_projection(mdf, at, jax.random.normal(key, at.position.shape, at.position.dtype))


def initial_point(sampler: Any, position: Vector, key: RandomKey | None) -> PhasePoint:
    """A chain's start on M, with a normal momentum, or with none where no key is given."""
    at = linearize(sampler.mdf, position)
    momentum = jnp.zeros_like(position) if key is None else tangent_normal(key, sampler.mdf, at)
    return phase_point(sampler, at, momentum)


def geodesic_step(
    sampler: Any, at: Linearization, momentum: Vector, step_size: Any
) -> tuple[Linearization, Vector, MultiplierSolution]:
    """q' = q + h p - J(q)ᵀμ with F(q') = 0, and p' = P(q') (q' - q) / h: RATTLE without forces (Andersen 1983)."""
    goal = at.position + step_size * momentum
    found = sampler.solver(sampler.mdf, at, goal, sampler.tolerance, iteration_cap(sampler, at))
    arrived = linearize(sampler.mdf, found.position)
    return arrived, tangent_projection(sampler.mdf, arrived, (found.position - at.position) / step_size), found


def iteration_cap(sampler: Any, at: Linearization) -> int:
    """Iterations after which a solve rarely ends, and for which all lanes would wait."""
    if sampler.max_iterations is not None:
        return sampler.max_iterations
    return 16 if at.position.dtype == jnp.float64 else 8


def reverse_tolerance(sampler: Any, at: Linearization, moved: Scalar) -> Any:
    """The distance at which a reversed move of length `moved` counts as returned to `at`.

    At most a tenth of the move, where none is given: where M is small, the tolerance would reach another sheet of it.
    Never below `reverse_floor`.
    """
    floor = reverse_floor(at, sampler.tolerance)
    if sampler.reverse_tolerance is not None:
        return jnp.maximum(sampler.reverse_tolerance, floor)
    return jnp.maximum(jnp.minimum(10 * floor, 0.1 * moved), floor)


def reverse_floor(at: Linearization, tolerance: Any) -> Scalar:
    """Ten times the length that a tolerance on ‖F‖ allows near `at`.

    A solve leaves a point anywhere within one such length of M. A way back that is held to less than a few of them
    fails by chance, and more often where F bends more, while the way there is taken as it comes: the law is another.
    """
    return 10 * jnp.max(1 / (residual_weights(at, tolerance) * at.row_norms))
