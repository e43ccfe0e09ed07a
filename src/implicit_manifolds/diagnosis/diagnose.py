"""The one verb: everything about a model that can be wrong without saying so."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._random import check_key, derived_keys, host_generator
from .._types import Float, RandomKey
from ..certificate.parts import Topology
from ..certificate.topology import certified
from ..ebim.model import EBIM
from ..findings import Finding, table
from ..points import check_points
from ..volumes.manifold import Manifold
from .near import of_points
from .whole import of_charts, of_density, of_topology

MOST_POINTS = 4000


class Diagnosis(NamedTuple):
    """What was looked at, and the certificate and its words, None and why where there is none; `print` for a table."""

    findings: tuple[Finding, ...]
    topology: Topology | None
    certificate: str

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """Those findings that are beyond their thresholds."""
        return tuple(one for one in self.findings if one.wrong)

    def __str__(self) -> str:
        """A line for each number, and a sentence for each that is wrong."""
        return table(self.findings)


def diagnose(key: RandomKey, model: EBIM, points) -> Diagnosis:
    """Look for what can be wrong with a model without its saying so: data it misses, surface it invents, lost rank,
    tears, an unsettled certificate, volume that charts miss, weights that collapse.

    Of chains, `mcmc.summary` says the like, and `tempered_smc` of its own. Raises InputError for points that cannot be
    of the model.

    Arguments:
        key: a JAX random key.
        model: a fitted model.
        points: (N, n) in data units, those it was fitted to or, better, others of the same law; at most 4,000 are
            looked at.

    Returns:
        `Diagnosis`: findings, of each the number, its threshold and a sentence; and the certificate.

    >>> found = im.diagnose(jax.random.key(0), model, points)
    >>> found.wrong, found.topology.betti
    ((), (1, 1))
    """
    check_key(key)
    points = check_points(points, dimension=model.manifold.ambient_dimension)
    choose_key, pool_key = derived_keys(key, 2)
    rows = np.asarray(points)[_some(choose_key, len(points))]
    on, of_near = of_points(model, rows)
    manifold = _with_anchors(model.manifold, on)
    topology, certificate = certified(manifold)
    of_whole = of_topology(manifold, topology, certificate)
    findings = *of_near, *of_whole, *of_charts(model, on), *of_density(pool_key, model)
    return Diagnosis(findings, topology, certificate)


def _with_anchors(manifold: Manifold, on: Float[np.ndarray, "c n"]) -> Manifold:
    """The same M, judged by points on it in place of those that it was learned from."""
    return replace(manifold, anchors=on).charted(manifold.atlas) if len(on) else manifold


def _some(key: RandomKey, count: int) -> np.ndarray:
    return np.sort(host_generator(key).permutation(count)[:MOST_POINTS])
