"""Training over several devices and processes: the numbers of one device, each with its share of the rows."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import implicit_manifolds as im
from examples.several_machines import brief
from implicit_manifolds import Box, EnergyConfig
from implicit_manifolds.ebim.contrastive import ContrastiveObjective
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.networks.mlp import EnergyMLP
from implicit_manifolds.training.loop import train_afresh

ROOT = Path(__file__).parents[2]
EIGHT = """
import sys
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 8)
from tests.training.test_sharing import fitted, trained
np.save(sys.argv[1] + "/fit.npy", fitted(jax.make_mesh((8,), ("data",))))
for count in (8, 3):
    mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])
    np.savez(f"{sys.argv[1]}/{count}.npz", *jax.tree.leaves(trained(mesh)))
"""


def ring(count):
    """Points on the unit circle that favour one side, (count, 2)."""
    angle = np.random.default_rng(0).vonmises(0, 2, count)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def trained(mesh):
    """An energy on the circle after twenty updates by contrastive divergence."""
    points = jnp.asarray(ring(64))
    config = EnergyConfig(num_steps=20, batch_size=16, langevin_steps=3, buffer_size=64)
    box = Box(jnp.full(2, -2.0), jnp.full(2, 2.0))
    objective = ContrastiveObjective(sphere(1.0), points, box, config)
    energy = EnergyMLP((2, 8), rngs=nnx.Rngs(0))
    options = {"mesh": mesh}
    return train_afresh("energy", jax.random.key(0), energy, objective, points, config, **options)[0].model


def fitted(mesh):
    """Log-densities (50,) of a short fit to the circle, both steps."""
    config = replace(brief(40), manifold="zero-set")
    config = replace(config, zero_set=replace(config.zero_set, warmup_steps=300, restarts=2))
    points = ring(300)
    return im.log_density(im.fit(jax.random.key(0), points, 1, config, mesh=mesh).model, points[:50]).log_density


def launch(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}
    subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, env=environment, check=True, timeout=400)


# In double, where sums in another order leave the digits that are compared. Chains that find stray zeros are chaotic:
# in a hundred updates or so they make differences of rounding visible, so zero sets are trained for forty here.


@pytest.mark.slow
def test_eight_devices_fit_and_train_as_one_does_and_so_do_three_that_batches_do_not_go_round(tmp_path, x64):
    launch("-c", EIGHT, tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "fit.npy"), fitted(None), rtol=0, atol=1e-9)
    alone = jax.tree.leaves(trained(None))
    for count in (8, 3):
        shared = np.load(tmp_path / f"{count}.npz")
        for leaf, name in zip(alone, shared.files, strict=True):
            np.testing.assert_allclose(shared[name], leaf, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_two_processes_of_two_devices_fit_as_one_device_does(tmp_path, x64):
    arc = ring(400)[ring(400)[:, 0] > 0]  # an open curve, hence a ridge
    np.save(tmp_path / "arc.npy", arc)
    arguments = ["--points", tmp_path / "arc.npy", "--steps", "60", "--out", tmp_path / "model"]
    launch("-m", "examples.several_machines", *arguments)
    shared, alone = im.load(tmp_path / "model"), im.fit(jax.random.key(0), arc, config=brief(60))
    assert alone.reason.startswith("a ridge")
    values = [im.log_density(model, arc[:50]).log_density for model in (shared, alone.model)]
    assert np.isfinite(values[1]).mean() > 0.9
    np.testing.assert_allclose(*values, rtol=0, atol=1e-9)
