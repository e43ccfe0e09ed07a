"""What the command does: fit, sample, project, score, certify and plot one's own points."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from matplotlib.figure import Figure

from ..certificate.parts import describe
from ..certificate.topology import Topology, topology
from ..ebim import storage
from ..ebim.config import FitConfig
from ..ebim.dimension import DenoisingConfig, Dimension, denoised, other_estimates, sure
from ..ebim.fit import fit
from ..ebim.measures import log_density_by_coordinates
from ..ebim.model import EBIM
from ..ebim.verbs import Method, NearestPoints, log_density, nearest_points, sample
from ..errors import InputError
from ..pieces import Pieces
from ..plot.model import NUM_SAMPLES, plot_model
from ..plot.pairs import plot_pairs
from ..plot.spectrum import plot_spectrum
from ..points import check_points, check_training_points
from ..reading import Missing
from ..report.page import report
from ..report.record import described, from_description
from ..scaling import standardization
from .next_steps import next_steps
from .tables import Columns, coordinates_with, read, read_as, refuse_unwritable, save_somewhere, to_file, write

PathArgument = Annotated[Path, tyro.conf.Positional]


def fit_command(
    points: PathArgument,
    out: Path,
    codimension: int | None = None,
    seed: int = 0,
    resume: bool = False,
    table: Annotated[Columns, tyro.conf.arg(name="")] = Columns(),
    config: Annotated[FitConfig, tyro.conf.arg(name="")] = FitConfig(),
) -> None:
    """Learn a manifold and a density on it from points.

    Args:
        points: file of text (any dialect), Parquet, Arrow or NumPy, one point a row.
        out: model directory to write; must not exist.
        codimension: number of constraints: the points' dimension less the manifold's; found unless given.
        seed: seed of all randomness.
        resume: keep checkpoints beside OUT, and go on from those of a run that was killed.
        table: which columns, and what they mean.
        config: settings of both steps.
    """
    storage.refuse_existing(out)
    refuse_unwritable(out)
    coordinates, values = read(points, table)
    data = values if coordinates.plain else coordinates.embed(values)
    checkpoints = out.with_name(out.name + ".checkpoints") if resume else None
    started = time.perf_counter()
    result = fit(jax.random.key(seed), data, codimension, config, progress=True, checkpoint_dir=checkpoints)
    if result.dimension is not None:
        print(result.dimension)
        _tell_noise(result.dimension, config.ridge.denoising)
    if result.reason:
        print(result.reason)
    if isinstance(result.model.scaling, Pieces):
        print(f"{len(result.model.scaling.scale)} parts far from each other are learned, each in a scale of its own")
    if result.model.scaling.stretches is not None:
        print("columns spread unevenly, so each is learned in a scale of its own")
    record = described(result, len(data))
    save_somewhere(out, lambda path: storage.save(path, result.model, config, seed, coordinates, record))
    if checkpoints is not None:
        shutil.rmtree(checkpoints)
    some = data[:: -(-len(data) // 1000)]
    near = nearest_points(result.model, some)
    last = {"manifold": result.manifold_history, "energy": result.energy_history}
    for step, history in last.items():
        terms = ", ".join(f"{name} {values[-1]:.3g}" for name, values in history.terms.items())
        print(f"{step}: {history.steps[-1]} updates; {terms}")
    _report_distances(near)
    found, told = _certificate(result.model)
    print(f"topology: {told}")
    for step in next_steps(result, some, near, found):
        print(f"next: {step}")
    print(f"model written to {out} after {time.perf_counter() - started:.1f} s")


def dimension_command(
    points: PathArgument,
    out: Path | None = None,
    seed: int = 0,
    table: Annotated[Columns, tyro.conf.arg(name="")] = Columns(),
    config: Annotated[DenoisingConfig, tyro.conf.arg(name="")] = DenoisingConfig(),
) -> None:
    """Tell the codimension of points from the spectrum of a field that takes noise away from them.

    Args:
        points: file of text (any dialect), Parquet, Arrow or NumPy, one point a row.
        out: .png file to write a picture of the spectrum to; must not exist.
        seed: seed of all randomness.
        table: which columns, and what they mean.
        config: settings of that field.
    """
    if out is not None:
        _refuse_picture(out)
    coordinates, values = read(points, table)
    data = check_training_points(coordinates.embed(values), None)
    found = denoised(jax.random.key(seed), standardization(data)[1], config, progress=True)[1]
    print("spectrum, from normal (1) to tangent (0): " + " ".join(f"{value:.2f}" for value in found.spectrum))
    if out is not None:
        _save_picture(plot_spectrum(found), out)
    sure(found)
    print(f"{found}; the manifold has dimension {data.shape[1] - found.codimension}")
    _tell_noise(found, config)
    for name, value in other_estimates(data).items():
        print(f"{name}: dimension {value:.2f}")


def _tell_noise(found: Dimension, config: DenoisingConfig) -> None:
    if found.noise > config.least_noise:
        print(f"the points are noisy: there is no such gap below scales of {found.noise:g} standard deviations")


def sample_command(
    model: PathArgument,
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    out: Path,
    seed: int = 0,
    num_steps: int = 300,
    method: Method | None = None,
) -> None:
    """Draw points from a model: independent ones where its manifold has charts, else ends of chains.

    Args:
        model: model directory.
        n: how many points.
        out: .csv or .npy file to write; must not exist.
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

    Args:
        model: model directory.
    """
    print(_certificate(storage.load(model))[1])


def _certificate(model: EBIM) -> tuple[Topology | None, str]:
    try:
        found = topology(model.manifold)
    except (ValueError, ImportError) as error:
        return None, f"no certificate: {error}"
    return found, describe(found)


def plot_command(model: PathArgument, out: Path, points: Path | None = None, seed: int = 0) -> None:
    """Draw the manifold coloured by its density (curves, surfaces), or pairs of coordinates of samples.

    Args:
        model: model directory.
        out: .png file to write; must not exist.
        points: file of points to draw beside it.
        seed: seed of the samples, where samples are drawn.
    """
    _refuse_picture(out)
    learned, coordinates = storage.load(model), coordinates_with(model)
    values = None if points is None else check_points(read_as(points, coordinates).values)
    key = jax.random.key(seed)
    if coordinates.plain:
        return _save_picture(plot_model(key, learned, values), out)
    drawn = coordinates.restore(sample(key, learned, NUM_SAMPLES).points)
    return _save_picture(plot_pairs(drawn, values, names=coordinates.names), out)


def report_command(model: PathArgument, out: Path, points: Path | None = None, seed: int = 0) -> None:
    """Write one page about a model: figures, certificate, scores, training and settings, all in one file.

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


def _refuse_picture(out: Path) -> None:
    if out.suffix != ".png":
        raise InputError(f"{out} must end in .png")
    storage.refuse_existing(out)


def _save_picture(figure: Figure, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150)
    print(f"figure written to {out}")


def _report_distances(near: NearestPoints) -> None:
    away = near.distance[near.converged]
    if away.size:
        print(f"distance of training points to the manifold: mean {away.mean():.3g}, largest {away.max():.3g}")
    if missed := near.converged.size - away.size:
        print(f"{missed} of {near.converged.size} searches for nearest points did not converge", file=sys.stderr)


def _report(converged: np.ndarray, out: Path) -> None:
    if not converged.all():
        print(f"{(~converged).sum()} of {converged.size} searches did not converge; see that column", file=sys.stderr)
    print(f"{converged.size} rows written to {out}")
