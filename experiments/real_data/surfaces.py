"""Surfaces of meshes: learned from uniform points, and then a density on them, as a rule of an eigenfunction."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.real_data import judging, mesh
from implicit_manifolds import EBIM, FitConfig, LikelihoodConfig, draw_pool, fit
from implicit_manifolds.datasets.download import fetch
from implicit_manifolds.ebim.anchors import points_on_manifold
from implicit_manifolds.ebim.fit import Fit
from implicit_manifolds.ebim.forms import Form
from implicit_manifolds.ebim.likelihood import fit_likelihood
from implicit_manifolds.ebim.survey import survey
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.importance import log_normalizer

POINTS, TESTED, STARTS = 5000, 4000, 1000
EIGENFUNCTION = 10
"""The density is max(0, ψ) of this one, as in Rozen et al. 2021 and Chen & Lipman 2024, linear on each triangle."""


class Surface(NamedTuple):
    """A mesh, uniform points of it, and points of the density; test points with their true log-density."""

    mesh: mesh.Mesh
    uniform: np.ndarray
    train: np.ndarray
    test: np.ndarray
    log_density: np.ndarray


def load(name: str, seed: int) -> Surface:
    """A mesh by its name, with fresh points. Raises DataUnavailable."""
    found, random = mesh.read_mesh(fetch(f"mesh/{name}_simp.obj")), np.random.default_rng([seed, 9])
    function = mesh.eigenfunctions(found, EIGENFUNCTION + 1)[1][:, EIGENFUNCTION]
    # An eigenfunction has no sign of its own; the corner where it is largest is where it is positive.
    heights = np.maximum(function * np.sign(function[np.abs(function).argmax()]), 0)
    uniform = mesh.uniform_on(found, random, POINTS)[0]
    train = mesh.draw(found, heights, random, POINTS)[0]
    return Surface(found, uniform, train, *mesh.draw(found, heights, random, TESTED))


def fitted(form: Form, surface: Surface, seed: int) -> tuple[Fit, EBIM]:
    """The surface by uniform points, with the density of these and with that of the others."""
    first, second = jax.random.split(jax.random.key(seed))
    codimension = 1 if form == "zero-set" else None
    found = fit(first, surface.uniform, codimension, FitConfig(manifold=form))
    return found, with_density(second, found.model, surface.train)


def with_density(key: jax.Array, model: EBIM, points: np.ndarray) -> EBIM:
    """The same manifold with the density of other points (N, n), by likelihood."""
    start_key, survey_key, energy_key, last_key = jax.random.split(key, 4)
    manifold, config = model.manifold, LikelihoodConfig()
    standard = model.scaling.standardize(points)
    anchors, starts, _ = points_on_manifold(start_key, manifold.mdf, standard, manifold.box, STARTS)
    charted, data = survey(survey_key, manifold, anchors, starts, config.members)
    energy, _ = fit_likelihood(energy_key, pool_source(charted), data, config)
    return replace(
        model, manifold=charted, energy=energy, log_normalizer=log_normalizer(last_key, pool_source(charted), energy)
    )


def judged(found: tuple[Fit, EBIM], surface: Surface) -> dict[str, Any]:
    """NLL beside the truth's on the same test points; distances of test points to M, and of all of M to the mesh."""
    how, model = found
    told = judging.of_fit(how) | judging.of_model(model, surface.test)
    told["nll_true"] = -float(surface.log_density.mean())
    pool = draw_pool(jax.random.key(3), how.model.manifold, judging.SAMPLES)
    away = mesh.distance(surface.mesh, model.scaling.restore(pool.points))
    told |= {"surface_mean": float(np.average(away, weights=pool.weights)), "surface_max": float(away.max())}
    return told | {"volume_ratio": told.get("volume")}
