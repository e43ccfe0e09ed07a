"""What the documents promise runs: the Python of the README and of the API page, as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def python_blocks(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL)


def run_blocks(document: str) -> dict:
    names: dict = {}
    for block in python_blocks(document):
        exec(compile(block, document, "exec"), names)
    return names


@pytest.mark.slow
def test_the_example_of_the_readme_runs_in_fifteen_lines_and_finds_the_nearest_point():
    assert len([line for line in python_blocks("README.md")[0].splitlines() if line]) <= 15
    assert abs(run_blocks("README.md")["nearest"].distance[0] - 1) < 0.02


def test_the_example_of_the_api_page_runs():
    assert run_blocks("docs/api.md")["chains"].num_steps == 200


@pytest.mark.slow
def test_the_examples_of_the_sampling_page_run():
    assert run_blocks("docs/sampling.md")["draws"].shape == (5000, 2)


@pytest.mark.slow
def test_the_pipelines_of_the_functional_page_run():
    names = run_blocks("docs/functional.md")
    angle = np.linspace(-np.pi, np.pi, 10_000)
    weight = np.exp(np.cos(angle) - ((3 + np.cos(angle) - names["MEASURED"]) / names["NOISE"]) ** 2 / 2)
    exact = np.average(np.abs(np.sin(angle)), weights=weight)
    assert np.abs(names["draws"][:, 1]).mean() == pytest.approx(exact, abs=0.03)


def test_no_registry_and_no_local_path_stands_in_a_tracked_file():
    hosts = re.compile(r"pyp" + r"i\.org|registry\.npmjs|python" + "hosted")
    folders = ("src", "experiments", "tests", "benchmarks", "docs", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files = [path for path in files if (ROOT / "tests" / "data") not in path.parents]
    for path in [*files, ROOT / "requirements.txt", ROOT / "README.md", ROOT / "Makefile"]:
        if path.suffix in (".py", ".md", ".txt", ".json", ""):
            text = path.read_text()
            assert not hosts.search(text), path
            assert str(Path.home()) + "/" not in text, path
