"""Results that are wrong without saying so: each finding in a model that is right, and in one that is not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

import implicit_manifolds as im
from experiments.reliability.models import cases, healthy, rightwards, ring
from implicit_manifolds import mcmc
from implicit_manifolds.findings import Finding
from implicit_manifolds.manifold.analytic import sphere

DRAWS = 400


def rows() -> list[dict[str, Any]]:
    """One for each finding: its threshold, what it is where all is right, and where it is not."""
    right = [im.diagnose(jax.random.key(0), model, points).findings for model, points in healthy()]
    worst = {one[0].name: max(one, key=_how_wrong) for one in zip(*right, strict=True)}
    found = []
    for case in cases():
        told = _named(im.diagnose(jax.random.key(0), case.model, case.points).findings, case.finding)
        found.append(_row("`diagnose`", case.what, worst[case.finding], told))
    for names, what, well, badly in (_chains(), _particles()):
        found += [_row(names, what[name], _named(well, name), _named(badly[name], name)) for name in what]
    return found


def _row(where: str, what: str, right: Finding, wrong: Finding) -> dict[str, Any]:
    shown = {
        "what goes wrong": what,
        "where it is told": where,
        "number": wrong.name,
        "threshold": float(wrong.threshold),
    }
    shown |= {"where all is right": right.value, "here": wrong.value, "what is said": wrong.told}
    return shown | {"right": wrong.wrong and not right.wrong}


def _named(findings, name: str) -> Finding:
    return next(one for one in findings if one.name == name)


def _how_wrong(finding: Finding) -> float:
    """The further from right the larger, of findings of one name."""
    return finding.value if finding.name not in LEAST else -finding.value


LEAST = {"certificate settled", "least singular value over largest", "effective share of draws"}
"""Findings whose numbers should be large."""


def _two_circles(x):
    return ((jnp.sum(x**2) - 1) * (jnp.sum((x - jnp.asarray([3.0, 0.0])) ** 2) - 1))[None]


def _chains():
    starts = ring(8).astype(np.float32)
    sampler = mcmc.ConstrainedHMC(sphere(1.0), Partial(rightwards, 1.0), 0.5, num_steps=4)
    well = mcmc.summary(mcmc.run(jax.random.key(0), sampler, starts, DRAWS)).findings
    apart = starts + 3 * (np.arange(8) % 2)[:, None] * np.array([1, 0], np.float32)
    stays = mcmc.ConstrainedHMC(Partial(_two_circles), Partial(rightwards, 1.0), 0.5, num_steps=4)
    slow = mcmc.ConstrainedHMC(sphere(1.0), Partial(rightwards, 1.0), 0.01)
    long = mcmc.ConstrainedHMC(sphere(1.0), Partial(rightwards, 1.0), 1.5)
    steep = mcmc.ConstrainedHMC(sphere(1.0), Partial(rightwards, 1e5), 0.5)
    run = lambda sampler, starts: mcmc.summary(mcmc.run(jax.random.key(0), sampler, starts, DRAWS)).findings
    unmixed, slowly, far, refused = run(stays, apart), run(slow, starts), run(long, starts), run(steep, starts)
    what = {
        "largest R-hat": "chains on two circles that no step joins",
        "least bulk size": "steps of a hundredth of the circle's radius",
        "share of steps that failed": "steps longer than the circle's radius",
        "acceptance of the slowest chains": "a force that steps are far too long for",
    }
    badly = {"largest R-hat": unmixed, "least bulk size": slowly, "share of steps that failed": far}
    return "`mcmc.summary`", what, well, badly | {"acceptance of the slowest chains": refused}


def _particles():
    starts, reference = ring(1024, 3).astype(np.float32), None
    run = lambda strength, **options: (
        mcmc.tempered_smc(
            jax.random.key(0), mcmc.ConstrainedHMC(sphere(1.0), Partial(rightwards, strength), 0.5), starts, **options
        ).findings
    )
    well, few = run(2.0, reference=reference), run(1e6, num_steps=1)
    return (
        "`tempered_smc`",
        {"starts with descendants": "a law a thousandth as wide as where it starts, and one step a temperature"},
        well,
        {"starts with descendants": few},
    )
