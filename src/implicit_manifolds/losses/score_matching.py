"""Score matching on a level set, tangential and without a normaliser (Hyvärinen 2005; Mardia, Kent & Laha 2016)."""

import jax
import jax.numpy as jnp

from .._types import MDF, Array, Energy, Float, RandomKey, Scalar
from ..manifold.tangent import linearize, tangent_projection


def score_matching_loss(
    key: RandomKey,
    mdf: MDF,
    energy: Energy,
    points: Float[Array, "batch n"],
    weights: Float[Array, " batch"] | None = None,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Mean ½‖s‖² - div_M s, s = P∇E, over points x (batch, n) of M, with optional weights (batch,).

    div_M s = tr(P Ds P) is estimated by one probe of random signs a point (Hutchinson 1990), by Jacobian-vector
    products alone, so that it serves any number of constraints. Least, up to a constant on each connected part of M, at
    the density exp(-E): the parts' weights it cannot see. Returns the loss and its terms.
    """

    def one(x, probe):
        def field(y):
            return tangent_projection(mdf, linearize(mdf, y), jax.grad(energy)(y))

        along = tangent_projection(mdf, linearize(mdf, x), probe)
        score, change = jax.jvp(field, (x,), (along,))
        return jnp.sum(score**2) / 2, jnp.vdot(along, change)

    probes = jax.random.rademacher(key, points.shape, points.dtype)
    squares, divergences = jax.vmap(one)(points, probes)
    terms = {"square": jnp.average(squares, weights=weights), "divergence": jnp.average(divergences, weights=weights)}
    return terms["square"] - terms["divergence"], terms
