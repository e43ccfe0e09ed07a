"""The page itself: one file of HTML that holds all its figures."""

import base64
import html
import io
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from .._types import RandomKey
from ..certificate.topology import certified
from ..coordinates import Coordinates
from ..diagnosis.diagnose import diagnose
from ..ebim.measures import log_density_by_coordinates
from ..ebim.model import EBIM
from ..ebim.verbs import Samples, sample
from ..findings import sentences
from ..plot.model import plot_model
from ..plot.pairs import plot_pairs
from ..plot.spectrum import plot_spectrum
from ..plot.style import DATA_COLOR, blank_figure
from ..plot.training import plot_history
from .judged import Judged, judged
from .record import Record

SAMPLES = 2000
PACKAGES = ("implicit-manifolds", "jax", "flax", "optax", "numpy")
TEMPLATE = Template((Path(__file__).parent / "page.html").read_text())


def report(
    key: RandomKey,
    model: EBIM,
    coordinates: Coordinates,
    values: np.ndarray | None = None,
    record: Record | None = None,
    settings: dict[str, Any] | None = None,
    title: str = "model",
) -> str:
    """HTML of one page about a model: figures, certificate, scores of a table's rows, training, settings, versions.

    values (N, c): rows of a table of these coordinates, such as those that it was fitted to, or better others. record:
    what was kept of its fit. settings: those it was fitted with.
    """
    points = None if values is None else coordinates.embed(values)
    drawn = sample(key, model, SAMPLES)
    found = None if points is None else judged(key, model, points)
    sections = []
    if coordinates.plain or model.manifold.ambient_dimension <= 3:  # else the columns say it better
        sections.append(_section("The manifold and its density", _manifold(key, model, coordinates, points)))
    heading = "Samples" if values is None else "Samples beside the data"
    sections.append(_section(heading, _samples(drawn, coordinates, values)))
    if found is not None:
        sections.append(_section("How near and how likely the points are", _scores(found)))
    if record is not None and record.dimension is not None:
        spectrum = _picture(plot_spectrum(record.dimension), "Eigenvalues of the denoiser at the data, medians")
        sections.append(_section("What the spectrum says of the dimension", spectrum))
    if record is not None:
        curves = _picture(plot_history(record.histories), "Terms of both losses against updates")
        told = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in record.seconds.items())
        sections.append(_section("Training", f"{curves}<p>Wall time with compilation: {told}.</p>"))
    sections.append(_section("Settings and versions", _settings(settings or {})))
    facts = _facts(model, coordinates, record, found, drawn) | _by_coordinates(model, coordinates, values)
    facts |= _doubts(key, model, points)
    return TEMPLATE.substitute(title=html.escape(title), facts=_table(facts), sections="\n".join(sections))


def _facts(
    model, coordinates: Coordinates, record: Record | None, found: Judged | None, drawn: Samples
) -> dict[str, str]:
    manifold = model.manifold
    facts = {"columns": ", ".join(coordinates.names)}
    if record is not None:
        facts["fitted to"] = f"{record.points:,} points"
    facts["manifold"] = f"{manifold.dimension} dimensions in R{_raised(manifold.ambient_dimension)}"
    if record is not None and record.reason:
        facts["form"] = record.reason
    if model.log_normalizer is not None:
        value, error = model.log_normalizer
        facts["log Z"] = f"{value:.4f} ± {error:.4f} (standard error)"
    if found is not None:
        away = found.scores.distance[found.scores.converged]
        lost = f"{1 - found.scores.converged.mean():.1%} without a nearest point"
        facts["points given here"] = f"{len(found.scores.distance):,}, {lost}"
        facts["their distance"] = f"mean {away.mean():.3g}, largest {away.max():.3g}" if away.size else "none found"
        if found.model is not None:
            facts["negative log-density, model"] = _with_error(found.model)
        if found.kernel is not None:
            facts["of a kernel density on it"] = f"{_with_error(found.kernel)}, of five folds by the other four"
    how = "independent" if drawn.method == "importance" else "ends of chains"
    facts["samples"] = f"{how}, {drawn.on_manifold.mean():.1%} within 1e-4 of the manifold"
    return facts


def _by_coordinates(model: EBIM, coordinates: Coordinates, values: np.ndarray | None) -> dict[str, str]:
    """The points' mean negative log-density by the measure of their columns, where it has one."""
    own = None if values is None or coordinates.plain else log_density_by_coordinates(model, coordinates, values)
    if own is None or not np.isfinite(own).any():
        return {}
    mean = -float(own[np.isfinite(own)].mean())
    return {f"negative log-density per {coordinates.measure}": f"{mean:.3f} nats, the model's"}


def _doubts(key: RandomKey, model: EBIM, points) -> dict[str, str]:
    """The certificate, and of what was looked at what is wrong."""
    if points is None:
        return {"topology": certified(model.manifold)[1]}
    found = diagnose(key, model, points)
    told = "; ".join(sentences(found.findings)) or f"nothing, of {len(found.findings)} numbers that were looked at"
    return {"topology": found.certificate, "what may be wrong": told}


def _raised(number: int) -> str:
    return "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(number))


def _with_error(mean: tuple[float, float]) -> str:
    return f"{mean[0]:.3f} ± {mean[1]:.3f} nats"


def _manifold(key: RandomKey, model: EBIM, coordinates: Coordinates, points) -> str:
    figure = plot_model(key, model, points)
    note = "" if coordinates.plain else "<p>In the space that the columns are embedded in.</p>"
    return note + _picture(figure, "The learned manifold, coloured by its density where it is a curve or a surface")


def _samples(drawn: Samples, coordinates: Coordinates, values) -> str:
    figure = plot_pairs(coordinates.restore(drawn.points), values, names=coordinates.names)
    return _picture(figure, "Each pair of columns, and each column by itself")


def _scores(found: Judged) -> str:
    figure = blank_figure(9.0, 3.2)
    left, right = figure.subplots(1, 2)
    good = found.scores.converged
    away = found.scores.distance[good]
    away = away[away > 0]
    left.hist(np.log10(away), bins=40, color=DATA_COLOR)
    left.set_xlabel("log₁₀ of the distance to the manifold")
    left.set_ylabel("points")
    logs = found.scores.log_density[good & np.isfinite(found.scores.log_density)]
    right.hist(logs, bins=40, color="0.4")
    right.set_xlabel("log-density at the nearest point (nats)")
    note = (
        "<p>Where the points are those of the fit, the model has seen them, and the kernel density, by folds, has not: "
        "give others to compare the two.</p>"
    )
    return note + _picture(figure, "Histograms of distances and log-densities")


def _settings(settings: dict[str, Any]) -> str:
    versions = {name: version(name) for name in PACKAGES}
    device = jax.devices()[0].device_kind
    flat = dict(_flattened(settings))
    more = f"<details><summary>All {len(flat)} settings of the fit</summary>{_table(flat)}</details>" if flat else ""
    return _table(versions | {"device of this page": device}) + more


def _flattened(settings: dict[str, Any], before: str = ""):
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{before}{name}.")
        else:
            yield before + name, str(value)


def _table(rows: dict[str, str]) -> str:
    cells = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(cells)}</table>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{content}</section>"


def _picture(figure: Figure, label: str) -> str:
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=110)
    data = base64.b64encode(written.getvalue()).decode()
    told = html.escape(label)
    picture = f'<img alt="{told}" src="data:image/png;base64,{data}">'
    return f"<figure>{picture}<figcaption>{told}</figcaption></figure>"
