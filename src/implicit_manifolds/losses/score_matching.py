"""Score matching on a level set, tangential and without a normaliser (Hyvärinen 2005; Mardia, Kent & Laha 2016)."""

import jax
import jax.numpy as jnp

from .._types import MDF, Array, Energy, Float, RandomKey, Scalar
from ..manifold.tangent import linearize, pseudo_inverse_times, tangent_projection


def score_matching_loss(
    key: RandomKey,
    mdf: MDF,
    energy: Energy,
    points: Float[Array, "batch n"],
    weights: Float[Array, " batch"] | None = None,
    tolerance: float | None = None,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Mean ½‖s‖² - div_M s, s = P∇E, over points x (batch, n) of M, with optional weights (batch,).

    div_M s = tr(P Ds P) is estimated by one probe of random signs a point (Hutchinson 1990), by Jacobian-vector
    products alone, so that it serves any number of constraints. Least, up to a constant on each connected part of M, at
    the density exp(-E): the parts' weights it cannot see. tolerance is that of conjugate gradients,
    as in `tangent_projection`. Returns the loss and its terms.
    """

    def one(x, probe):
        at = linearize(mdf, x)
        along = tangent_projection(mdf, at, probe, tolerance)
        gradient, change = jax.jvp(jax.grad(energy), (x,), (along,))
        # With J v = 0, v·D_v(P∇E) = v·∇²E v - F''[v, v]·G⁻¹J∇E, which takes no derivative of a linear solve.
        bend = jax.jvp(lambda y: jax.jvp(mdf, (y,), (along,))[1], (x,), (along,))[1]
        divergence = jnp.vdot(along, change) - jnp.vdot(pseudo_inverse_times(mdf, at, bend, tolerance), gradient)
        return jnp.sum(tangent_projection(mdf, at, gradient, tolerance) ** 2) / 2, divergence

    probes = jax.random.rademacher(key, points.shape, points.dtype)
    squares, divergences = jax.vmap(one)(points, probes)
    terms = {"square": jnp.average(squares, weights=weights), "divergence": jnp.average(divergences, weights=weights)}
    return terms["square"] - terms["divergence"], terms
