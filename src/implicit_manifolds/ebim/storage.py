"""Models on disk: a directory that describes itself, with parameters by orbax and no pickle."""

import json
import shutil
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..box import Box
from ..coordinates import Coordinates, from_description, plain, unnamed
from ..errors import InputError
from ..pieces import Pieces
from ..scaling import Scaling
from ..training.checkpoint import load_arrays, save_tree, unflatten
from ..training.checksums import check_sums, write_sums
from ..volumes.manifold import Atlas, Manifold
from ..volumes.pools import Estimate
from .config import FitConfig
from .describe import described, template_of
from .legacy import from_format_3
from .model import EBIM, ChainScales

FORMAT = 4


def refuse_existing(path: Path | str) -> None:
    """Raise InputError where `path` exists: nothing a user has is overwritten."""
    if Path(path).exists():
        raise InputError(f"{path} exists; name a new path or remove it")


def save(
    path: Path | str,
    model: EBIM,
    config: FitConfig | None = None,
    seed: int | None = None,
    coordinates: Coordinates | None = None,
    record: dict[str, Any] | None = None,
) -> None:
    """Write a model to the new directory `path`: whole or not at all.

    The directory describes its own shapes. config, seed: how the model was fitted, noted for the reader. A function or
    a Flax module that somebody wrote is saved by its numbers and its name, and has to be given to `load` again. Raises
    InputError where `path` exists, and for parts that have no description, such as sums of energies.

    Arguments:
        path: a directory that does not exist yet.
        model: a fitted model.
        config: settings it was fitted with, for the reader.
        seed: seed it was fitted with, for the reader.
        coordinates: what the columns of its table meant; points of R^n unless given.
        record: what else to keep of its fit, for JSON (`report.record.described`).

    Returns:
        None.

    >>> im.save(folder / "ring", fitted)
    >>> im.save(folder / "ring", fitted)
    Traceback (most recent call last):
    implicit_manifolds.errors.InputError: ...
    """
    path = Path(path)
    refuse_existing(path)
    manifold = model.manifold
    description = {
        "format": FORMAT,
        "version": version("implicit-manifolds"),
        "dimension": manifold.ambient_dimension,
        "codimension": manifold.codimension,
        "anchors": 0 if manifold.anchors is None else len(manifold.anchors),
        "charts": None if manifold.atlas is None else len(manifold.atlas.bases),
        "mdf": described(manifold.mdf),
        "energy": described(model.energy),
        "drift_scale": model.chains.drift_scale is not None,
        "parts": len(model.scaling.scale) if isinstance(model.scaling, Pieces) else 1,
        "by_column": isinstance(model.scaling, Scaling) and np.ndim(model.scaling.scale) == 1,
        "normalized": model.log_normalizer is not None,
        "coordinates": None if coordinates is None else coordinates.described(),
        "seed": seed,
        "config": None if config is None else asdict(config),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        (scratch / "model.json").write_text(json.dumps(description, indent=1, default=_named) + "\n")
        if record is not None:
            (scratch / "fit.json").write_text(json.dumps(record) + "\n")
        save_tree(scratch / "parameters", model)
        write_sums(scratch)
        scratch.chmod(0o755)
        scratch.rename(path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _named(setting: Any) -> str:
    """Networks and optimisers of one's own among settings, for the reader."""
    return getattr(setting, "__qualname__", type(setting).__name__)


def load(path: Path | str, mdf: Any = None, energy: Any = None) -> EBIM:
    """Read a model that `save` wrote. Raises InputError where it is missing, newer, or damaged.

    Its numbers have JAX's present precision, whatever they were saved in.

    Arguments:
        path: a directory that `save` wrote.
        mdf: F, where it is one's own: the function given to `fit_density`, or a Flax module of the same sizes, whose
            numbers do not matter; None for the library's.
        energy: likewise one network of the energy.

    Returns:
        The `EBIM`.

    >>> im.save(folder / "other", fitted)
    >>> im.load(folder / "other").manifold.dimension
    1
    """
    path = Path(path)
    if not (path / "model.json").is_file():
        raise InputError(f"{path} is not a model directory; make one with `implicit-manifolds fit`")
    try:
        check_sums(path)
        description = json.loads((path / "model.json").read_text())
        arrays = load_arrays(path / "parameters")
        if description["format"] == 3:
            description, arrays = from_format_3(description, arrays)
        if description["format"] != FORMAT:
            raise InputError(f"{path} has format {description['format']}, this version reads {FORMAT}; fit it again")
        return unflatten(_template(description, mdf, energy), arrays)
    except InputError:
        raise
    except Exception as error:  # orbax and json raise many kinds; all mean the same to the user
        told = error if type(error) is ValueError else type(error).__name__
        raise InputError(f"{path} is damaged ({str(told).splitlines()[0]}); fit the model again") from error


def load_coordinates(path: Path | str) -> Coordinates:
    """What the columns meant that a saved model was fitted to; raises InputError as `load` does."""
    try:
        description = json.loads((Path(path) / "model.json").read_text())
        found = description.get("coordinates")
        return plain(unnamed(description["dimension"])) if found is None else from_description(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}); fit the model again") from error


def _template(description: dict, mdf: Any, energy: Any) -> EBIM:
    """A model of the described shapes, whose values `unflatten` replaces."""
    dimension = description["dimension"]
    side, anchors = jnp.zeros(dimension), jnp.zeros((description["anchors"], dimension))
    manifold = Manifold(template_of(description["mdf"], mdf), Box(side, side), anchors if len(anchors) else None)
    return EBIM(
        manifold.charted(_atlas_template(description)),
        template_of(description["energy"], energy),
        _scaling_template(description),
        ChainScales(0.0, 0.0 if description["drift_scale"] else None),
        Estimate(0.0, 0.0) if description["normalized"] else None,
    )


def _scaling_template(description: dict) -> Scaling | Pieces:
    dimension, parts = description["dimension"], description.get("parts", 1)
    one = Scaling(np.zeros(dimension), np.ones(dimension) if description.get("by_column") else np.float64(1))
    many = np.zeros((parts, dimension))
    return one if parts == 1 else Pieces(one, many, np.zeros(parts), many, many, many)


def _atlas_template(description: dict) -> Atlas | None:
    charts, dimension = description["charts"], description["dimension"]
    if charts is None:
        return None
    own = jnp.result_type(float)
    bases, normals = np.zeros((charts, dimension), own), np.zeros((charts, description["codimension"], dimension), own)
    return Atlas(bases, normals, np.zeros(charts), np.zeros(charts), 0.0, 0.0)
