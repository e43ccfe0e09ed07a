"""Of M and its density as a whole: the certificate, charts, the normaliser, weights."""

import numpy as np

from .._types import Float, RandomKey
from ..certificate.parts import Topology
from ..certificate.topology import singular_ratio, widest_hole
from ..ebim.model import EBIM
from ..findings import Finding, at_least, at_most
from ..volumes.atlas import density_of, draw_pool, normals_at
from ..volumes.importance import energies_at
from ..volumes.manifold import Manifold

STRAY, SINGULAR, UNSURE = 0.01, 0.02, 0.05
"""Share of volume without data, ratio of singular values of J, and standard error of log Z, that are told."""
LOST = 0.01
"""Share of M on no chart, or on charts that disagree, that is told: densities are off by as much."""
DRAWS, EFFECTIVE = 2**14, 0.005
"""Draws whose weights are looked at, and the least effective share of them: two hundred draws for a sample."""


def of_topology(manifold: Manifold, found: Topology | None, certificate: str) -> list[Finding]:
    """What is wrong by the certificate, None where there is none, and its words."""
    if found is None:
        anchors = manifold.anchors
        ratio = singular_ratio(manifold.mdf, np.zeros((0, 1)) if anchors is None else np.asarray(anchors))
        return [at_least("certificate settled", 0, 1, certificate), _rank(ratio)]
    stray = sum(one.volume_share for one in found.components if one.data_share == 0)
    return [
        at_least(
            "certificate settled",
            found.settled,
            1,
            "two resolutions differ, or something contradicts; give more points, more width, or another seed",
        ),
        at_most("share of the manifold without data", stray, STRAY, "parts of it hold no point: they were invented"),
        at_most(
            "widest place without data",
            widest_hole(manifold, wide=True),
            0,
            "the manifold goes on over a place of such a radius, where points would be if it were there",
        ),
        _rank(found.singular_ratio),
    ]


def _rank(ratio: float) -> Finding:
    told = "F nearly loses rank on the manifold, which may be torn or branch there; fit with another seed or as a ridge"
    return at_least("least singular value over largest", ratio, SINGULAR, told)


def of_charts(model: EBIM, on: Float[np.ndarray, "c n"]) -> list[Finding]:
    """What is wrong about the charts: volume that they miss, or points (c, n) of M that they do, or count twice."""
    atlas = model.manifold.atlas
    if atlas is None:
        return [at_most("share on no chart", 1, LOST, "there are no charts: densities have no normaliser")]
    missed = "densities and volumes are off by as much; cover it again from more points"
    bare = 1.0 if len(on) == 0 else float(np.mean(density_of(atlas, on, normals_at(model.manifold.mdf, on)) == 0))
    return [
        at_most("share on no chart", float(atlas.uncovered), LOST, missed),
        at_most("points on no chart", bare, LOST, missed),
        at_most("share on charts that disagree", float(atlas.inconsistent), LOST, missed),
    ]


def of_density(key: RandomKey, model: EBIM) -> list[Finding]:
    """What is wrong about the density: its normaliser, and weights of draws that have collapsed."""
    normalizer = model.log_normalizer
    if normalizer is None:
        error, unsure = float("nan"), "there is no normaliser, and energies compare points only; charts would give one"
    else:
        error = float(normalizer.standard_error)
        unsure = "log Z is not known so well, and densities are off by as much; try another energy loss"
    found = [at_most("standard error of log Z", error, UNSURE, unsure)]
    if model.manifold.atlas is not None:
        pool = draw_pool(key, model.manifold, DRAWS)
        logs = np.log(pool.weights) - energies_at(model.energy, pool.points)
        weights = np.exp(logs - logs.max())
        share = float(weights.sum() ** 2 / (weights**2).sum() / DRAWS)
        collapsed = "few of many draws have all the weight, and samples are these again and again; sample by chains"
        found.append(at_least("effective share of draws", share, EFFECTIVE, collapsed))
    return found
