"""What the command does with points: learn a manifold and a density, or tell the dimension."""

import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import jax
import tyro

from ..diagnosis.diagnose import diagnose
from ..ebim import storage
from ..ebim.config import FitConfig
from ..ebim.dimension import DenoisingConfig, Dimension, denoised, other_estimates, sure
from ..ebim.fit import fit
from ..ebim.verbs import NearestPoints, nearest_points
from ..pieces import Pieces
from ..plot.spectrum import plot_spectrum
from ..points import check_training_points
from ..report.record import described
from ..scaling import standardization
from .next_steps import next_steps
from .pictures import picture_of, refuse_picture, save_picture
from .tables import Columns, PathArgument, read, refuse_unwritable, save_somewhere


def fit_command(
    points: PathArgument,
    out: Path,
    codimension: int | None = None,
    seed: int = 0,
    resume: bool = False,
    figure: bool = True,
    table: Annotated[Columns, tyro.conf.arg(name="")] = Columns(),
    config: Annotated[FitConfig, tyro.conf.arg(name="")] = FitConfig(),
) -> None:
    """Learn a manifold and a density on it from points.

    Example: implicit-manifolds fit points.csv --out model

    Args:
        points: file of text (any dialect), Parquet, Arrow or NumPy, one point a row.
        out: model directory to write; must not exist.
        codimension: number of constraints: the points' dimension less the manifold's; found unless given.
        seed: seed of all randomness.
        resume: keep checkpoints beside OUT, and go on from those of a run that was killed.
        figure: draw what was learned to a .png file beside OUT.
        table: which columns, and what they mean.
        config: settings of both steps.
    """
    storage.refuse_existing(out)
    refuse_unwritable(out)
    picture = out.with_name(out.name + ".png") if figure else None
    if picture is not None:
        refuse_picture(picture)
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
    found = diagnose(jax.random.key(seed), result.model, data)
    print(f"topology: {found.certificate}")
    for step in next_steps(result, found):
        print(f"next: {step}")
    if picture is not None:
        save_picture(picture_of(jax.random.key(seed), result.model, coordinates, values), picture)
    print(f"model written to {out} after {time.perf_counter() - started:.1f} s")


def dimension_command(
    points: PathArgument,
    out: Path | None = None,
    seed: int = 0,
    table: Annotated[Columns, tyro.conf.arg(name="")] = Columns(),
    config: Annotated[DenoisingConfig, tyro.conf.arg(name="")] = DenoisingConfig(),
) -> None:
    """Tell the codimension of points from the spectrum of a field that takes noise away from them.

    Example: implicit-manifolds dimension points.csv --out spectrum.png

    Args:
        points: file of text (any dialect), Parquet, Arrow or NumPy, one point a row.
        out: .png file to write a picture of the spectrum to; must not exist.
        seed: seed of all randomness.
        table: which columns, and what they mean.
        config: settings of that field.
    """
    if out is not None:
        refuse_picture(out)
    coordinates, values = read(points, table)
    data = check_training_points(coordinates.embed(values), None)
    found = denoised(jax.random.key(seed), standardization(data)[1], config, progress=True)[1]
    print("spectrum, from normal (1) to tangent (0): " + " ".join(f"{value:.2f}" for value in found.spectrum))
    if out is not None:
        save_picture(plot_spectrum(found), out)
    sure(found)
    print(f"{found}; the manifold has dimension {data.shape[1] - found.codimension}")
    _tell_noise(found, config)
    for name, value in other_estimates(data).items():
        print(f"{name}: dimension {value:.2f}")


def _tell_noise(found: Dimension, config: DenoisingConfig) -> None:
    if found.noise > config.least_noise:
        print(f"the points are noisy: there is no such gap below scales of {found.noise:g} standard deviations")


def _report_distances(near: NearestPoints) -> None:
    away = near.distance[near.converged]
    if away.size:
        print(f"distance of training points to the manifold: mean {away.mean():.3g}, largest {away.max():.3g}")
    if missed := near.converged.size - away.size:
        print(f"{missed} of {near.converged.size} searches for nearest points did not converge", file=sys.stderr)
