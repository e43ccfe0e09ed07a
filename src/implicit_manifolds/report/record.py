"""What is kept of a fit beside the model, for the page about it."""

from typing import Any, NamedTuple

import numpy as np

from ..ebim.dimension import Dimension
from ..ebim.fit import Fit
from ..training.loop import History

MOST_ROUNDS = 300


class Record(NamedTuple):
    """Of a fit: how many points, both histories by name, the spectrum's dimension, why M has its form, and seconds."""

    points: int
    histories: dict[str, History]
    dimension: Dimension | None
    reason: str
    seconds: dict[str, float]


def described(fit: Fit, points: int) -> dict[str, Any]:
    """What JSON takes of a fit to so many points; of long histories every other round, or fewer."""
    dimension = fit.dimension
    return {
        "points": points,
        "histories": {"manifold": _rounds(fit.manifold_history), "energy": _rounds(fit.energy_history)},
        "dimension": None if dimension is None else dimension._asdict() | {"spectrum": dimension.spectrum.tolist()},
        "reason": fit.reason,
        "seconds": {"manifold": fit.seconds_manifold, "energy": fit.seconds_energy},
    }


def _rounds(history: History) -> dict[str, Any]:
    some = slice(None, None, -(-len(history.steps) // MOST_ROUNDS))
    terms = {name: np.asarray(values, np.float64)[some].tolist() for name, values in history.terms.items()}
    return {"steps": history.steps[some].tolist(), "terms": terms, "seconds": history.seconds[some].tolist()}


def from_description(found: dict[str, Any]) -> Record:
    """What `described` gave."""
    histories = {
        name: History(
            np.asarray(one["steps"]),
            {term: np.asarray(values) for term, values in one["terms"].items()},
            np.asarray(one["seconds"]),
        )
        for name, one in found["histories"].items()
    }
    spectrum = found["dimension"]
    dimension = None if spectrum is None else Dimension(**(spectrum | {"spectrum": np.asarray(spectrum["spectrum"])}))
    return Record(found["points"], histories, dimension, found["reason"], found["seconds"])
