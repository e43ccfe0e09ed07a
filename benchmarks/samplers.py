"""Effective samples a second of constrained HMC and its rivals on four level sets, one table and one JSON.

Every sampler tunes itself outside the timed part: ours takes the best of a few trajectory lengths and acceptances, each
with its step size from warm-up. The figure is the least bulk effective sample size of the coordinates over the seconds
of drawing, compilation and warm-up apart. The process is pinned to one processor, so that CPU seconds compare: a single
chain gains nothing from a second one, and mici uses none. Ours and BlackJAX run in the precision of the process, mici
in double.
"""

import itertools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads only add to mici's CPU seconds

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.sampler_blackjax import run_chart, run_soft
from benchmarks.sampler_mici import run_mici
from benchmarks.sampler_targets import TARGETS, Result, Target, distance_rms, largest_r_hat, smallest_ess, starts
from implicit_manifolds.mcmc import ConstrainedHMC, run, warm_up

LENGTHS, ACCEPTANCES = (2, 3, 5, 8), (0.8, 0.9)


@dataclass(frozen=True)
class Options:
    """Options of the benchmark.

    out: JSON file to write. targets: which level sets. chains: of ours and of BlackJAX. seconds: about how long each of
    our timed runs takes. mici_chains, mici_samples: of mici, one chain after the other. seed: of everything.
    """

    out: Path = Path("runs/samplers.json")
    targets: tuple[str, ...] = tuple(TARGETS)
    chains: tuple[int, ...] = (1, 1000)
    seconds: float = 4.0
    mici_chains: int = 4
    mici_samples: int = 120
    seed: int = 0


def main(options: Options) -> None:
    """Run every sampler on every target, print the table, write the JSON after each row."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows: list[dict] = []
    print(f"{'target':>8} {'sampler':>15} {'chains':>6} {'ESS/s':>9} {'ESS/CPU s':>9} {'ESS/draw':>8} {'R-hat':>6} "
          f"{'compile':>7} {'warm-up':>7} {'accuracy':>8} {'x mici':>8}")  # fmt: skip
    for name in options.targets:
        target, best_mici = TARGETS[name], None
        for sampler, chains, draw in contestants(target, options):
            result = draw()
            if result is None:
                continue
            row = measured(name, sampler, chains, result)
            if sampler.startswith("mici"):
                best_mici = max(best_mici or 0.0, row["ess_per_cpu_second"])
            row["times_mici"] = row["ess_per_cpu_second"] / best_mici if best_mici else None
            rows.append(row)
            print(f"{name:>8} {sampler:>15} {chains:6d} {row['ess_per_second']:9.1f} {row['ess_per_cpu_second']:9.1f} "
                  f"{row['ess'] / row['draws']:8.3f} {row['r_hat']:6.3f} {row['compile_seconds']:7.1f} "
                  f"{row['warmup_seconds']:7.1f} {row['rms_distance']:8.1e} "
                  f"{row['times_mici']:8.1f}", flush=True)  # fmt: skip
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"x mici: ESS per CPU second over that of the best backend of mici; accuracy: RMS first-order distance from "
          f"the set; written to {options.out}")  # fmt: skip


def contestants(target: Target, options: Options):
    """(name, chains, draw) of all samplers of a target, mici first."""
    for backend in ("numpy", "autograd", "jax"):
        samples = options.mici_samples // (3 if backend == "autograd" else 1)  # by far the slowest
        arguments = (target, backend, options.mici_chains, 100, samples, options.seed)
        yield f"mici {backend}", options.mici_chains, lambda arguments=arguments: run_mici(*arguments)
    for chains in options.chains:
        yield "ours", chains, lambda chains=chains: run_ours(target, chains, options.seconds, options.seed)
        samples = 2000 if chains == 1 else 200
        for name, rival in (("blackjax soft", run_soft), ("blackjax chart", run_chart)):
            yield (
                name,
                chains,
                lambda chains=chains, rival=rival, samples=samples: rival(target, chains, 500, samples, options.seed),
            )


def run_ours(target: Target, num_chains: int, seconds: float, seed: int) -> Result:
    """Constrained HMC with the best of `LENGTHS` and `ACCEPTANCES` by pilot runs, then about `seconds` of draws."""
    mdf = jax.tree_util.Partial(lambda x: target.constraint(jnp, x))
    energy = jax.tree_util.Partial(lambda x: target.energy(jnp, x))
    begin, positions = time.perf_counter(), jnp.asarray(starts(target, num_chains, seed), float)
    pilot, trials = (3000 if num_chains == 1 else 100), []
    for length, acceptance in itertools.product(LENGTHS, ACCEPTANCES):
        sampler = ConstrainedHMC(mdf, energy, num_steps=length)
        tuned = warm_up(jax.random.key(seed), sampler, positions, 500, acceptance)
        positions = tuned.state.position
        draws, wall, _, _ = timed(tuned.sampler, jax.random.key(seed + 1), positions, pilot)
        # A trajectory of half a turn mirrors the chains: great by the coordinates' ESS, but it never mixes.
        rate = 0.0 if largest_r_hat(draws) > 1.05 else smallest_ess(draws) / wall
        trials.append((rate, tuned.sampler, pilot / wall))
    _, sampler, speed = max(trials, key=lambda trial: trial[0])
    warm = time.perf_counter()
    count = int(np.clip(seconds * speed, 200, 1_000_000))
    draws, wall, cpu, compiling = timed(sampler, jax.random.key(seed + 2), positions, count)
    settings = {"step_size": float(sampler.step_size), "steps_per_draw": sampler.num_steps}
    return Result(draws, wall, cpu, compiling, warm - begin, 0, settings)


def timed(sampler, key, positions, count: int):
    """Draws (chains, count, n), wall and CPU seconds of a second run, and by how much the first took longer."""
    begin = time.perf_counter()
    run(jax.random.fold_in(key, 1), sampler, positions, count, chunk_size=min(count, 5000))
    wall, cpu = time.perf_counter(), time.process_time()
    chains = run(key, sampler, positions, count, chunk_size=min(count, 5000))
    end, cpu = time.perf_counter(), time.process_time() - cpu
    return np.swapaxes(chains.positions, 0, 1), end - wall, cpu, max(0.0, (wall - begin) - (end - wall))


def measured(target: str, sampler: str, chains: int, result: Result) -> dict:
    """A row of the table."""
    ess = smallest_ess(result.draws)
    some = result.draws[:, :: max(1, result.draws[..., 0].size // 100_000)]
    return {
        "target": target,
        "sampler": sampler,
        "chains": chains,
        "ess": ess,
        "draws": int(result.draws[..., 0].size),
        "ess_per_second": ess / result.wall_seconds,
        "ess_per_cpu_second": ess / result.cpu_seconds,
        "r_hat": largest_r_hat(result.draws),
        "rms_distance": distance_rms(TARGETS[target], jnp.asarray(some, float)),
        **{name: value for name, value in result._asdict().items() if name != "draws"},
    }


if __name__ == "__main__":
    main(tyro.cli(Options))
