"""Chains, or a fit, shared among processes with `jax.distributed`: the example to copy for several machines.

`python -m examples.several_machines` starts two processes on this machine, each with two simulated devices, and
samples a von Mises–Fisher law on the sphere with the chains spread over all four. With `--points FILE --out MODEL` they
fit a model to the points of a .npy or .parquet file instead, which every process must be able to read. On several
machines start one process on each, with the address of the first as `--coordinator` and its own `--process-id`; under
SLURM neither is needed (`several_machines.slurm`).
"""

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import tyro


@dataclass(frozen=True)
class Options:
    """Options of the example.

    processes: how many there are. process_id: which one this is; None starts all of them here. coordinator: address and
    port of process 0. devices: simulated devices of each process, 0 for those it has. chains: of all processes
    together. points: a file to fit a model to. steps: of each training of that fit, its own unless given. out: where
    process 0 saves the draws, as .npy, or the model, a directory.
    """

    processes: int = 2
    process_id: int | None = None
    coordinator: str | None = None
    devices: int = 2
    chains: int = 64
    points: Path | None = None
    steps: int | None = None
    out: Path | None = None


def main(options: Options) -> int:
    """Start the processes, or be one of them; the exit code is not 0 where any failed."""
    if options.process_id is not None or "SLURM_PROCID" in os.environ:
        _join(options)
        return sample(options) if options.points is None else learn(options)
    port = _free_port()
    arguments = [sys.executable, "-m", "examples.several_machines", *sys.argv[1:]]
    workers = [
        subprocess.Popen([*arguments, "--coordinator", f"localhost:{port}", "--process-id", str(number)])
        for number in range(options.processes)
    ]
    return max(abs(worker.wait()) for worker in workers)


def _join(options: Options) -> None:
    if options.devices:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.config.update("jax_num_cpu_devices", options.devices)
    if options.process_id is None:
        jax.distributed.initialize()  # SLURM tells it everything
    elif options.processes > 1:
        jax.distributed.initialize(options.coordinator, options.processes, options.process_id)


def learn(options: Options) -> int:
    """Take part in a fit; every process gets the whole model, process 0 saves it. A job that was killed goes on."""
    import implicit_manifolds as im
    from implicit_manifolds.reading import read_table

    assert options.points is not None
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    config = im.FitConfig() if options.steps is None else brief(options.steps)
    kept = None if options.out is None else options.out.with_name(options.out.name + ".checkpoints")
    found = im.fit(jax.random.key(0), read_table(options.points).values, None, config, mesh=mesh, checkpoint_dir=kept)
    if jax.process_index() == 0:
        print(f"{jax.process_count()} processes, {jax.device_count()} devices: {found.dimension}; {found.reason}")
        if options.out is not None and kept is not None:
            im.save(options.out, found.model, config, seed=0)
            shutil.rmtree(kept)
    return 0


def brief(steps: int):
    """The usual settings with so many steps of each training."""
    import implicit_manifolds as im

    usual = im.FitConfig()
    denoising = replace(usual.ridge.denoising, num_steps=steps)
    return replace(
        usual,
        zero_set=replace(usual.zero_set, num_steps=steps, warmup_steps=steps),
        ridge=replace(usual.ridge, num_steps=steps, denoising=denoising, doublings=0),
        likelihood=replace(usual.likelihood, num_steps=steps),
    )


def sample(options: Options) -> int:
    """Run this process' share of the chains; every process gets all results, process 0 reports them."""
    from implicit_manifolds.mcmc import run, summary

    mesh = jax.make_mesh((jax.device_count(),), ("chains",))
    key, sampler, starts = problem(options.chains)
    chains = run(key, sampler, starts, 50, num_warmup=100, mesh=mesh)
    if jax.process_index() == 0:
        print(
            f"{jax.process_count()} processes, {jax.device_count()} devices, step size {chains.sampler.step_size:.3f}"
        )
        print(summary(chains))
        if options.out is not None:
            np.save(options.out, chains.positions)
    return 0


def problem(chains: int):
    """Key, sampler and starts (chains, 3) on the sphere, the same in every process."""
    from implicit_manifolds.manifold.analytic import sphere
    from implicit_manifolds.mcmc import ConstrainedHMC

    angle = np.linspace(0, 2 * np.pi, chains, endpoint=False)
    starts = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1).astype(np.float32)
    energy = jax.tree_util.Partial(towards, np.asarray([0.0, 0.0, 3.0], np.float32))
    return jax.random.key(0), ConstrainedHMC(sphere(1.0), energy, num_steps=3), starts


def towards(direction, x):
    """E(x) = -direction · x, the energy of von Mises–Fisher."""
    return -x @ direction


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


if __name__ == "__main__":
    if "SLURM_PROCID" not in os.environ:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main(tyro.cli(Options)))
