"""What may be wrong with a result without its saying so: a number, a threshold, and a sentence that says what to do."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """A number that was looked at, the threshold it should keep to, whether it does not, and what that means.

    told: one sentence of what is wrong then and what to do.

    >>> [finding.name for finding in im.diagnose(jax.random.key(0), model, points).findings if finding.wrong]
    []
    """

    name: str
    value: float
    threshold: float | int
    wrong: bool
    told: str


def at_most(name: str, value: Any, threshold: float | int, told: str) -> Finding:
    """A number that is wrong above its threshold, and where it is none."""
    return Finding(name, float(value), threshold, not value <= threshold, told)


def at_least(name: str, value: Any, threshold: float | int, told: str) -> Finding:
    """A number that is wrong below its threshold, and where it is none."""
    return Finding(name, float(value), threshold, not value >= threshold, told)


def sentences(findings: Iterable[Finding]) -> list[str]:
    """A sentence for each that is wrong: its name, its number, and what it means."""
    return [f"{one.name}: {one.value:.3g}, beyond {one.threshold:g}; {one.told}" for one in findings if one.wrong]


def table(findings: Iterable[Finding]) -> str:
    """All of them in lines, and beneath these what is wrong."""
    found = list(findings)
    width = max((len(one.name) for one in found), default=0)
    lines = [f"{one.name:{width}} {one.value:10.3g}  {'WRONG' if one.wrong else 'ok'}" for one in found]
    return "\n".join([*lines, *sentences(found)])
