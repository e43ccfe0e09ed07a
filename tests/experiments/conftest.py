"""Where the data sets are, for experiments that read them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _offline_data():
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = os.environ.get("IMPLICIT_MANIFOLDS_DATA", str(beside))
    assert Path(folder).is_dir(), "set IMPLICIT_MANIFOLDS_DATA to the folder that holds the data sets"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPLICIT_MANIFOLDS_DATA", folder)
        yield
