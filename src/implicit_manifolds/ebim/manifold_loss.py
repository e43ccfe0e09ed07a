"""The loss that teaches a network to be a manifold-defining function (Ross et al. 2023, §3.1)."""

from typing import Literal

import jax
import jax.numpy as jnp

from .._types import MDF, Array, Float, Number, RandomKey, Residual, Scalar, Vector
from ..choices import check_choice

ResidualNorm = Literal["l1", "l2", "l2-squared"]


def residual_norm(residual: Residual, kind: ResidualNorm = "l2") -> Scalar:
    """‖F‖ of one point in the named norm, (k,) -> (); the derivative of l2 at zero is zero, not NaN.

    Raises InputError for a name that is none.
    """
    check_choice("the norm", kind, ResidualNorm)
    if kind == "l1":
        return jnp.sum(jnp.abs(residual))
    squared = jnp.sum(residual**2)
    if kind == "l2-squared":
        return squared
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def pulled_norms(
    key: RandomKey, mdf: MDF, points: Float[Array, "batch n"]
) -> tuple[Float[Array, " batch"], Float[Array, "batch k"]]:
    """‖J(x)ᵀv‖ for a random unit v at each point, (batch,), and F(x), (batch, k), by one vjp each.

    Any value lies between the least and the largest singular value of J(x).
    """
    directions = _directions(key, mdf, points)

    def one(x: Vector, direction):
        residual, pull = jax.vjp(mdf, x)
        return residual_norm(pull(direction / jnp.linalg.norm(direction))[0]), residual

    return jax.vmap(one)(points, directions)


def isometry_penalty(key: RandomKey, mdf: MDF, points: Float[Array, "batch n"], scale: Number = 1.0) -> Scalar:
    """Mean of ‖G v/η² - v‖², v uniform on the unit sphere of R^k, one for each point; G = J Jᵀ, η is `scale`.

    By one vjp and one jvp. In expectation ‖G/η² - I‖²_F / k: it holds every singular value of J near η, where a
    bound on ‖Jᵀv‖ holds only their mean square once k is large. points (batch, n) to (). Ours.
    """
    return jnp.mean(_isometry_defects(key, mdf, points, scale)[0])


def _isometry_defects(key: RandomKey, mdf: MDF, points, scale: Number, of_residual: bool = False):
    """‖G v/η² - v‖², (batch,), and with it what `pulled_norms` gives for the same v.

    With `of_residual` also ‖G u/η² - u‖² for u = F/‖F‖, through which no gradient flows; else zeros.
    """

    def one(x: Vector, direction):
        direction /= jnp.linalg.norm(direction)
        residual, push = jax.linearize(mdf, x)
        pull = lambda u: jax.linear_transpose(push, x)(u)[0]
        defect = lambda u, pulled: jnp.sum((push(pulled) / scale**2 - u) ** 2)
        pulled, along = pull(direction), jnp.zeros((), residual.dtype)
        if of_residual:
            size = jax.lax.stop_gradient(residual_norm(residual))
            unit = jnp.where(size > 0, jax.lax.stop_gradient(residual) / jnp.where(size > 0, size, 1), 0)
            along = defect(unit, pull(unit))
        return defect(direction, pulled), residual_norm(pulled), residual, along

    return jax.vmap(one)(points, _directions(key, mdf, points))


def _directions(key: RandomKey, mdf: MDF, points):
    """A normal vector (k,) for each point, (batch, k)."""
    shape = jax.eval_shape(mdf, points[0])
    return jax.random.normal(key, (points.shape[0], *shape.shape), shape.dtype)


def manifold_loss(
    key: RandomKey,
    mdf: MDF,
    points: Float[Array, "batch n"],
    negatives: Float[Array, "m n"] | None,
    *,
    negative_weight: float = 0.3,
    rank_weight: float = 1.0,
    square_weight: float = 1.0,
    minimum_singular_value: float = 1.0,
    maximum_singular_value: float | None = None,
    isometry_weight: float = 0.0,
    isometry_points: int | None = None,
    residual_isometry_weight: float = 0.0,
    norm: ResidualNorm = "l2",
    negative_norm: ResidualNorm = "l2",
) -> tuple[Scalar, dict[str, Scalar]]:
    """mean‖F(x)‖ - β mean‖F(x⁻)‖ + μ mean relu(η - ‖Jᵀv‖)² [+ μ mean relu(‖Jᵀv‖ - η_max)²] + ρ mean‖F(x⁻)‖².

    points x (batch, n); negatives x⁻ (m, n), or None for a loss without them. β is negative_weight, μ rank_weight, ρ
    square_weight, η and η_max the singular-value bounds; with an isometry_weight, `isometry_penalty` at scale η is
    added; it and the rank term are taken at the first isometry_points alone where that is given. So is, with a
    residual_isometry_weight, mean ‖G u/η² - u‖² for u = F/‖F‖, the direction that the loss would shrink J in first:
    then ‖F‖ stays a distance. Returns the loss and its unweighted terms. No gradient flows into `negatives`.
    """
    defects = None
    if isometry_weight or residual_isometry_weight:
        some, rest = points[:isometry_points], points[len(points[:isometry_points]) :]
        held = _isometry_defects(key, mdf, some, minimum_singular_value, residual_isometry_weight > 0)
        defects, values, residuals, along = held
        residuals = jnp.concatenate([residuals, jax.vmap(mdf)(rest)])
    else:
        values, residuals = pulled_norms(key, mdf, points)
    terms = {
        "data": jnp.mean(jax.vmap(lambda r: residual_norm(r, norm))(residuals)),
        "rank": jnp.mean(jax.nn.relu(minimum_singular_value - values) ** 2),
    }
    if maximum_singular_value is not None:
        terms["rank"] += jnp.mean(jax.nn.relu(values - maximum_singular_value) ** 2)
    loss = terms["data"] + rank_weight * terms["rank"]
    if defects is not None:
        terms["isometry"] = jnp.mean(defects)
        loss += isometry_weight * terms["isometry"]
        if residual_isometry_weight:
            terms["residual_isometry"] = jnp.mean(along)
            loss += residual_isometry_weight * terms["residual_isometry"]
    if negatives is not None:
        at = jax.vmap(mdf)(jax.lax.stop_gradient(negatives))
        size = jax.vmap(lambda r: residual_norm(r, negative_norm))(at)
        terms["negative"], terms["square"] = jnp.mean(size), jnp.mean(size**2)
        loss += square_weight * terms["square"] - negative_weight * terms["negative"]
    return loss, terms
