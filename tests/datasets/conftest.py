import os
from dataclasses import replace
from pathlib import Path

import pytest

from implicit_manifolds.datasets import download
from implicit_manifolds.datasets.download import VARIABLE


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    for name, entry in download.REGISTRY.items():
        if entry.url is not None:
            monkeypatch.setitem(download.REGISTRY, name, replace(entry, url="http://127.0.0.1:9/" + name))


@pytest.fixture
def real_data(no_network, monkeypatch):
    """The folder of real data, and no network behind it."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    for folder in filter(None, [os.environ.get(VARIABLE), str(beside)]):
        if (Path(folder) / "earth").is_dir():
            monkeypatch.setenv(VARIABLE, folder)
            return
    pytest.fail(f"the real data are missing: set {VARIABLE} to their folder, or put it at {beside}")
