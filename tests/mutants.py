"""How many faults the tests see: `python -m tests.mutants` breaks geometry, samplers and losses, one line at a time.

Needs cosmic-ray (`pip install cosmic-ray`). A random sample of its mutants is made in a copy of what is committed, and
each runs against its module's tests alone, the slow ones left out, until one fails. Goes on with what is in --out, and
several processes share the work by --part; `--again` breaks the code of today as survivors did, to see what new tests
make of them. `python -m tests.mutants_page` writes of both what docs/tests.md tells.
"""

import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

ROOT = Path(__file__).parents[1]
PACKAGE = "src/implicit_manifolds"
TIMEOUT = 400.0
"""Seconds after which a mutant is taken for one that does not end, and so is seen."""
TYPES = "BitOr"
"""Operators with this in their names change `int | None`, which fails at import: no test is needed."""
TESTS: dict[str, tuple[str, ...]] = {
    "manifold/algebra": ("manifold/test_algebra",),
    "manifold/analytic": ("manifold/test_analytic", "manifold/test_projection"),
    "manifold/constant_rank": ("manifold/test_algebra", "manifold/test_ridge"),
    "manifold/denoiser": ("manifold/test_denoiser",),
    "manifold/geodesics": ("manifold/test_geodesics", "volumes/test_shortest_path"),
    "manifold/multipliers": ("manifold/test_multipliers", "mcmc/test_constrained_hmc"),
    "manifold/nearest": ("manifold/test_projection", "manifold/test_ridge"),
    "manifold/paper_multipliers": ("manifold/test_multipliers",),
    "manifold/projection": ("manifold/test_projection",),
    "manifold/ridge": ("manifold/test_ridge", "manifold/test_algebra"),
    "manifold/scaled_chord": ("manifold/test_scaled_chord",),
    "manifold/spectrum": ("manifold/test_spectrum",),
    "manifold/stretching": ("manifold/test_stretching",),
    "manifold/eigenvalues": ("manifold/test_projection",),
    "manifold/tangent": ("manifold/test_tangent", "manifold/test_projection", "manifold/test_denoiser"),
    "manifold/triangular": ("manifold/test_tangent", "manifold/test_multipliers"),
    "mcmc/chains": ("mcmc/test_run", "mcmc/test_reversibility", "mcmc/test_sharding"),
    "mcmc/conditioned": ("mcmc/test_conditioned", "mcmc/test_calibration"),
    "mcmc/constrained_hmc": ("mcmc/test_constrained_hmc", "mcmc/test_sampler_invariants", "mcmc/test_lengths"),
    "mcmc/constrained_langevin": ("mcmc/test_constrained_langevin", "mcmc/test_sampler_laws"),
    "mcmc/constrained_nuts": ("mcmc/test_nuts", "mcmc/test_unequal"),
    "mcmc/dual_averaging": ("mcmc/test_dual_averaging", "mcmc/test_warm_up"),
    "mcmc/geodesic_langevin": ("mcmc/test_sampler_invariants", "mcmc/test_exact_laws"),
    "mcmc/jumps": ("mcmc/test_jumps", "mcmc/test_reversibility"),
    "mcmc/langevin": ("mcmc/test_langevin", "mcmc/test_sampler_invariants"),
    "mcmc/leapfrog": ("mcmc/test_reparametrised", "mcmc/test_constrained_hmc"),
    "mcmc/lengths": ("mcmc/test_lengths",),
    "mcmc/metric": ("mcmc/test_metric", "mcmc/test_reparametrised", "mcmc/test_warm_up"),
    "mcmc/one_chain": ("mcmc/test_run", "mcmc/test_calibration"),
    "mcmc/outcome": ("mcmc/test_constrained_langevin", "mcmc/test_run"),
    "mcmc/parallel_tempering": ("mcmc/test_parallel_tempering",),
    "mcmc/phase_space": (
        "mcmc/test_jumps",
        "mcmc/test_constrained_hmc",
        "mcmc/test_reparametrised",
        "mcmc/test_exact_laws",
    ),
    "mcmc/reparametrised": ("mcmc/test_reparametrised",),
    "mcmc/run": ("mcmc/test_run",),
    "mcmc/tempered_smc": ("mcmc/test_tempered_smc",),
    "mcmc/u_turn": ("mcmc/test_u_turn", "mcmc/test_nuts"),
    "mcmc/unequal": ("mcmc/test_unequal", "mcmc/test_sharding"),
    "mcmc/uniform": ("mcmc/test_uniform",),
    "mcmc/warm_up": ("mcmc/test_metric", "mcmc/test_warm_up"),
    "ebim/contrastive": ("ebim/test_contrastive",),
    "ebim/kernels": ("ebim/test_likelihood", "ebim/test_density", "baselines/test_model"),
    "ebim/likelihood": ("ebim/test_likelihood",),
    "ebim/manifold_loss": ("ebim/test_manifold_loss",),
    "ebim/score_matching": ("ebim/test_score_matching",),
}
"""Modules, and the tests of each."""


@dataclass(frozen=True)
class Options:
    """sample, seed: how many mutants, and which. out: directory of results. part: which of how many processes.

    commit: whose code is broken; all parts need the same.
    """

    sample: int = 400
    seed: int = 0
    out: Path = ROOT / "experiments" / "results" / "mutants"
    part: tuple[int, int] = (0, 1)
    commit: str = "HEAD"
    again: bool = False


def main(options: Options) -> None:
    """Run what is left of one part."""
    if missing := [name for names in TESTS.values() for name in names if not (ROOT / "tests" / f"{name}.py").exists()]:
        raise FileNotFoundError(f"there are no tests {', '.join(missing)}; mend TESTS")  # or all mutants were seen
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"part-{options.part[0]}-of-{options.part[1]}.jsonl"
    if options.again:
        path = options.out / f"again-{options.part[0]}-of-{options.part[1]}.jsonl"
    done = {name_of(line) for line in read(options.out, again=options.again)}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "worktree", "add", "--detach", copy, options.commit], cwd=ROOT, check=True)
        try:
            os.chdir(copy)
            if not done and not options.again:
                check_whole()
            if options.again:
                mutants = [line for line in read(options.out) if line["outcome"] == "survived"]
            else:
                mutants = sampled(options)
            for mutant in mutants[options.part[0] :: options.part[1]]:
                if name_of(mutant) not in done:
                    line = mutant | (tried_again(mutant) if options.again else tried(mutant))
                    print(f"{line['outcome']:9} {line['seconds']:5.0f} s  {name_of(line)}", flush=True)
                    with path.open("a") as file:
                        file.write(json.dumps(line) + "\n")
        finally:
            os.chdir(ROOT)
            subprocess.run(["git", "worktree", "remove", "--force", str(copy)], cwd=ROOT, check=True)


def sampled(options: Options) -> list[dict[str, Any]]:
    """The mutants of a sample: module, operator, which of its places in the module."""
    from cosmic_ray.commands import init
    from cosmic_ray.work_db import WorkDB, use_db

    paths = [path for module in TESTS if (path := Path(PACKAGE) / f"{module}.py").exists()]
    with use_db(":memory:", WorkDB.Mode.create) as database:
        init(paths, database, {})
        found = [item.mutations[0] for item in database.work_items]
    mutants = [
        {"path": str(one.module_path), "operator": one.operator_name, "place": one.occurrence}
        for one in found
        if TYPES not in one.operator_name
    ]
    mutants.sort(key=name_of)
    return random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))


def check_whole() -> None:
    """Raises RuntimeError where the tests fail without any mutant."""
    files = sorted({f"tests/{name}.py" for names in TESTS.values() for name in names})
    found = subprocess.run(shlex.split(command(*files)), env=environment(), capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"the tests fail without a mutant: {found.stdout[-2000:]}")


def command(*files: str) -> str:
    """What runs the tests of some files until one fails."""
    return f"{sys.executable} -m pytest -x -q -n 0 -m 'not slow' {' '.join(files)}"


def environment() -> dict[str, str]:
    """That of the tests: the copy's own code, and what was compiled before."""
    return os.environ | {
        "PYTHONPATH": "src:.",
        "PYTHONDONTWRITEBYTECODE": "1",  # a file changed within a second would be taken for the one before
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
    }


def tried(mutant: dict[str, Any]) -> dict[str, Any]:
    """What the tests of its module make of a mutant, in the copy that is the working directory."""
    from cosmic_ray.mutating import mutate_and_test
    from cosmic_ray.work_item import MutationSpec

    spec = MutationSpec(Path(mutant["path"]), mutant["operator"], mutant["place"], (0, 0), (0, 1))
    module = mutant["path"].removeprefix(f"{PACKAGE}/").removesuffix(".py")
    os.environ |= environment()
    started = time.monotonic()
    found = mutate_and_test([spec], command(*(f"tests/{name}.py" for name in TESTS[module])), TIMEOUT)
    outcome = str(getattr(found.test_outcome, "value", found.worker_outcome))
    return {"outcome": outcome, "seconds": round(time.monotonic() - started, 1), "diff": found.diff}


def tried_again(mutant: dict[str, Any]) -> dict[str, Any]:
    """What today's tests of its module make of a change that survived, where what it changed still stands once."""
    path, started = Path(mutant["path"]), time.monotonic()
    whole = path.read_text()
    broken = changed(whole, mutant["diff"])
    if broken is None:
        return {"outcome": "gone", "seconds": 0.0}
    module = mutant["path"].removeprefix(f"{PACKAGE}/").removesuffix(".py")
    words = shlex.split(command(*(f"tests/{name}.py" for name in TESTS[module])))
    path.write_text(broken)
    try:
        code = subprocess.run(words, env=environment(), timeout=TIMEOUT, capture_output=True, check=False).returncode
    except subprocess.TimeoutExpired:
        code = 1
    finally:
        path.write_text(whole)
    return {"outcome": "killed" if code else "survived", "seconds": round(time.monotonic() - started, 1)}


def changed(whole: str, diff: str) -> str | None:
    """The text with a diff's one hunk; or with its changed lines alone, however far in they stand; None without them.

    Those lines, or those with what is around them, must stand there once.
    """
    hunk = diff.split("\n@@")[1].splitlines()[1:]
    sides = [[line[1:] for line in hunk if line[:1] in (" ", mark)] for mark in "-+"]
    old, new = ("\n".join(lines) for lines in sides)
    if whole.count(old) == 1:
        return whole.replace(old, new)
    removed, put = ([line[1:].strip() for line in hunk if line[:1] == mark] for mark in "-+")
    if len(removed) == len(put) == 1:
        places = [line for line in whole.splitlines() if line.strip() == removed[0]]
        if len(places) == 1:
            return whole.replace(places[0], places[0].replace(removed[0], put[0]))
    return None


def name_of(mutant: dict[str, Any]) -> str:
    """A mutant in a word."""
    return f"{mutant['path']} {mutant['operator'].removeprefix('core/')} {mutant['place']}"


def read(directory: Path, again: bool = False) -> list[dict[str, Any]]:
    """What was tried so far, by all processes; or what was tried again."""
    paths = sorted(directory.glob("again-*.jsonl" if again else "part-*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


if __name__ == "__main__":
    main(tyro.cli(Options))
