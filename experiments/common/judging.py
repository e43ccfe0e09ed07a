"""How a model of a problem's data is judged: the same code for every model, in data units."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from experiments.common.original_cost import grid_cost, spread
from experiments.common.problem import Problem
from implicit_manifolds import EBIM, log_density, nearest_points, sample, topology
from implicit_manifolds.certificate.homology import betti_numbers
from implicit_manifolds.ebim.verbs import Method, NearestPoints
from implicit_manifolds.metrics.mmd import squared_mmd
from implicit_manifolds.metrics.transport import wasserstein1, wasserstein1_floor
from implicit_manifolds.volumes.growth import thinned

NUM_SAMPLES = 30_000
MAX_SETS = 100
"""Sets of as many samples as there are held-out points that W1 is averaged over: one set would be mostly noise."""
ENTROPY_POINTS = 20_000
HOMOLOGY_POINTS, NEIGHBOURS, STRAY = 30_000, (10, 50), 2.0
SPARSE, UNEVEN = 0.99, 5.0
"""Witnesses should be even: samples are thinned to the spacing of the sparsest where it is so many times the usual."""
PRINCIPAL = 20
"""Points whose principal directions stand for tangents and normals."""


class Candidate(NamedTuple):
    """What a model offers to be judged by, each None where it has no such thing.

    sample(key, count) (count, n). log_density, points (N, n) to (N,), by the volume of the model's own manifold at its
    projections, NaN where those failed. nearest, points (N, n) to nearest points of its manifold. spread(key): points
    (N, n) all over the manifold and the log density there, up to a constant. betti(): the manifold's, and if settled.
    """

    sample: Callable[[Any, int], np.ndarray]
    log_density: Callable[[np.ndarray], np.ndarray] | None
    nearest: Callable[[np.ndarray], NearestPoints] | None
    spread: Callable[[Any], tuple[np.ndarray, np.ndarray]] | None = None
    betti: Callable[[], tuple[tuple[int, ...], bool]] | None = None


def candidate_of(model: EBIM, method: Method | None = None) -> Candidate:
    """A fitted EBIM, ready to be judged; method: of its samples, unless the model decides."""

    def density(points):
        found = log_density(model, points)
        return np.where(found.converged, found.log_density, np.nan)

    def betti():
        found = topology(model.manifold)
        return found.betti, found.settled

    return Candidate(
        lambda key, count: sample(key, model, count, method=method).points,
        density if model.log_normalizer is not None else None,
        partial(nearest_points, model),
        lambda key: spread(key, model),
        betti,
    )


def metrics(candidate: Candidate, problem: Problem, key, seed: int, num_samples: int = NUM_SAMPLES) -> dict[str, Any]:
    """What every model is judged by, on `num_samples` of its own samples."""
    drawn = candidate.sample(key, num_samples)
    found: dict[str, Any] = sample_metrics(drawn, problem, seed) | distances(
        "samples_to_truth", problem.distance(drawn)
    )
    if candidate.log_density is not None:
        found |= density_metrics(candidate.log_density, problem, seed)
    if candidate.nearest is not None:
        for name, points in (("train", problem.train), ("test", problem.test)):
            nearest = candidate.nearest(points)
            found |= distances(f"{name}_to_model", nearest.distance[nearest.converged])
            found[f"{name}_converged"] = float(nearest.converged.mean())
    if candidate.spread is not None:
        points, log_density = candidate.spread(key)
        found |= distances("model_to_truth", problem.distance(points))
        found |= grid_cost(problem.original, points, log_density)
    if problem.betti is None:
        return found
    betti, settled = betti_of_samples(drawn, problem) if candidate.betti is None else candidate.betti()
    return found | {"betti": list(betti), "betti_settled": settled, "topology_right": betti == problem.betti}


def betti_of_samples(drawn: np.ndarray, problem: Problem) -> tuple[tuple[int, ...], bool]:
    """Betti numbers by persistent homology of samples, and whether they settled.

    Landmarks are spread as far as samples go, so a single stray would count as a part: points `STRAY` times as far from
    their neighbours as these are from theirs are left out, few neighbours and many. Gaps below the spacing of landmarks
    are forgiven.
    """
    points = drawn[:HOMOLOGY_POINTS]
    distance, neighbours = KDTree(points).query(points, max(NEIGHBOURS) + 1)
    kept = np.ones(len(points), bool)
    for count in NEIGHBOURS:
        reach = distance[:, count]
        kept &= reach <= STRAY * np.median(reach[neighbours[:, 1 : count + 1]], axis=1)
    points = points[kept]
    usual, apart = np.quantile(KDTree(points).query(points, 2)[0][:, 1], (0.5, SPARSE))
    if apart > UNEVEN * usual:
        points = points[thinned(np.random.default_rng(0), points, np.full(len(points), apart))]
    found = betti_numbers(points, principal_normals(points, problem.codimension))
    return found.betti, found.settled


def principal_normals(points: np.ndarray, codimension: int) -> np.ndarray:
    """Orthonormal normals (N, k, n): the least principal directions of each point and those around it."""
    around = points[KDTree(points).query(points, PRINCIPAL)[1]]
    around -= around.mean(axis=1, keepdims=True)
    return np.linalg.eigh(np.einsum("cpi,cpj->cij", around, around))[1][:, :, :codimension].transpose(0, 2, 1)


def sample_metrics(drawn: np.ndarray, problem: Problem, seed: int) -> dict[str, float]:
    """Mean W1 and MMD² of disjoint sets of samples and as many true points, and W1 between sets of true points.

    The truth is fresh for each set where the law is known, and otherwise what was held out.
    """
    count, law = len(problem.test), problem.law
    number = min(MAX_SETS, len(drawn) // count)
    sets = np.random.default_rng(seed).permutation(drawn)[: number * count].reshape(number, count, -1)

    def truth(index):
        return problem.test if law is None else law.draw(np.random.default_rng([seed, 5, index]), count)

    return {
        "w1": float(np.mean([wasserstein1(points, truth(index)) for index, points in enumerate(sets)])),
        "w1_floor": wasserstein1_floor(problem.true_pair),
        "mmd": float(np.mean([squared_mmd(points, truth(index)) for index, points in enumerate(sets)])),
    }


def density_metrics(log_density: Callable, problem: Problem, seed: int) -> dict[str, float]:
    """-log p of held-out points in nats, and less that of the true density where the law is known: excess."""
    found = {"nll_test": -float(np.nanmean(log_density(problem.test)))}
    if problem.law is not None:
        fresh = problem.law.draw(np.random.default_rng([seed, 8]), ENTROPY_POINTS)
        found["nll_excess"] = float(np.nanmean(problem.law.log_density(fresh) - log_density(fresh)))
    return found


def distances(name: str, distance: np.ndarray) -> dict[str, float]:
    """Least, median, mean and greatest of distances."""
    values = {"min": distance.min(), "median": np.median(distance), "mean": distance.mean(), "max": distance.max()}
    return {f"{name}_{key}": float(value) for key, value in values.items()}
