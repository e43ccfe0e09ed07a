"""The form of M, where it is left open."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from implicit_manifolds import ManifoldConfig
from implicit_manifolds.ebim.dimension import DenoisingConfig
from implicit_manifolds.ebim.forms import fit_form
from implicit_manifolds.ebim.ridge import RidgeConfig
from implicit_manifolds.manifold.ridge import Ridge
from implicit_manifolds.scaling import standardization

RIDGE = RidgeConfig(
    denoising=DenoisingConfig(hidden=(32, 32), num_steps=800, batch_size=512), num_steps=1000, doublings=0
)
ZERO_SET = ManifoldConfig(hidden=(32, 32), restarts=2, warmup_steps=1500, num_steps=100, langevin_steps=5)


@pytest.mark.slow
def test_a_closed_curve_is_a_zero_set_and_what_has_an_edge_or_more_constraints_a_ridge():
    random = np.random.default_rng(0)
    angle = random.uniform(0, 2 * np.pi, 800)
    ring, arc = (np.column_stack([np.cos(turn), np.sin(turn)]) for turn in (angle, angle / 3))
    in_space = np.column_stack([ring, np.zeros(800)])
    cases = {
        "a zero set, since there is no edge": ring,
        "the points have an edge": arc,
        "M has codimension 2": in_space,
    }
    for reason, points in cases.items():
        _, standard, box = standardization(points)
        found = fit_form(jax.random.key(0), standard, None, box, "auto", ZERO_SET, RIDGE)
        assert reason in found.reason
        assert isinstance(found.mdf, Ridge) == ("zero set, since" not in found.reason)
    # A zero set that comes no nearer than this is not taken.
    _, standard, box = standardization(ring)
    poor = replace(ZERO_SET, warmup_steps=1, num_steps=1)
    found = fit_form(jax.random.key(0), standard, None, box, "auto", poor, RIDGE)
    assert isinstance(found.mdf, Ridge)
    assert "from a zero set" in found.reason
