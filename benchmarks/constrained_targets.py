"""Ours and mici on the public set of constrained targets: effective samples a CPU second, and whether the law is right.

Ours with lengths of trajectories by hand (the best of a few), tuned in warm-up, and dynamic, one chain and a thousand;
mici dynamic, with derivatives by JAX, in double. Warm-up and compilation are outside the timed part; the process is
pinned to one processor. Effective samples are the least of the target's quantities. SMC's log Z
is held against the known one where there is one.
"""

import gc
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import numpy as np
import tyro

import implicit_manifolds as im
from benchmarks.sampler_mici import sample_mici
from implicit_manifolds import mcmc
from implicit_manifolds._loops import over_points
from implicit_manifolds.mcmc.phase_space import log_det_sqrt_gram
from implicit_manifolds.targets import MADE_BY, Target, score
from implicit_manifolds.volumes.pools import log_integral

LENGTHS = (1, 2, 3, 5, 8, 13)
UNCOVERED = 0.005
"""Share of M on no chart from which on the uniform law is another."""
SEVERAL_PARTS = ("dumbbell_and_sphere", "four_bar", "planar_polygon")
SAMPLERS = ("mici", "by hand", "tuned", "dynamic", "SMC")


@dataclass(frozen=True)
class Options:
    """Options of the benchmark.

    out: JSON file to write; rows in it that are not run again stay. targets: names, all by default. samplers: of
    "mici", "by hand", "tuned", "dynamic" and "SMC", all by default. chains: of ours. lengths: tried by hand. seconds:
    about how long each of our timed runs takes. warmup: steps of ours. mici_chains, mici_samples: of mici, one chain
    after the other; mici_seconds: after which it is given up, warm-up and all. seed: of everything.
    """

    out: Path = Path("runs/constrained_targets.json")
    targets: tuple[str, ...] = tuple(MADE_BY)
    samplers: tuple[str, ...] = SAMPLERS
    chains: tuple[int, ...] = (1, 1000)
    lengths: tuple[int, ...] = LENGTHS
    seconds: float = 3.0
    warmup: int = 500
    mici_chains: int = 4
    mici_samples: int = 200
    mici_seconds: int = 300
    seed: int = 0


def main(options: Options) -> None:
    """Run every sampler on every target, print the table, write the JSON after each row."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = json.loads(options.out.read_text()) if options.out.exists() else []
    print(f"{'target':>20} {'sampler':>8} {'chains':>6} {'steps':>6} {'ESS':>9} {'ESS/step':>8} {'ESS/CPU s':>9} "
          f"{'x mici':>8} {'R-hat':>6} {'max|z|':>6} {'max|F|':>8} {'refused':>7} {'warm-up s':>9}")  # fmt: skip
    for name in options.targets:
        target = MADE_BY[name]()
        for sampler, chains, draw in contestants(target, options):
            if sampler not in options.samplers:
                continue
            row = {"target": name, "sampler": sampler, "chains": chains}
            rows = [other for other in rows if any(other[key] != row[key] for key in row)]
            try:
                row |= draw()
            except Exception as error:  # a sampler that gives up is a result, too
                row |= {"failed": f"{error!s:.200}"}
            forget()
            rows.append(row)
            print(line(row, speed_of_mici(rows, name)), flush=True)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(rows, indent=1) + "\n")


def forget() -> None:
    """Drop compiled programs: a process may map 65,530 areas of memory, and a program takes several."""
    jax.clear_caches()
    gc.collect()


def speed_of_mici(rows: list[dict], target: str) -> float | None:
    """Its effective samples a CPU second, where it ran."""
    speeds = [row.get("ess_per_cpu_second") for row in rows if row["target"] == target and row["sampler"] == "mici"]
    return speeds[0] if speeds else None


def line(row: dict, mici: float | None) -> str:
    """One row of the printed table."""
    start = f"{row['target']:>20} {row['sampler']:>8} {row['chains']:6d} "
    if "failed" in row:
        return start + row["failed"]
    if "log_normalizer" in row:
        known = "unknown" if row["known"] is None else f"{row['known']:.3f}"
        return start + f"log Z {row['log_normalizer']:.3f} ± {row['standard_error']:.3f}, known {known}"
    times = f"{row['ess_per_cpu_second'] / mici:.1f}" if mici else ""
    return start + (
        f"{row['steps_per_draw']:6.1f} {row['ess']:9.0f} {row['ess_per_step']:8.3f} {row['ess_per_cpu_second']:9.1f} "
        f"{times:>8} {row['r_hat']:6.3f} {row['z']:6.1f} {row['residual']:8.1e} {row['refused']:7.3f} "
        f"{row['warmup_seconds']:9.1f}"
    )


def contestants(target: Target, options: Options):
    """(name, chains, draw) of all samplers of a target, mici first."""
    yield "mici", options.mici_chains, lambda: of_mici(target, options)
    for chains in options.chains:
        for kind, pick in (("by hand", partial(by_hand, options.lengths)), ("tuned", tuned), ("dynamic", dynamic)):
            yield kind, chains, lambda chains=chains, pick=pick: ours(target, chains, pick, options)
    yield "SMC", 2048, lambda: smc(target, options)


def choices(target: Target) -> dict[str, Any]:
    """What all our samplers of a target have in common: a bijection where bounds are half-lines."""
    box = target.box
    if box is not None and (np.isfinite(box.low) & ~np.isfinite(box.high)).any():
        return {"measure": target.measure, "transform": mcmc.biject_to(box)}
    return {"measure": target.measure, "box": box}


def jumps(target: Target) -> dict[str, Any]:
    """An atlas where M has several parts, so that chains cross; no-U-turn chains cannot use it."""
    return {"atlas": charted(target, jax.random.key(0)).atlas} if target.name in SEVERAL_PARTS else {}


def charted(target: Target, key) -> im.Manifold:
    """M on charts, which spread from the target's starts."""
    anchors = target.starts(key, 200).astype(np.float32)
    margin = 0.3 * np.ptp(anchors, axis=0)
    low, high = anchors.min(axis=0) - margin, anchors.max(axis=0) + margin
    box = im.Box(low, high) if target.box is None else im.Box(*np.clip(target.box, low, high).astype(np.float32))
    return im.cover(key, im.Manifold(target.mdf, box, anchors))


def hmc(target: Target, **lengths: Any) -> mcmc.ConstrainedHMC:
    """Trajectories of given lengths."""
    return mcmc.ConstrainedHMC(target.mdf, target.energy, **choices(target), **jumps(target), **lengths)


def by_hand(lengths: tuple[int, ...], target: Target, draw_pilot: Callable) -> Any:
    """Of fixed lengths the one with most effective samples a second in a pilot."""
    pilots = (draw_pilot(hmc(target, num_steps=steps)) for steps in lengths)
    return max(pilots, key=lambda pilot: pilot[0])[1]


def tuned(target: Target, draw_pilot: Callable) -> Any:
    """Lengths that take turns up to one that warm-up finds."""
    return draw_pilot(hmc(target, max_steps=4.0))[1]


def dynamic(target: Target, draw_pilot: Callable) -> Any:
    """No-U-turn trajectories."""
    return draw_pilot(mcmc.ConstrainedNUTS(target.mdf, target.energy, **choices(target)))[1]


def ours(target: Target, chains: int, pick: Callable, options: Options) -> dict:
    """Pick by pilots, then draw for about as long as asked."""
    positions = np.asarray(target.starts(jax.random.key(options.seed), chains), np.float32)
    began, speeds = time.perf_counter(), {}

    def draw_pilot(sampler):
        warm = mcmc.warm_up(jax.random.key(options.seed), sampler, positions, options.warmup)
        count = 2000 if chains == 1 else 100
        pilot, wall, cpu = timed(warm, jax.random.key(options.seed + 1), count)
        speeds[id(warm)] = count / wall
        found = score(target, np.swapaxes(pilot.positions, 0, 1))
        # A length of half a turn or a period looks good by the coordinates alone; R-hat of the quantities tells.
        unmixed = 1.0 if chains == 1 else np.float64(max(1.0, found.largest_r_hat)) ** 20
        return found.least_ess / cpu / unmixed, warm

    warm = pick(target, draw_pilot)
    seconds = time.perf_counter() - began
    count = int(np.clip(options.seconds * speeds[id(warm)], 100, 100_000))
    drawn, _, cpu = timed(warm, jax.random.key(options.seed + 2), count)
    steps = steps_of(drawn)
    found = score(target, np.swapaxes(drawn.positions, 0, 1))
    return measured(found, count * chains, steps, cpu, seconds) | {
        "refused": 1 - float(drawn.info.reason[:, 0].mean()),
        "step_size": float(drawn.sampler.step_size),
        "scaled": drawn.sampler.scale is not None,
        "restarted": len(warm.restarted),
    }


def steps_of(drawn) -> float:
    """Mean leapfrog steps of a draw."""
    if hasattr(drawn.info, "num_steps"):
        return float(drawn.info.num_steps.mean())
    if drawn.sampler.max_steps is not None:
        return 0.5 * (1 + float(drawn.sampler.max_steps))
    return drawn.sampler.num_steps


def timed(warm, key, count: int):
    """Chains of a second run from where warm-up ended, its wall seconds and its CPU seconds."""
    positions = warm.state.position
    mcmc.run(jax.random.fold_in(key, 1), warm.sampler, positions, 10, chunk_size=min(count, 1000))
    wall, cpu = time.perf_counter(), time.process_time()
    chains = mcmc.run(key, warm.sampler, positions, count, chunk_size=min(count, 1000))
    return chains, time.perf_counter() - wall, time.process_time() - cpu


def measured(found, draws: int, steps: float, cpu: float, warmup_seconds: float) -> dict:
    """Figures of one row."""
    return {
        "ess": found.least_ess,
        "draws": draws,
        "steps_per_draw": steps,
        "ess_per_step": found.least_ess / (draws * steps),
        "ess_per_cpu_second": found.least_ess / cpu,
        "cpu_seconds": cpu,
        "r_hat": found.largest_r_hat,
        "z": found.largest_z,
        "residual": found.residual,
        "warmup_seconds": warmup_seconds,
    }


def of_mici(target: Target, options: Options) -> dict:
    """mici from the same starts; a domain that its density does not bound is left to chance."""

    def system():
        from mici.systems import DenseConstrainedEuclideanMetricSystem

        energy, mdf = target.energy, target.mdf
        return DenseConstrainedEuclideanMetricSystem(
            lambda x: energy(x), lambda x: mdf(x), dens_wrt_hausdorff=target.measure == "hausdorff", backend="jax"
        )

    def give_up(signal_number, frame):
        raise TimeoutError(f"more than {options.mici_seconds} s")

    positions = target.starts(jax.random.key(options.seed), options.mici_chains)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(options.mici_seconds)
    try:
        result = sample_mici(system, positions, 200, options.mici_samples, options.seed)
    finally:
        signal.alarm(0)
    draws = result.draws[np.isfinite(result.draws).all(axis=(1, 2))]
    steps = result.settings["steps_per_draw"]
    with jax.enable_x64(True):
        found = score(target, draws)
    count = draws.shape[0] * draws.shape[1]
    refused = result.failures / count
    return measured(found, count, steps, result.cpu_seconds, result.warmup_seconds) | {"refused": refused}


def smc(target: Target, options: Options) -> dict:
    """log Z by SMC from the uniform law, or from the ambient measure of M, drawn by importance from charts."""
    key = jax.random.key(options.seed)
    manifold = charted(target, key)
    if manifold.atlas is not None and manifold.atlas.uncovered > UNCOVERED:
        raise ValueError(f"no uniform law to begin from: charts leave {manifold.atlas.uncovered:.0%} of M out")
    pool = im.draw_pool(key, manifold, 50_000)
    logs = np.zeros(len(pool.points))
    if target.measure == "ambient":
        logs -= over_points(log_det_sqrt_gram, target.mdf, pool.points)
    base = log_integral(pool, logs)
    shares = pool.weights * np.exp(logs - logs.max())
    chosen = np.random.default_rng(options.seed).choice(len(shares), 2048, p=shares / shares.sum())
    sampler = mcmc.ConstrainedHMC(target.mdf, target.energy, num_steps=3, **choices(target))
    found = mcmc.tempered_smc(key, sampler, np.asarray(pool.points)[chosen])
    return {
        "log_normalizer": found.log_normalizer + base.value,
        "standard_error": float(np.hypot(found.standard_error, base.standard_error)),
        "known": target.log_normalizer,
        "temperatures": len(found.inverse_temperatures),
    }


if __name__ == "__main__":
    main(tyro.cli(Options))
