"""The command `implicit-manifolds`: fit, sample, project, score, certify, doubt and plot one's own points."""

import errno
import os
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import tyro

from .._compilation import OFF, keep_programs
from ..errors import InputError, TrainingDiverged
from .commands import (
    diagnose_command,
    plot_command,
    project_command,
    report_command,
    sample_command,
    score_command,
    topology_command,
)
from .fitting import dimension_command, fit_command

CLOSED = 141
"""Exit code where the reader of what is printed went away, as of a program that a closed pipe ended."""
EXAMPLE = """Example: implicit-manifolds fit points.csv --out model

--version prints the version, --tyro-print-completion bash (or zsh) a script that completes words in a shell."""
COMMANDS: dict[str, Callable[..., Any]] = {
    "fit": fit_command,
    "dimension": dimension_command,
    "sample": sample_command,
    "project": project_command,
    "score": score_command,
    "topology": topology_command,
    "diagnose": diagnose_command,
    "plot": plot_command,
    "report": report_command,
}


def run_safely(call: Callable[[], None]) -> int:
    """Run `call` for its exit code: 0, 2 for what the user gave, 3 for training that diverged or led to no manifold.

    A full disk is the user's, too. Errors of ours end as one line on stderr, warnings likewise; anything else is a bug
    and keeps its traceback.
    """
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        call()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ArithmeticError as error:
        if type(error) not in (ArithmeticError, TrainingDiverged):  # a division by zero is no sentence of ours
            raise
        print(f"error: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" for {error.filename}" if error.filename else ""
        print(f"error: no space is left{where}; free some, or name another path", file=sys.stderr)
        return 2
    return 0


def main() -> None:
    """Entry point of the command line."""
    given = [word for word in sys.argv[1:] if word != OFF]
    if given == ["--version"]:
        print(f"implicit-manifolds {version('implicit-manifolds')}")
        sys.exit(0)
    if len(given) == len(sys.argv[1:]):
        keep_programs()
    told = f"{__doc__}\n\n{EXAMPLE} Compiled programs are kept for later runs, unless any command has {OFF}."
    options: dict[str, Any] = {"prog": "implicit-manifolds", "description": told, "args": given}
    options["config"] = (tyro.conf.FlagConversionOff,)
    try:
        code = run_safely(lambda: tyro.extras.subcommand_cli_from_dict(COMMANDS, **options))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = CLOSED
    sys.exit(code)
