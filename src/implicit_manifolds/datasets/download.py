"""Public data files: found in the user's folder or downloaded once, and used only where the sha256 agrees."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataUnavailable, InputError

VARIABLE = "IMPLICIT_MANIFOLDS_DATA"
"""The environment variable that names a folder of data files, laid out as REGISTRY's names."""
TIMEOUT = 10
"""Seconds without an answer after which a download is given up; it is not tried again."""


@dataclass(frozen=True)
class DataFile:
    """sha256 in hexadecimal, and the public address, None for a file converted here from another."""

    sha256: str
    url: str | None = None


_EARTH = "https://raw.githubusercontent.com/oxcsml/riemannian-score-sde/b35b7394/data"
_PYRO = "https://raw.githubusercontent.com/pyro-ppl/datasets/a32915c2"
_FFF = "https://raw.githubusercontent.com/vislearn/FFF/02db8ec7/fff/data/raw_data"
_MESH = "https://raw.githubusercontent.com/haolsun/Riemannian_MeanFlow/45d96bc/rmf/data/mesh"
REGISTRY = {
    "cifar10_jpeg/cifar10_jpeg_subset.npz": DataFile(
        "4e66c571bcc1748fdbb783e2b53096b4e3a45be437ecc73dfe2099860cf8bfc8"
    ),
    "earth/fire.csv": DataFile(
        "c5c6c9490b1d8c58ba9eb78d9e2f82d1c1e62694ca5cff917c54600d3d83f459", f"{_EARTH}/fire.csv"
    ),
    "earth/flood.csv": DataFile(
        "ffb1e3182c3053afcdeceec4727c262a29da10255d20747c08144da5b0963486", f"{_EARTH}/flood.csv"
    ),
    "earth/quakes_all.csv": DataFile(
        "3e5e1a10fb2faf1899106264289334037d039f00f5265d13dad388a93d8ff2f7", f"{_EARTH}/quakes_all.csv"
    ),
    "earth/volerup.csv": DataFile(
        "f7bbaf32a412f5fe82350f48e0c55100be260803969c16557343f687fd0593fc", f"{_EARTH}/volerup.csv"
    ),
    "dihedral/9mers_data.pkl": DataFile(
        "82d076bc06f67052f359b9b4e3f6b45df2a8834393e755de9f33c4a282691c66", f"{_PYRO}/9mers_data.pkl"
    ),
    "dihedral/nine_mers.npz": DataFile("b810e4cc963efc1d9b499428cf78a589ea528fc5030cc6522ab976170ba37150"),
    "dihedral/rna.tsv": DataFile(
        "189183ca25bd45c8a7578d3c1cd8a555b5139bb1ab0ac1a0bd25672be19badf7", f"{_FFF}/torus/rna.tsv"
    ),
    "dihedral/top500.csv": DataFile("a6d398bf2bb8bd225424e5809cb20047822a6739257d538c31b8173c60c324d5"),
    "mesh/bunny_simp.obj": DataFile(
        "4de73019859d1f959de20977f8a06242c8ede461138c9ea004c7a8ceb59ae26e", f"{_MESH}/bunny_simp.obj"
    ),
    "mesh/spot_simp.obj": DataFile(
        "0738b5e8608fed74e5e8c7aa8dd0af97b4b74f9f6cbf7aac84cd7e40b2e44a75", f"{_MESH}/spot_simp.obj"
    ),
    "miniboone/miniboone_signal_subset.npz": DataFile(
        "590cd5e3538939a464089a19fce76ce26a2e177a95ca838da1ae57ae2fa68d70"
    ),
}
"""Name to DataFile; a name is the path inside the folder of IMPLICIT_MANIFOLDS_DATA, and inside the cache."""


def fetch(name: str) -> Path:
    """Path of the file called `name` in REGISTRY: the user's copy, a cached one, or a new download.

    Downloads go to the folder IMPLICIT_MANIFOLDS_DATA where it names a writable one, else to pooch's cache.
    Raises DataUnavailable where the file cannot be had or its sha256 differs, InputError for other names.
    """
    return find_local(name) or _download(name)


def find_local(name: str) -> Path | None:
    """Path of the file called `name` in the folder IMPLICIT_MANIFOLDS_DATA, or None where it is not there.

    Raises DataUnavailable where its sha256 differs, InputError for a name that REGISTRY lacks.
    """
    entry, folder = _entry(name), user_folder()
    if folder is None or not (folder / name).is_file():
        return None
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != entry.sha256:
        raise DataUnavailable(f"{folder / name} is not the published file, its sha256 differs; remove it")
    return folder / name


def _entry(name: str) -> DataFile:
    if name not in REGISTRY:
        raise InputError(f"there is no data file {name}; give one of {', '.join(REGISTRY)}")
    return REGISTRY[name]


def user_folder() -> Path | None:
    """The folder that IMPLICIT_MANIFOLDS_DATA names."""
    value = os.environ.get(VARIABLE)
    return Path(value).expanduser() if value else None


def _download(name: str) -> Path:
    import pooch  # Slow to import, and most runs download nothing.

    entry, folder = _entry(name), user_folder()
    remedy = f"set {VARIABLE} to a folder that holds it"
    if entry.url is None:
        raise DataUnavailable(f"{name} has no public address; {remedy}")
    if folder is None or not (folder.is_dir() and os.access(folder, os.W_OK)):
        folder = Path(pooch.os_cache("implicit-manifolds"))
    pooch.get_logger().setLevel("WARNING")
    web = pooch.HTTPDownloader(timeout=TIMEOUT)
    try:
        return Path(pooch.retrieve(entry.url, f"sha256:{entry.sha256}", name, folder, downloader=web))
    except OSError as error:  # requests' exceptions are OSErrors, and some of them ValueErrors too.
        why = type(error).__name__
        message = f"{name} could not be downloaded ({why}); connect to the network, or {remedy}"
        raise DataUnavailable(message) from error
    except ValueError as error:
        message = f"{entry.url} is not the published {name}, its sha256 differs; {remedy}"
        raise DataUnavailable(message) from error
