"""Models on disk: a directory that describes itself, with parameters by orbax and no pickle."""

import json
import shutil
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ..errors import InputError
from ..networks.energy import FourierEnergy
from ..networks.mixtures import EnergyMixture, PiecewiseMixture
from ..networks.mlp import MLP, EnergyMLP
from ..scaling import Scaling
from ..training.checkpoint import load_tree, save_tree
from ..volume.atlas import Atlas
from ..volume.importance import LogNormalizer
from .fit import FitConfig
from .kernels import KernelEnergy
from .model import EBIM

FORMAT = 3


def refuse_existing(path: Path) -> None:
    """Raise InputError where `path` exists: nothing a user has is overwritten."""
    if path.exists():
        raise InputError(f"{path} exists; name a new path or remove it")


def save(path: Path, model: EBIM, config: FitConfig = FitConfig(), seed: int | None = None) -> None:
    """Write `model`, made by `fit` with `config`, to the new directory `path`: whole or not at all.

    Raises InputError where `path` exists.
    """
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT,
        "version": version("implicit-manifolds"),
        "dimension": len(model.low),
        "codimension": model.mdf(model.low).shape[0],
        "anchors": len(model.anchors),
        "charts": None if model.atlas is None else len(model.atlas.bases),
        "energy": _energy_description(model.energy),
        "normalized": model.log_normalizer is not None,
        "seed": seed,
        "config": asdict(config),
    }
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        (scratch / "model.json").write_text(json.dumps(description, indent=1) + "\n")
        save_tree(scratch / "parameters", model)
        scratch.chmod(0o755)
        scratch.rename(path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def load(path: Path) -> EBIM:
    """Read a model that `save` wrote. Raises InputError where it is missing, newer, or damaged."""
    if not (path / "model.json").is_file():
        raise InputError(f"{path} is not a model directory; make one with `implicit-manifolds fit`")
    try:
        description = json.loads((path / "model.json").read_text())
        if description["format"] != FORMAT:
            raise InputError(f"{path} has format {description['format']}, this version reads {FORMAT}; fit it again")
        return load_tree(path / "parameters", _template(description))
    except InputError:
        raise
    except Exception as error:  # orbax and json raise many kinds; all mean the same to the user
        raise InputError(f"{path} is damaged ({type(error).__name__}); fit the model again") from error


def _template(description: dict) -> EBIM:
    """A model of the described shapes, whose values `load_tree` replaces."""
    dimension, config = description["dimension"], description["config"]
    chains = config["energy"]
    side = jnp.zeros(dimension)
    return EBIM(
        MLP([dimension, *config["manifold"]["hidden"], description["codimension"]], rngs=nnx.Rngs(0)),
        _energy_template(description),
        Scaling(np.zeros(dimension), np.float64(1)),
        side,
        side,
        jnp.zeros((description["anchors"], dimension)),
        chains["noise_scale"],
        chains["step_size"],
        _atlas_template(description),
        LogNormalizer(0.0, 0.0) if description["normalized"] else None,
    )


def _energy_description(energy) -> dict:
    """What `_energy_template` needs to build an energy of the same shapes."""
    if isinstance(energy, EnergyMixture):
        kernel = None if energy.kernel is None else energy.kernel.bandwidths.shape
        return {"kind": "mixture", "kernel": kernel}
    if isinstance(energy, PiecewiseMixture):
        return {"kind": "piecewise", "parts": energy.log_weights.shape[0], "bases": len(energy.bases)}
    return {"kind": "fourier" if isinstance(energy, FourierEnergy) else "perceptron"}


def _energy_template(description: dict):
    dimension, config, energy = description["dimension"], description["config"], description["energy"]
    if energy["kind"] == "perceptron":
        return EnergyMLP([dimension, *config["energy"]["hidden"]], rngs=nnx.Rngs(0))
    fitted = config["likelihood" if energy["kind"] == "mixture" else "score_matching"]
    one = FourierEnergy(dimension, fitted["hidden"], fitted["features"], fitted["bandwidths"], rngs=nnx.Rngs(0))
    if energy["kind"] == "fourier":
        return one
    count = fitted["members"]
    members = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape)), one)
    if energy["kind"] == "piecewise":
        bases, parts = jnp.zeros((energy["bases"], dimension)), jnp.zeros(energy["bases"], int)
        return PiecewiseMixture(members, bases, parts, jnp.zeros((energy["parts"], count)))
    if energy["kernel"] is None:
        return EnergyMixture(members, None, jnp.zeros(count))
    rows, centres = energy["kernel"]
    inner = dimension - description["codimension"]
    kernel = KernelEnergy(jnp.zeros((centres, dimension)), jnp.zeros((rows, centres)), jnp.zeros(rows), inner)
    return EnergyMixture(members, kernel, jnp.zeros(count + 1))


def _atlas_template(description: dict) -> Atlas | None:
    charts, dimension = description["charts"], description["dimension"]
    if charts is None:
        return None
    normals = np.zeros((charts, description["codimension"], dimension), np.float32)
    return Atlas(np.zeros((charts, dimension), np.float32), normals, np.zeros(charts), np.zeros(charts), 0.0, 0.0)
