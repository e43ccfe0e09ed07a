"""A file of measurements that grows a line at a time, so that a run that is stopped goes on where it was.

Pictures among the figures lie beside it, and it has their names.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
from matplotlib.figure import Figure


class Measurement(NamedTuple):
    """What is measured, named by `what`; about how many seconds it takes; and what gives its figures."""

    what: dict[str, Any]
    seconds: float
    figures: Callable[[], dict[str, Any]]


@dataclass
class Figures:
    """Lines of JSON at `path`, of this device and others."""

    path: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read what is there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.lines = [json.loads(line) for line in self.path.read_text().splitlines()]

    def fill(self, part: str, measurements: Iterator[Measurement], until: float) -> None:
        """Take what is missing of a part, until so late by the clock; a failure is noted, and the next one tried."""
        for what, seconds, figures in measurements:
            named = {"part": part, "device": jax.devices()[0].device_kind, **what}
            if any(named.items() <= line.items() and "failed" not in line for line in self.lines):
                continue
            if time.time() + seconds > until:
                print(f"no time for {named}", flush=True)
                continue
            try:
                found = figures()
            except Exception as error:  # what comes next may still run
                found = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
            self._add(named | {name: self._kept(named, name, value) for name, value in found.items()})

    def _kept(self, named: dict[str, Any], name: str, value: Any) -> Any:
        if not isinstance(value, Figure):
            return value
        path = self.path.parent / f"{'-'.join(map(str, named.values()))}-{name}.png".replace(" ", "_")
        value.savefig(path)
        return path.name

    def _add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        print(json.dumps(line), flush=True)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
