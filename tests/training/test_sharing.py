"""Training over several devices: the numbers of one device, each with its share of the batch."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

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
from tests.training.test_sharing import trained
np.savez(sys.argv[1], *jax.tree.leaves(trained(jax.make_mesh((8,), ("data",)))))
try:
    trained(jax.make_mesh((3,), ("data",), devices=jax.devices()[:3]))
except ValueError as error:
    assert str(error) == "batches of 16 cannot be shared evenly among 3 devices", error
else:
    raise AssertionError("three devices shared batches of 16")
"""


def trained(mesh):
    """An energy on the circle after twenty updates by contrastive divergence."""
    angle = np.random.default_rng(0).vonmises(0, 2, 64)
    points = jnp.asarray(np.column_stack([np.cos(angle), np.sin(angle)]), jnp.float32)
    config = EnergyConfig(num_steps=20, batch_size=16, langevin_steps=3, buffer_size=64)
    box = Box(jnp.full(2, -2.0), jnp.full(2, 2.0))
    objective = ContrastiveObjective(sphere(1.0), points, box, config)
    energy = EnergyMLP((2, 8), rngs=nnx.Rngs(0))
    options = {"mesh": mesh}
    return train_afresh("energy", jax.random.key(0), energy, objective, points, config, **options)[0].model


@pytest.mark.slow
def test_eight_devices_train_as_one_does_and_three_refuse(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", EIGHT, str(tmp_path / "model.npz")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)
    shared = np.load(tmp_path / "model.npz")
    for leaf, name in zip(jax.tree.leaves(trained(None)), shared.files, strict=True):
        # Sums over a batch are in another order.
        np.testing.assert_allclose(shared[name], leaf, atol=1e-4)
