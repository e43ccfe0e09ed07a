"""Model directories of version 0.1.0 (format 3), whose shapes stood in the settings of the fit."""

from typing import Any

import numpy as np

PLACES = {
    "mdf.": "manifold.mdf.",
    "atlas.": "manifold.atlas.",
    "anchors": "manifold.anchors",
    "low": "manifold.box.low",
    "high": "manifold.box.high",
    "noise_scale": "chains.noise_scale",
    "step_size": "chains.drift_scale",
}
"""What names of arrays began with, and begin with now."""


def from_format_3(
    description: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Description and arrays as format 4 has them."""
    config, dimension = description["config"], description["dimension"]
    kept = {name: description[name] for name in ("dimension", "codimension", "anchors", "charts", "normalized")}
    sizes = [dimension, *config["manifold"]["hidden"], description["codimension"]]
    mdf = {"kind": "mlp", "sizes": sizes, "spectral_norm": False}
    drift_scale = config["energy"]["step_size"] is not None
    found = kept | {"format": 4, "mdf": mdf, "energy": _energy(description), "drift_scale": drift_scale}
    return found, {_renamed(name): array for name, array in arrays.items()}


def _renamed(name: str) -> str:
    for before, after in PLACES.items():
        if name.startswith(before):
            return after + name[len(before) :]
    return name


def _energy(description: dict[str, Any]) -> dict[str, Any]:
    config, dimension, energy = description["config"], description["dimension"], description["energy"]
    if energy["kind"] == "perceptron":
        sizes = [dimension, *config["energy"]["hidden"], 1]
        return {"kind": "energy mlp", "sizes": sizes, "spectral_norm": False}
    fitted = config["likelihood" if energy["kind"] == "mixture" else "score_matching"]
    member = {"kind": "fourier", "dimension": dimension, "hidden": fitted["hidden"], "features": fitted["features"]}
    if energy["kind"] == "fourier":
        return member
    stacked = {"kind": energy["kind"], "count": fitted["members"], "member": member}
    if energy["kind"] == "piecewise":
        return stacked | {"parts": energy["parts"], "bases": energy["bases"], "dimension": dimension}
    kernel = energy["kernel"]
    if kernel is not None:
        inner = dimension - description["codimension"]
        kernel = {"kind": "kernel", "rows": kernel[0], "centres": kernel[1], "ambient": dimension, "dimension": inner}
    return stacked | {"kernel": kernel}
