"""Monotone rational-quadratic splines on [-B, B], the identity outside (Durkan et al. 2019)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Array, Float, Scalar

SMALLEST = 1e-3
"""Least width and height of a bin over the mean, and least slope at a knot."""


class Bin(NamedTuple):
    """The bin a number falls into: its left and bottom ends, width, height, and slopes at its two knots, each ()."""

    left: Scalar
    bottom: Scalar
    width: Scalar
    height: Scalar
    first_slope: Scalar
    last_slope: Scalar


def spline(x: Scalar, parameters: Float[Array, " p"], bound: float, *, inverse: bool = False) -> tuple[Scalar, Scalar]:
    """The value s(x), or the x of s(x) = y given y, and the log of the derivative of the map that was asked for.

    parameters (p,), p = 3K - 1: K logits of widths, K of heights, K - 1 of inner slopes; outer slopes are one, so that
    the spline joins the identity smoothly.
    """
    inside = jnp.abs(x) < bound
    within = jnp.where(inside, x, 0.0)
    place = _bin(within, parameters, bound, by_height=inverse)
    slope = place.height / place.width
    bend = place.first_slope + place.last_slope - 2 * slope
    share = _share(within, place, slope, bend) if inverse else (within - place.left) / place.width
    mixed = share * (1 - share)
    steepness = slope + bend * mixed
    rising = place.height * (slope * share**2 + place.first_slope * mixed) / steepness
    derivative = place.last_slope * share**2 + 2 * slope * mixed + place.first_slope * (1 - share) ** 2
    log_derivative = 2 * jnp.log(slope) + jnp.log(derivative) - 2 * jnp.log(steepness)
    value = place.left + share * place.width if inverse else place.bottom + rising
    log_derivative = -log_derivative if inverse else log_derivative
    return jnp.where(inside, value, x), jnp.where(inside, log_derivative, 0.0)


def _share(y, place: Bin, slope, bend):
    """Where in its bin y is reached, in [0, 1]: the root that exists of the quadratic, without cancellation."""
    rise = y - place.bottom
    a = place.height * (slope - place.first_slope) + rise * bend
    b = place.height * place.first_slope - rise * bend
    c = -slope * rise
    return 2 * c / (-b - jnp.sqrt(jnp.maximum(b**2 - 4 * a * c, 0)))


def _bin(x, parameters, bound, *, by_height: bool) -> Bin:
    """The bin that x falls into, by its knots in y if `by_height`; picked by sums, since gathers are slow to undo."""
    bins = (len(parameters) + 1) // 3
    widths = _sizes(parameters[:bins], bound)
    heights = _sizes(parameters[bins : 2 * bins], bound)
    one = jnp.ones(1, widths.dtype)
    slopes = jnp.concatenate([one, SMALLEST + jax.nn.softplus(parameters[2 * bins :]), one])
    lefts, bottoms = (jnp.cumsum(sizes) - sizes - bound for sizes in (widths, heights))
    starts = bottoms if by_height else lefts
    reached = (x >= starts[1:]).astype(widths.dtype)
    here = jnp.append(one, reached) - jnp.append(reached, 0.0)
    columns = (lefts, bottoms, widths, heights, slopes[:-1], slopes[1:])
    return Bin(*(jnp.vdot(here, column) for column in columns))


def _sizes(logits, bound):
    """Sizes of the bins of [-B, B] by their logits, none smaller than `SMALLEST` of the whole."""
    return 2 * bound * (SMALLEST + (1 - SMALLEST * len(logits)) * jax.nn.softmax(logits))
