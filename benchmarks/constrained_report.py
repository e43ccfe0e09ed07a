"""The tables of docs/constrained_targets.md, made of the JSON that `benchmarks.constrained_targets` wrote."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.common.markdown import replace_between_marks, table_header, table_row
from implicit_manifolds.targets import MADE_BY

PAGE = Path(__file__).parents[1] / "docs" / "constrained_targets.md"
OURS = ("by hand", "tuned", "dynamic")
MANY = 1000
TRUSTED = 1.05
"""R-hat beyond which effective samples mean nothing."""
STANDING = 100.0
"""R-hat of a quantity that hardly changes along any chain."""
WRONG = 6.0
"""Standard errors from a known mean beyond which the law was missed: a part of M, most often."""


def main(files: Annotated[tuple[Path, ...], tyro.conf.Positional]) -> None:
    """Write the tables of these runs into the page; of rows that stand in several files the last counts."""
    rows = [row for file in files for row in json.loads(file.read_text())]
    found = {(row["target"], row["sampler"], row["chains"]): row for row in rows}
    targets = [name for name in MADE_BY if any(key[0] == name for key in found)]
    replace_between_marks(PAGE, "speeds", speeds(found, targets))
    replace_between_marks(PAGE, "steps", steps(found, targets))
    replace_between_marks(PAGE, "log Z", masses(found, targets))
    replace_between_marks(PAGE, "chains", by_chains(found, targets))


def numbers_of(found: dict, target: str) -> list[int]:
    """Of chains of ours that are shown: one and a thousand where they were run, else what was."""
    tried = sorted({key[2] for key in found if key[0] == target and key[1] in OURS})
    return [chains for chains in (1, MANY) if chains in tried] or tried


def of(found: dict, target: str, sampler: str, chains: int) -> dict:
    """A row, empty where it was not run or failed."""
    row = found.get((target, sampler, chains), {})
    return {} if "failed" in row else row


def mici_of(found: dict, target: str) -> dict:
    """mici's row, whatever the number of its chains; empty where it gave up."""
    return next((of(found, *key) for key in found if key[:2] == (target, "mici")), {})


def rounded(value: float) -> str:
    """To two digits, without an exponent."""
    return f"{float(f'{value:.2g}'):,.10g}"


def speed(row: dict, mici: dict) -> str:
    """Effective samples a CPU second, times mici's, and R-hat where it says that they are none."""
    if not row:
        return "-"
    text = rounded(row["ess_per_cpu_second"])
    if mici and row is not mici and mici["z"] < WRONG and mici["r_hat"] < STANDING:
        text += f" (× {rounded(row['ess_per_cpu_second'] / mici['ess_per_cpu_second'])})"
    if row["z"] > WRONG:
        return f"wrong by {row['z']:.0f} standard errors"
    if row["r_hat"] > STANDING:
        return "chains stay in their parts"
    return text if not row["r_hat"] > TRUSTED else f"{text}, R-hat {row['r_hat']:.2f}"


def speeds(found: dict, targets: list[str]) -> str:
    """Effective samples a CPU second, one line a target and number of chains."""
    lines = table_header("target", "mici", "chains", *OURS, "refused", "largest residual")
    for target in targets:
        mici = mici_of(found, target)
        numbers = numbers_of(found, target)
        for chains in numbers:
            rows = [of(found, target, sampler, chains) for sampler in OURS]
            known = [row for row in rows if row]
            cells = [
                f"{max(row['refused'] for row in known):.1%}" if known else "-",
                f"{max(row['residual'] for row in known):.0e}" if known else "-",
            ]
            of_mici = (speed(mici, mici) if mici else "gave up") if chains == numbers[0] else ""
            name = f"`{target}`" if chains == numbers[0] else ""
            lines.append(table_row(name, of_mici, str(chains), *(speed(row, mici) for row in rows), *cells))
    return "\n".join(lines)


def steps(found: dict, targets: list[str]) -> str:
    """Effective samples a step with many chains, how the others compare with the best length, and the law."""
    lines = table_header("target", "steps", *(f"ESS a step, {name}" for name in OURS), "dynamic / by hand", "R-hat",
                         "largest deviation")  # fmt: skip
    for target in targets:
        rows = [of(found, target, sampler, max(numbers_of(found, target), default=1)) for sampler in OURS]
        if not any(row.get("chains", 1) > 1 for row in rows):
            continue
        known = [row for row in rows if row]
        ratio = f"{rows[2]['ess_per_step'] / rows[0]['ess_per_step']:.2f}" if rows[0] and rows[2] else "-"
        length = " / ".join(f"{row['steps_per_draw']:.1f}" if row else "-" for row in rows)
        of_steps = (f"{row['ess_per_step']:.3f}" if row else "-" for row in rows)
        worst = f"{max(row['r_hat'] for row in known):.3f}", f"{max(row['z'] for row in known):.1f}"
        lines.append(table_row(f"`{target}`", length, *of_steps, ratio, *worst))
    return "\n".join(lines)


def masses(found: dict, targets: list[str]) -> str:
    """log Z by SMC where it is known."""
    lines = table_header("target", "log Z known", "by SMC", "standard error", "off by, in standard errors")
    for target in targets:
        row = found.get((target, "SMC", 2048), {})
        known = MADE_BY[target]().log_normalizer
        if "failed" in row and known is not None:
            lines.append(table_row(f"`{target}`", f"{known:.4f}", row["failed"], "", ""))
        elif row and known is not None:
            value, error = row["log_normalizer"], row["standard_error"]
            cells = (f"{known:.4f}", f"{value:.4f}", f"{error:.4f}", f"{(value - known) / error:.1f}")
            lines.append(table_row(f"`{target}`", *cells))
    return "\n".join(lines)


def by_chains(found: dict, targets: list[str]) -> str:
    """Effective samples a CPU second by the number of chains, where more than two were tried."""
    lines = table_header("target", "chains", *OURS)
    for target in targets:
        tried = sorted({key[2] for key in found if key[0] == target and key[1] in OURS})
        for chains in tried if len(tried) > 2 else ():
            rows = [of(found, target, sampler, chains) for sampler in OURS]
            best = np.nanmax([row.get("ess_per_cpu_second", np.nan) for row in rows])
            cells = (
                "-" if not row else f"{row['ess_per_cpu_second']:,.0f}".join(
                    ("**", "**") if row["ess_per_cpu_second"] == best else ("", "")
                )
                for row in rows
            )  # fmt: skip
            lines.append(table_row(f"`{target}`" if chains == tried[0] else "", f"{chains:,}", *cells))
    return "\n".join(lines)


if __name__ == "__main__":
    tyro.cli(main)
