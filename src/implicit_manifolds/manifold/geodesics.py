"""Geodesics of {F = 0} from a point and a velocity, and what parallel transport along them does to tangent vectors.

Steps are those of RATTLE without forces (Andersen 1983). Points a step apart satisfy P(q)(q⁺ - 2q + q⁻) = 0: they are
stationary points of Σ‖q⁺ - q‖², so `shortest_path` ends on the same discrete geodesics.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._loops import bounded_while
from .._types import MDF, Array, Bool, Int, Number, Vector, select
from .multipliers import MultiplierSolution, quasi_newton
from .projection import within_domain
from .tangent import Linearization, linearize, normal_projection, tangent_projection, transposed_times

TERMS = 64
"""Most terms of the series for an inverse square root: enough in float64 where a step turns M by 45 degrees."""


class Geodesic(NamedTuple):
    """position (n,) and velocity (n,) at the end, and whether every step was solved within F's domain.

    Where one was not, the geodesic stands still from there on.
    """

    position: Vector
    velocity: Vector
    converged: Bool[Array, ""]


class Transport(NamedTuple):
    """vector (n,) at the end of a geodesic, position and velocity (n,) there, and whether every step was sound."""

    vector: Vector
    position: Vector
    velocity: Vector
    converged: Bool[Array, ""]


class _Way(NamedTuple):
    at: Linearization
    velocity: Vector
    converged: Bool[Array, ""]


def exponential_map(mdf: MDF, point: Vector, velocity: Vector, steps: int | Int[Array, ""]) -> Geodesic:
    """Where the geodesic that leaves a point of M with a velocity is after unit time.

    RATTLE without forces: each step is q' = q + h v - J(q)ᵀμ with F(q') = 0, then v' = P(q')(q' - q)/h; h = 1/steps. It
    is symmetric and symplectic, so end, velocity and speed are right to O(h²), with even powers of h alone, and speed
    does not drift. A step must be short against the radius of curvature of M.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        point: (n,), on M.
        velocity: (n,), of which the tangent part counts; the geodesic's length is its norm.
        steps: how many, at least 1; another number compiles nothing again where it is an argument of `jit`.

    Returns:
        `Geodesic`: position (n,) and velocity (n,) at the end, and whether all steps converged within F's domain.

    >>> quarter = jnp.array([0.0, jnp.pi / 2])
    >>> end = manifold.exponential_map(circle.mdf, jnp.array([1.0, 0.0]), quarter, 100)
    >>> bool(jnp.abs(end.position - jnp.array([0.0, 1.0])).max() < 1e-3), bool(end.converged)
    (True, True)
    """
    advance = lambda _, way: _advance(mdf, way, _step_size(point, steps))
    way = jax.lax.fori_loop(0, steps, advance, _start(mdf, point, velocity))
    return Geodesic(way.at.position, way.velocity, way.converged)


def parallel_transport(
    mdf: MDF, point: Vector, velocity: Vector, vector: Vector, steps: int | Int[Array, ""]
) -> Transport:
    """A tangent vector carried along the geodesic of `exponential_map`; `vmap` over vectors takes one path for all.

    Each step turns the vector by the least rotation that takes one tangent space to the next, T to T':
    v' = P'(P P'P)^(-1/2)v, the orthogonal factor of P' on T. Norms and inner products are kept to rounding. As
    PP̈P = -2PṖ²P it is v + hṖv + h²(P̈ + Ṗ²)v/2 + O(h³), which is what parallel transport, v̇ = Ṗv, comes to; and the
    way back undoes it exactly. So it is of second order; projection alone, v' = P'v, shrinks vectors at the first.

    Arguments:
        mdf: F, a callable pytree, (n,) to (k,).
        point: (n,), on M.
        velocity: (n,), of which the tangent part counts.
        vector: (n,) at `point`, of which the tangent part is carried.
        steps: how many, at least 1.

    Returns:
        `Transport`: the vector (n,) at the end, the end (n,), the velocity there (n,), and whether all steps converged
        within F's domain and turned M by no more than about 45 degrees each.

    >>> start, east, north = jnp.eye(3)
    >>> moved = manifold.parallel_transport(ball.manifold.mdf, start, jnp.pi / 2 * east, north, 50)
    >>> moved.vector.round(3).tolist(), bool(moved.converged)
    ([0.0, 0.0, 1.0], True)
    """
    step_size, start = _step_size(point, steps), _start(mdf, point, velocity)

    def advance(_, carry):
        way, vector, turned = carry
        ahead = _advance(mdf, way, step_size)
        vector, sound = turn(mdf, way.at, ahead.at, vector)
        return ahead, vector, turned & sound

    carry = (start, tangent_projection(mdf, start.at, vector), jnp.asarray(True))
    # Whether vectors were turned is kept apart from the way, which stays one for all vectors of a batch.
    way, vector, turned = jax.lax.fori_loop(0, steps, advance, carry)
    return Transport(vector, way.at.position, way.velocity, way.converged & turned)


def rattle_step(
    mdf: MDF, at: Linearization, velocity: Vector, step_size: Number
) -> tuple[Linearization, Vector, MultiplierSolution]:
    """q' = q + h v - J(q)ᵀμ with F(q') = 0, and v' = P(q')(v - J(q)ᵀμ/h): RATTLE without forces (Andersen 1983).

    Samplers take (q' - q)/h in place of v - J(q)ᵀμ/h: the same but for rounding, which grows over hundreds of steps.
    """
    found = quasi_newton(mdf, at, at.position + step_size * velocity)
    arrived = linearize(mdf, found.position)
    pulled = velocity - transposed_times(mdf, at, found.multiplier) / step_size
    return arrived, tangent_projection(mdf, arrived, pulled), found


def turn(mdf: MDF, at: Linearization, to: Linearization, vector: Vector) -> tuple[Vector, Bool[Array, ""]]:
    """A tangent vector turned by the least rotation of the tangent space at one point to that at another.

    (P P'P)^(-1/2) = (I - S)^(-1/2) = Σ_j (2j choose j) S^j / 4^j on T, with S = P N'P, whose norm is sin² of the
    largest angle between the two. Also whether the series ended within `TERMS`.
    """
    smallest = jnp.finfo(vector.dtype).eps * jnp.linalg.norm(vector)

    def unsolved(carry):
        return jnp.linalg.norm(carry[1]) > smallest

    def body(carry):
        total, term, index = carry
        share = (2 * index + 1) / (2 * index + 2)
        term = share * tangent_projection(mdf, at, normal_projection(mdf, to, term))
        return total + term, term, index + 1

    start = (vector, vector, jnp.zeros((), vector.dtype))
    (total, term, _), _ = bounded_while(unsolved, body, start, TERMS)
    return tangent_projection(mdf, to, total), jnp.linalg.norm(term) <= smallest


def _step_size(point: Vector, steps):
    return jnp.asarray(1 / steps, point.dtype)


def _start(mdf: MDF, point: Vector, velocity: Vector) -> _Way:
    at = linearize(mdf, point)
    velocity = tangent_projection(mdf, at, velocity)
    return _Way(at, velocity, within_domain(at, jnp.isfinite(velocity).all()))


def _advance(mdf: MDF, way: _Way, step_size) -> _Way:
    arrived, velocity, found = rattle_step(mdf, way.at, way.velocity, step_size)
    sound = way.converged & within_domain(arrived, found.converged & jnp.isfinite(velocity).all())
    return select(sound, _Way(arrived, velocity, sound), way._replace(converged=sound))
