"""Cost of a constrained Langevin step for each multiplier solver, in units of one batched forward pass of F.

The MDF is the paper's network for the two-circle mixture (2-8-8-8-1, data units), trained here; the energy is
their 2-32-32-1 network; ε = 0.1, ‖F‖ ≤ 1e-5. Compilation is not in the timings; each figure is a median over
repeats. The authors' PyTorch code, as measured on one thread of a 2.8 GHz Xeon (commit eb087e1, their settings),
takes the CPU time of `ORIGINAL_CPU_US`.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

ORIGINAL_CPU_US = {100: 736.9, 1000: 93.5, 10_000: 24.6}
SLOWEST_STEPS = 1


@dataclass(frozen=True)
class Options:
    """Options of the benchmark.

    out: JSON file to write. chains: batch sizes. repeats: timed runs of each row. one_thread: pin the process to one
    processor, as the original's timings were taken.
    """

    out: Path = Path("runs/clmc.json")
    chains: tuple[int, ...] = (100, 1000, 10_000, 100_000)
    solvers: tuple[str, ...] = ("quasi_newton", "newton", "gradient_descent", "lbfgs")
    repeats: int = 7
    one_thread: bool = False


def main(options: Options) -> None:
    """Time every row, print the table, write the JSON."""
    if options.one_thread:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = measure(options)
    print(f"{'chains':>7} {'solver':>16} {'µs/step':>9} {'forward':>8} {'∇E':>7} {'forwards':>8} "
          f"{'wall µs':>8} {'CPU µs':>8} {'×orig':>6} {'iters':>6} {'failed':>8} {'max‖F‖':>8}")  # fmt: skip
    for row in rows:
        print(f"{row['chains']:7d} {row['solver']:>16} {row['microseconds_step']:9.0f} "
              f"{row['microseconds_forward']:8.0f} "
              f"{row['microseconds_energy_gradient']:7.0f} {row['forwards_per_step']:8.1f} "
              f"{row['wall_microseconds_chain_step']:8.3f} {row['cpu_microseconds_chain_step']:8.3f} "
              f"{row['times_original'] or float('nan'):6.0f} {row['iterations_mean']:6.2f} "
              f"{row['failed_fraction']:8.1e} {row['residual_max']:8.1e}")  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"forwards = (step - ∇E) / forward; wall and CPU µs are per chain-step; written to {options.out}")


def measure(options: Options) -> list[dict]:
    """One row for each batch size and solver; solvers of one size are timed in turn, repeat by repeat."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from implicit_manifolds import ManifoldConfig, manifold
    from implicit_manifolds.box import box_around
    from implicit_manifolds.datasets.synthetic import von_mises_mixture
    from implicit_manifolds.ebim.anchors import points_on_manifold
    from implicit_manifolds.ebim.manifold import fit_manifold
    from implicit_manifolds.mcmc import ConstrainedLangevin, Reason
    from implicit_manifolds.mcmc.chains import advance, initial_states
    from implicit_manifolds.networks.mlp import EnergyMLP

    data = jnp.asarray(von_mises_mixture(np.random.default_rng(0), 1000), jnp.float32)
    box = box_around(data, 0.1)
    mdf, _ = fit_manifold(jax.random.key(0), data, 1, box, ManifoldConfig(hidden=(8, 8, 8)), progress=True)
    energy = EnergyMLP([2, 32, 32], rngs=nnx.Rngs(1))
    step = jax.jit(advance)

    # A pass feeds the next, so the compiler can neither hoist nor drop one.
    @jax.jit
    def forward(mdf, x, count):
        return jax.lax.fori_loop(0, count, lambda _, y: y + 1e-9 * jax.vmap(mdf)(y), x)

    @jax.jit
    def energy_gradient(energy, x, count):
        return jax.lax.fori_loop(0, count, lambda _, y: y + 1e-9 * jax.vmap(jax.grad(energy))(y), x)

    rows = []
    for chains in options.chains:
        _, starts, _ = points_on_manifold(jax.random.key(1), mdf, data, box, chains)
        passes = max(5, 200_000 // chains)
        tasks: dict[str, tuple] = {
            "forward": (forward, (mdf, starts, passes), passes),
            "energy_gradient": (energy_gradient, (energy, starts, passes), passes),
        }
        results = {}
        for name in options.solvers:
            sampler = ConstrainedLangevin(mdf, energy, 0.1, tolerance=1e-5, solver=getattr(manifold, name))
            steps = SLOWEST_STEPS if name == "lbfgs" else max(5, 100_000 // chains)
            warm, _ = step(jax.random.key(2), sampler, initial_states(sampler, starts), steps)
            key = jax.random.key(3)
            results[name] = (step(key, sampler, warm, steps), steps, sampler)
            tasks[name] = (step, (key, sampler, warm, steps), steps)
        times = timed(tasks, options.repeats)
        for name, ((states, info), steps, _) in results.items():
            (wall, cpu), (one, _), (slope, _) = times[name], times["forward"], times["energy_gradient"]
            rows.append({
                "chains": chains,
                "solver": name,
                "microseconds_step": 1e6 * wall,
                "microseconds_forward": 1e6 * one,
                "microseconds_energy_gradient": 1e6 * slope,
                "forwards_per_step": (wall - slope) / one,
                "wall_microseconds_chain_step": 1e6 * wall / chains,
                "cpu_microseconds_chain_step": 1e6 * cpu / chains,
                "chain_steps_per_second": chains / wall,
                "times_original": ORIGINAL_CPU_US[chains] * chains / (1e6 * cpu) if chains in ORIGINAL_CPU_US else None,
                "iterations_mean": float(jnp.mean(info.iterations) / steps),
                "failed_fraction": float(jnp.mean(info.reason[:, Reason.NOT_CONVERGED] / steps)),
                "residual_max": float(jnp.max(jnp.abs(states.linearization.residual))),
            })  # fmt: skip
    return rows


def timed(tasks: dict, repeats: int) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of one unit of each task, the tasks taken in turn so that drift hits all alike."""
    import jax

    for call, arguments, _ in tasks.values():
        jax.block_until_ready(call(*arguments))
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, (call, arguments, units) in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(call(*arguments))
            samples[name].append(((time.perf_counter() - wall) / units, (time.process_time() - cpu) / units))
    return {name: tuple(np.median(values, axis=0)) for name, values in samples.items()}


if __name__ == "__main__":
    main(tyro.cli(Options))
