"""What the command does with a model: sample, project, score, certify, plot and report."""

import json
import sys
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

from ..certificate.topology import certified
from ..diagnosis.diagnose import diagnose
from ..ebim import storage
from ..ebim.measures import log_density_by_coordinates
from ..ebim.verbs import Method, log_density, nearest_points, sample
from ..errors import InputError
from ..points import check_points
from ..reading import Missing
from ..report.page import report
from ..report.record import from_description
from .pictures import picture_of, refuse_picture, save_picture
from .tables import PathArgument, coordinates_with, read_as, refuse_unwritable, to_file, write


def sample_command(
    model: PathArgument,
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    out: Path,
    seed: int = 0,
    num_steps: int = 300,
    method: Method | None = None,
) -> None:
    """Draw points from a model: independent ones where its manifold has charts, else ends of chains.

    Example: implicit-manifolds sample model -n 1000 --out samples.csv

    Args:
        model: model directory.
        n: how many points.
        out: .csv, .npy or .parquet file to write; must not exist.
        seed: seed of the draw.
        num_steps: steps of each constrained Langevin chain before its point is taken.
        method: importance or chains, unless the model decides.
    """
    learned, coordinates = storage.load(model), coordinates_with(model)
    drawn = to_file(out, lambda: sample(jax.random.key(seed), learned, n, num_steps, method=method, progress=True))
    write(out, coordinates.restore(drawn.points), coordinates.names)
    stray = np.flatnonzero(~drawn.on_manifold)
    if stray.size:
        rows = ", ".join(str(row + 1) for row in stray[:10]) + (", ..." if stray.size > 10 else "")
        print(f"{stray.size} of {n} points are not on the manifold: rows {rows}", file=sys.stderr)
    if drawn.method == "importance":
        note = f"independent, drawn from points of known volume, effective size {drawn.effective_size:.0f}"
    else:
        note = f"ends of chains, {drawn.taken_fraction:.1%} of whose steps moved"
    print(f"{n} points written to {out}: {note}")


def project_command(model: PathArgument, points: PathArgument, out: Path, missing: Missing = "error") -> None:
    """Find the nearest point of the manifold, and the distance to it, for each point.

    Example: implicit-manifolds project model points.csv --out nearest.csv

    Args:
        model: model directory.
        points: file of text (any dialect), Parquet, Arrow or NumPy, with the columns that the model was fitted to.
        out: .csv, .npy or .parquet file to write; last are the distance and whether the search converged.
        missing: whether rows with missing cells are refused or left out.
    """
    learned, coordinates = storage.load(model), coordinates_with(model)
    table = read_as(points, coordinates, missing)
    data = coordinates.embed(table.values)
    found = to_file(out, lambda: nearest_points(learned, data))
    columns = np.column_stack([coordinates.restore(found.points), found.distance, found.converged])
    write(out, columns, [*coordinates.names, "distance", "converged"], table.rows)
    _report(found.converged, out)


def score_command(model: PathArgument, points: PathArgument, out: Path, missing: Missing = "error") -> None:
    """Give the log-density at each point's projection, and its distance from the manifold.

    Example: implicit-manifolds score model points.csv --out scores.csv

    Args:
        model: model directory.
        points: file of text (any dialect), Parquet, Arrow or NumPy, with the columns that the model was fitted to.
        out: .csv, .npy or .parquet file to write: log-density (nats, by volume of the manifold in data units), energy,
            distance, whether the search converged, and where columns are angles, places or rotations, and all of them
            are free on the manifold, log-density per radian, steradian or by the Haar measure.
        missing: whether rows with missing cells are refused or left out.
    """
    learned, coordinates = storage.load(model), coordinates_with(model)
    table = read_as(points, coordinates, missing)
    values = table.values
    data = coordinates.embed(values)
    found = to_file(out, lambda: log_density(learned, data))
    columns, names = list(found), list(found._fields)
    if not coordinates.plain and (own := log_density_by_coordinates(learned, coordinates, values)) is not None:
        columns.append(own)
        names.append(f"log_density_per_{coordinates.measure}")
    write(out, np.column_stack(columns), names, table.rows)
    _report(found.converged, out)
    if learned.log_normalizer is None:
        print("this manifold has no normaliser, so log_density is empty: energies compare points only")
    else:
        value, error = learned.log_normalizer
        print(f"log Z = {value:.4f} ± {error:.4f} (standard error)")
        good = found.log_density[found.converged]
        print(f"mean log-density {good.mean():.4f} at projections {found.distance[found.converged].mean():.3g} away")


def topology_command(model: PathArgument) -> None:
    """Print components, genus and stray parts of the learned curve or surface, and how near its gradient comes to zero.

    Example: implicit-manifolds topology model

    Args:
        model: model directory.
    """
    print(certified(storage.load(model).manifold)[1])


def diagnose_command(model: PathArgument, points: Path, seed: int = 0, missing: Missing = "error") -> None:
    """Look for what may be wrong with a model without its saying so, and print each number with its threshold.

    Example: implicit-manifolds diagnose model --points points.csv

    Args:
        model: model directory.
        points: file of points of the law that it should describe, those it was fitted to or better others.
        seed: seed of the draws that are looked at.
        missing: whether rows with missing cells are refused or left out.
    """
    learned, coordinates = storage.load(model), coordinates_with(model)
    data = coordinates.embed(read_as(points, coordinates, missing).values)
    print(diagnose(jax.random.key(seed), learned, data))


def plot_command(model: PathArgument, out: Path, points: Path | None = None, seed: int = 0) -> None:
    """Draw the manifold coloured by its density (curves, surfaces), or pairs of coordinates of samples.

    Example: implicit-manifolds plot model --out model.png --points points.csv

    Args:
        model: model directory.
        out: .png file to write; must not exist.
        points: file of points to draw beside it.
        seed: seed of the samples, where samples are drawn.
    """
    refuse_picture(out)
    learned, coordinates = storage.load(model), coordinates_with(model)
    values = None if points is None else check_points(read_as(points, coordinates).values)
    save_picture(picture_of(jax.random.key(seed), learned, coordinates, values), out)


def report_command(model: PathArgument, out: Path, points: Path | None = None, seed: int = 0) -> None:
    """Write one page about a model: figures, certificate, scores, training and settings, all in one file.

    Example: implicit-manifolds report model --out report.html --points points.csv

    Args:
        model: model directory.
        out: .html file to write; must not exist.
        points: file of points to score, those it was fitted to or better others.
        seed: seed of the samples and of the folds of the kernel density.
    """
    if out.suffix != ".html":
        raise InputError(f"{out} must end in .html")
    storage.refuse_existing(out)
    refuse_unwritable(out)
    learned, coordinates = storage.load(model), coordinates_with(model)
    values = None if points is None else check_points(read_as(points, coordinates).values)
    noted = model / "fit.json"
    record = from_description(json.loads(noted.read_text())) if noted.is_file() else None
    settings = json.loads((model / "model.json").read_text())["config"]
    page = report(jax.random.key(seed), learned, coordinates, values, record, settings, model.resolve().name)
    out.write_text(page, encoding="utf-8")
    print(f"report written to {out}")


def _report(converged: np.ndarray, out: Path) -> None:
    if not converged.all():
        print(f"{(~converged).sum()} of {converged.size} searches did not converge; see that column", file=sys.stderr)
    print(f"{converged.size} rows written to {out}")
