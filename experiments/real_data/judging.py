"""What is told of a model of real data: its form and topology, held-out likelihood, and distances both ways."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.real_data.sets import DataSet
from implicit_manifolds import EBIM, describe, draw_pool, log_density, sample, topology
from implicit_manifolds._loops import over_points
from implicit_manifolds.ebim.fit import Fit
from implicit_manifolds.ebim.verbs import log_volume_scale
from implicit_manifolds.manifold.ridge import Ridge
from implicit_manifolds.volumes.projected import projected

SAMPLES, POOL = 2000, 40_000
NEAR = 0.01
"""A test point is on M for all one can see if it is nearer than this, in units of the data's scale."""


def of_fit(found: Fit) -> dict[str, Any]:
    """How M was found."""
    seen = found.dimension
    return {
        "ridge": isinstance(found.model.manifold.mdf, Ridge),
        "codimension": found.model.manifold.codimension,
        "seen": None if seen is None else str(seen),
        "reason": found.reason,
        "seconds_manifold": found.seconds_manifold,
        "seconds_energy": found.seconds_energy,
        "scale": found.model.scaling.length,
    }


def of_model(model: EBIM, test: np.ndarray) -> dict[str, Any]:
    """NLL of test points (M, n) at their projections, of those that have one, and how far these are, in data units."""
    scored = log_density(model, test)
    reached, scale = scored.converged, model.scaling.length
    told: dict[str, Any] = {"test": len(test), "converged": float(reached.mean())}
    standard = np.asarray(model.scaling.standardize(test))
    brought, usable = projected(model.manifold.mdf, standard, model.manifold.box)
    told["projected"] = float(usable.mean())
    if usable.any():
        told["projected_mean"] = float(np.linalg.norm((brought - standard)[usable], axis=1).mean()) * scale
        if not isinstance(model.manifold.mdf, Ridge):
            values = over_points(_singular_values, model.manifold.mdf, brought[usable])
            told["singular_ratio"] = float(np.median(values[:, -1] / values[:, 0]))
    if reached.any():
        away = scored.distance[reached]
        told |= {"test_mean": float(away.mean()), "test_max": float(away.max())}
        told["near"] = float(np.mean(reached & (scored.distance <= NEAR * scale)))
        if model.log_normalizer is not None:
            told["nll"] = -float(scored.log_density[reached].mean())
            told["nll_error"] = float(scored.log_density[reached].std() / np.sqrt(reached.sum()))
            told["log_normalizer_error"] = float(model.log_normalizer.standard_error)
    if model.manifold.atlas is not None:
        pool = draw_pool(jax.random.key(2), model.manifold, POOL)
        told["volume"] = float(np.sum(pool.weights * np.exp(log_volume_scale(model, pool.points))))
        certificate = topology(model.manifold)
        told |= {"topology": describe(certificate), "settled": certificate.settled}
    return told


def _singular_values(mdf, x):
    return jnp.linalg.svd(jax.jacfwd(mdf)(x), compute_uv=False)


def of_set(found: Fit, data: DataSet, test: np.ndarray) -> dict[str, Any]:
    """All of it, and the distance of samples from the true manifold where that is known."""
    told = of_fit(found) | of_model(found.model, test)
    if "volume" in told and data.volume is not None:
        told["volume_ratio"] = told["volume"] / data.volume
    drawn = sample(jax.random.key(1), found.model, SAMPLES)
    told |= {"method": drawn.method, "on_manifold": float(drawn.on_manifold.mean())}
    if data.distance is not None:
        away = data.distance(drawn.points)
        told |= {"samples_mean": float(away.mean()), "samples_max": float(away.max())}
    return told
