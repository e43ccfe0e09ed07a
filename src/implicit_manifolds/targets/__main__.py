"""`python -m implicit_manifolds.targets`: list the targets, or score draws of one, from a file or of a function."""

import importlib
import sys
import time
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

from ..errors import InputError
from . import MADE_BY, Score, Target, score


def main(
    name: Annotated[str, tyro.conf.Positional] = "",
    draws: Annotated[str, tyro.conf.Positional] = "",
    seed: int = 0,
) -> int:
    """Score a sampler on one of a public set of targets on level sets.

    Args:
        name: of the target; without one all are listed.
        draws: a .npy file (chains, draws, n), or `module:function`, a function of a `Target` and a random key that
            returns such an array, which is then timed.
        seed: of the key.
    """
    try:
        if not name:
            print("\n".join(f"{key:<22} {(made.__doc__ or '').splitlines()[0]}" for key, made in MADE_BY.items()))
            return 0
        print(report(*scored(name, draws, seed)))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def scored(name: str, draws: str, seed: int) -> tuple[Target, Score, float | None]:
    """The target, its score, and the CPU seconds that a function took, all of them, compilation too."""
    if name not in MADE_BY:
        raise InputError(f"there is no target {name}; choose one of {', '.join(MADE_BY)}")
    target, seconds = MADE_BY[name](), None
    if ":" in draws and not Path(draws).exists():
        module, function = draws.rsplit(":", 1)
        sys.path.insert(0, "")
        began = time.process_time()
        found = np.asarray(getattr(importlib.import_module(module), function)(target, jax.random.key(seed)))
        seconds = time.process_time() - began
    elif Path(draws).is_file():
        found = np.load(draws)
    else:
        raise InputError(f"{draws or 'nothing'} holds no draws; give a .npy file or module:function")
    return target, score(target, found), seconds


def report(target: Target, found: Score, seconds: float | None) -> str:
    """A few lines to read."""
    lines = [f"{target.name}: n = {target.dimension}, k = {target.codimension}"]
    lines += [f"{'quantity':<24} {'known':>10} {'draws':>10} {'z':>6} {'ESS':>9} {'R-hat':>7}"]
    for name, quantity in target.quantities.items():
        lines.append(
            f"{name:<24} {quantity.mean:>10.4g} {found.mean[name]:>10.4g} {found.z[name]:>6.1f} "
            f"{found.ess[name]:>9.0f} {found.r_hat[name]:>7.3f}"
        )
    lines.append(f"largest |F|: {found.residual:.1e}")
    if seconds is not None:
        lines.append(
            f"{seconds:.1f} CPU s, compilation and warm-up too: {found.least_ess / seconds:.1f} ESS a CPU second"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
