"""The tables of docs/accelerators.md, from results/accelerator.jsonl, what `benchmarks.accelerator` writes."""

import json
from pathlib import Path

from benchmarks.accelerator.chains import LEAPFROGS
from experiments.common.markdown import replace_between_marks, table_header, table_row

FIGURES = Path(__file__).parents[1] / "results" / "accelerator.jsonl"
PAGE = Path(__file__).parents[2] / "docs" / "accelerators.md"


def main() -> None:
    """Write every table into the page."""
    lines = [json.loads(line) for line in FIGURES.read_text().splitlines()]
    for name, table in (
        ("langevin", langevin),
        ("hmc", hmc),
        ("laws", laws),
        ("fits", fits),
        ("updates", updates),
        ("training", training),
    ):
        replace_between_marks(PAGE, name, table(lines))


def _parts(lines: list[dict], part: str) -> list[dict]:
    return [line for line in lines if line["part"] == part]


def _share_of_bandwidth(lines: list[dict], line: dict, steps: float) -> str:
    """What so many steps a second move, over what the device was measured to move; "" where it was not measured."""
    measured = [info["bandwidth_GB_s"] for info in _parts(lines, "info") if info["device"] == line["device"]]
    if "bytes_a_step" not in line or not measured:
        return ""
    return f"{line['bytes_a_step'] * steps / 1e9 / measured[-1]:.0%}"


def langevin(lines: list[dict]) -> str:
    """Markdown: constrained Langevin steps on a learned curve, by the number of chains."""
    head = ("device", "chains", "µs a step", "in forward passes of F", "chain steps a second", "of the bandwidth")
    rows = table_header(*head)
    for line in _parts(lines, "clmc"):
        numbers = (f"{line['us_step']:,.0f}", f"{line['forwards_a_step']:.1f}", f"{line['chain_steps_a_second']:.2g}")
        share = _share_of_bandwidth(lines, line, line["chain_steps_a_second"])
        rows.append(table_row(line["device"], f"{line['chains']:,}", *numbers, share))
    return "\n".join(rows)


def hmc(lines: list[dict]) -> str:
    """Markdown: leapfrog steps of constrained HMC, by target and number of chains."""
    rows = table_header("device", "target", "chains", "leapfrog steps a second", "of the bandwidth")
    for line in [*_parts(lines, "hmc"), *_parts(lines, "rivals")]:
        speed, name = line["leapfrogs_a_second"], line.get("target") or f"BlackJAX, {line['rival']}"
        share = _share_of_bandwidth(lines, line, speed / LEAPFROGS)
        rows.append(table_row(line["device"], name, f"{line['chains']:,}", f"{speed:.2g}", share))
    return "\n".join(rows)


def laws(lines: list[dict]) -> str:
    """Markdown: whether chains have the laws they should, by the precision of products of matrices."""
    head = (
        "device",
        "products",
        "KS distance, torus",
        "5 % bound",
        "SO(3): mean trace",
        "mean square",
        "not converged",
    )
    rows = table_header(*head)
    for line in _parts(lines, "laws"):
        law = (
            f"{line[name]:.4f}" for name in ("torus_ks", "bound_5_percent", "so3_trace_mean", "so3_trace_mean_square")
        )
        rows.append(table_row(line["device"], line["precision"], *law, f"{line['so3_refused'][2]:.1%}"))
    return "\n".join(rows)


def fits(lines: list[dict]) -> str:
    """Markdown: seconds of whole fits and samples, the first of a process with compilation."""
    names = ("fit_s", "manifold_s", "energy_s", "sample_s")
    rows = table_header("device", "fit", "fit, s", "step 1", "step 2", "10,000 samples, s")
    for line in _parts(lines, "fit"):
        rows.append(table_row(line["device"], line["turn"], *(f"{line[name]:.1f}" for name in names)))
    return "\n".join(rows)


def updates(lines: list[dict]) -> str:
    """Markdown: milliseconds of an update of the image models."""
    rows = table_header("device", "scale", "update", "ms")
    for line in _parts(lines, "images"):
        rows.append(
            table_row(line["device"], line["scale"], line["what"].replace(", F at its start", ""), f"{line['ms']:.2g}")
        )
    return "\n".join(rows)


def training(lines: list[dict]) -> str:
    """Markdown: short trainings of the image models."""
    rows = table_header("device", "scale", "updates of F, of the energy", "s", "Fréchet distance", "largest residual")
    for line in _parts(lines, "training"):
        updates = f"{line['manifold_updates']:,}, {line['energy_updates']:,}"
        seconds = f"{line['manifold_s']:.0f}, {line['energy_s']:.0f}"
        numbers = (f"{line['frechet_lenet']:,.0f}", f"{line['residual_max']:.4f}")
        rows.append(table_row(line["device"], line["scale"], updates, seconds, *numbers))
    return "\n".join(rows)


if __name__ == "__main__":
    main()
