"""The form of M, where it is left open."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import ManifoldConfig
from implicit_manifolds.box import Box
from implicit_manifolds.ebim.dimension import DenoisingConfig
from implicit_manifolds.ebim.forms import _larger, fit_form
from implicit_manifolds.ebim.ridge import RidgeConfig
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.manifold.ridge import Ridge
from implicit_manifolds.scaling import standardization

RIDGE = RidgeConfig(
    denoising=DenoisingConfig(hidden=(32, 32), num_steps=800, batch_size=512), num_steps=1000, doublings=0
)
ZERO_SET = ManifoldConfig(hidden=(32, 32), restarts=2, warmup_steps=1500, num_steps=100, langevin_steps=5)


def _from_circle(x):
    return x - x / jnp.linalg.norm(x)


def _around_circle(x):
    size = jnp.linalg.norm(x)
    return 10 * jnp.array([(size - 0.95) * (size - 1.05)])


@pytest.mark.slow
def test_a_zero_set_on_both_sides_of_a_ridge_is_twice_as_large():
    turn = jnp.linspace(0, 2 * np.pi, 300)
    points, box = jnp.column_stack([jnp.cos(turn), jnp.sin(turn)]), Box(-1.5 * jnp.ones(2), 1.5 * jnp.ones(2))
    ridge = Ridge(Partial(_from_circle), 1)
    assert abs(_larger(jax.random.key(0), Partial(_around_circle), ridge, points, box) - 2) < 0.02
    assert abs(_larger(jax.random.key(0), sphere(1.0), ridge, points, box) - 1) < 0.01


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
