"""What constrained samplers with a momentum share: the target, tangent momenta, one geodesic step, why steps fail.

All of it in the coordinates z that chains move in (`reparametrised`), which are x itself where nothing else is asked.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._types import MDF, Array, Bool, Float, Int, RandomKey, Scalar, Vector
from ..manifold.multipliers import MultiplierSolution, residual_weights
from ..manifold.tangent import Linearization, linearize, tangent_projection
from ..manifold.triangular import half_log_det_gram
from .outcome import inside
from .reparametrised import inner_mdf, reparametrisation

Measure = Literal["hausdorff", "ambient"]


class PhasePoint(NamedTuple):
    """A point of M and a tangent momentum: F to first order at z, U(z), P∇U(z) (n,) and p (n,).

    U is -log of the target density by the Hausdorff measure in z, up to a constant. place: x, where z is another.
    turn: trajectories so far, where their lengths take turns.
    """

    linearization: Linearization
    potential: Scalar
    slope: Vector
    momentum: Vector
    place: Vector | None = None
    turn: Int[Array, "*batch"] | None = None

    @property
    def position(self) -> Float[Array, "*batch n"]:
        """The point x itself, (n,); of a batch of states, (..., n)."""
        return self.linearization.position if self.place is None else self.place


def log_det_sqrt_gram(mdf: MDF, position: Vector) -> Scalar:
    """½ log det G(x), G = J Jᵀ: the density of Hausdorff measure over that of x conditioned on F(x) = 0."""
    return half_log_det_gram(jnp.asarray(linearize(mdf, position, dense=True).jacobian))


def potential(sampler: Any, position: Vector) -> Scalar:
    """U(z) by the Hausdorff measure in z, of a target exp(-E) by volume in x or conditioned on F = 0.

    Where z is x: E, or E + ½ log det G for the second. Else dx = |det x'(z)| dz, and U for the second is
    E + ½ log det G̃ - log |det x'|, G̃ the Gram matrix in z; the first has ½ log det G less.
    """
    change = reparametrisation(sampler)
    if change is None:
        value = jnp.asarray(sampler.energy(position), position.dtype)
        return value + log_det_sqrt_gram(sampler.mdf, position) if sampler.measure == "ambient" else value
    place = change(position)
    value = jnp.asarray(sampler.energy(place), position.dtype) - change.log_det(position)
    value += log_det_sqrt_gram(inner_mdf(sampler), position)
    return value if sampler.measure == "ambient" else value - log_det_sqrt_gram(sampler.mdf, place)


def potential_by_volume(sampler: Any, place: Vector) -> Scalar:
    """-log of the target density by volume in x, up to a constant."""
    value = jnp.asarray(sampler.energy(place), place.dtype)
    return value + log_det_sqrt_gram(sampler.mdf, place) if sampler.measure == "ambient" else value


def phase_point(sampler: Any, at: Linearization, momentum: Vector, turn: Any = None) -> PhasePoint:
    """Evaluate the target where a chain stands; its slope is zero for a sampler that asks for no gradient."""
    change = reparametrisation(sampler)
    place = None if change is None else change(at.position)
    if not getattr(sampler, "use_gradient", True):
        return PhasePoint(at, potential(sampler, at.position), jnp.zeros_like(at.position), momentum, place, turn)
    value, gradient = jax.value_and_grad(lambda z: potential(sampler, z))(at.position)
    slope = tangent_projection(inner_mdf(sampler), at, gradient)
    return PhasePoint(at, value, slope, momentum, place, turn)


def tangent_normal(key: RandomKey, mdf: MDF, at: Linearization) -> Vector:
    """A standard normal vector of the tangent space, (n,)."""
    return tangent_projection(mdf, at, jax.random.normal(key, at.position.shape, at.position.dtype))


def initial_point(sampler: Any, position: Vector, key: RandomKey | None, turn: Any = None) -> PhasePoint:
    """A chain's start x on M, with a normal momentum, or with none where no key is given."""
    change, mdf = reparametrisation(sampler), inner_mdf(sampler)
    at = linearize(mdf, position if change is None else change.inverse(position))
    momentum = jnp.zeros_like(position) if key is None else tangent_normal(key, mdf, at)
    return phase_point(sampler, at, momentum, turn)


def on_manifold(sampler: Any, point: PhasePoint) -> Bool[Array, ""]:
    """Whether a point of {F = 0} is one of M: in the box and within F's own domain."""
    return inside(sampler.box, point.position, point.linearization.within)


def geodesic_step(
    sampler: Any, at: Linearization, momentum: Vector, step_size: Any
) -> tuple[Linearization, Vector, MultiplierSolution]:
    """z' = z + h p - J(z)ᵀμ with F(z') = 0, and p' = P(z') (z' - z) / h: RATTLE without forces (Andersen 1983)."""
    goal, mdf = at.position + step_size * momentum, inner_mdf(sampler)
    found = sampler.solver(mdf, at, goal, sampler.tolerance, iteration_cap(sampler, at))
    arrived = linearize(mdf, found.position)
    return arrived, tangent_projection(mdf, arrived, (found.position - at.position) / step_size), found


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
