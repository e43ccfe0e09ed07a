"""The table of docs/sampling.md, made of the JSON that `benchmarks.samplers` wrote: medians where files are several."""

import json
import statistics
from pathlib import Path
from typing import Annotated

import tyro

from experiments.common.markdown import replace_between_marks, table_header, table_row

PAGE = Path(__file__).parents[1] / "docs" / "sampling.md"
NAMES = {
    "torus": "torus R = 1, r = 1/2",
    "s9_vmf": "von Mises–Fisher, S⁹",
    "so3": "Haar, SO(3)",
    "poly20": "5 quadrics in R²⁰",
}
HEADINGS = ("target", "sampler", "chains", "ESS a second", "ESS a CPU second", "× best mici", "RMS distance from M")


def main(files: Annotated[tuple[Path, ...], tyro.conf.Positional]) -> None:
    """Write the table of these runs into the page."""
    replace_between_marks(PAGE, "samplers", table([row for file in files for row in json.loads(file.read_text())]))


def table(rows: list[dict]) -> str:
    """Markdown, one line for each target, sampler and number of chains, in the order of the rows."""
    lines = table_header(*HEADINGS)
    for key in dict.fromkeys((row["target"], row["sampler"], row["chains"]) for row in rows):
        same = [row for row in rows if (row["target"], row["sampler"], row["chains"]) == key]
        wall, cpu, times, distance = (
            statistics.median(row[name] for row in same)
            for name in ("ess_per_second", "ess_per_cpu_second", "times_mici", "rms_distance")
        )
        cells = (NAMES[key[0]], key[1], str(key[2]), f"{wall:,.0f}", f"{cpu:,.0f}", f"{times:,.1f}", f"{distance:.0e}")
        lines.append(table_row(*cells))
    return "\n".join(lines)


if __name__ == "__main__":
    tyro.cli(main)
