"""Chains spread over devices and processes: the same numbers as on one device."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from examples.several_machines import problem
from implicit_manifolds._devices import automatic
from implicit_manifolds.mcmc import ConstrainedNUTS, run

ROOT = Path(__file__).parents[2]

EIGHT = """
import sys
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 8)
from jax.sharding import Mesh
from examples.several_machines import problem
from implicit_manifolds.mcmc import ConstrainedNUTS, run
key, sampler, starts = problem(64)
unequal = ConstrainedNUTS(sampler.mdf, sampler.energy, 0.2, max_depth=5)
for name, sampler in (("hmc", sampler), ("nuts", unequal)):
    for count in (8, 1):
        mesh = jax.make_mesh((count,), ("chains",), devices=jax.devices()[:count])
        chains = run(key, sampler, starts, num_samples=50, num_warmup=100, mesh=mesh)
        assert len(chains.state.position.sharding.device_set) == count
        np.save(f"{sys.argv[1]}/{name}{count}.npy", chains.positions)
"""


def launch(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, timeout=300)


@pytest.fixture(scope="module")
def alone():
    return run(*problem(64), num_samples=50, num_warmup=100).positions


@pytest.mark.slow
def test_eight_devices_and_one_give_the_numbers_of_a_run_without_a_mesh(tmp_path, alone):
    launch("-c", EIGHT, str(tmp_path))
    key, sampler, starts = problem(64)
    unequal = ConstrainedNUTS(sampler.mdf, sampler.energy, 0.2, max_depth=5)
    unequal = run(key, unequal, starts, num_samples=50, num_warmup=100).positions
    for count in (8, 1):
        np.testing.assert_array_equal(np.load(tmp_path / f"hmc{count}.npy"), alone)
        np.testing.assert_array_equal(np.load(tmp_path / f"nuts{count}.npy"), unequal)


@pytest.mark.slow
def test_two_processes_of_two_devices_give_them_too(tmp_path, alone):
    launch("-m", "examples.several_machines", "--out", str(tmp_path / "draws.npy"))
    np.testing.assert_array_equal(np.load(tmp_path / "draws.npy"), alone)


def test_chains_that_devices_cannot_share_evenly_are_refused():
    class Three:  # as many devices as this machine may not have
        size = 3
        devices, axis_names = np.asarray(jax.devices()), ("chains",)

    from implicit_manifolds.mcmc.chains import _spread_states

    with pytest.raises(ValueError, match="64 chains cannot be shared evenly among 3 devices"):
        _spread_states(*problem(64), Three())
    one = jax.make_mesh((1,), ("chains",), devices=jax.devices()[:1])
    assert _spread_states(*problem(64), automatic(one)).position.shape[0] == 64
