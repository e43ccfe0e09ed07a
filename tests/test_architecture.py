"""Who may import whom, how long a file may be, and what a public name says of itself."""

import ast
import importlib.util
import inspect
from pathlib import Path

import implicit_manifolds
from implicit_manifolds import baselines, manifold, mcmc

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
architecture = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(architecture)

EXPERIMENTS = {"common": 0, "laws": 1, "images": 1, "paper": 2}
EXPERIMENTS |= {"comparison": 3, "studies": 3, "any_manifold": 3, "real_data": 3, "ridge_laws": 4, "pages": 4}
EXPERIMENTS |= {"inputs": 1, "reliability": 2, "ramachandran": 4}
"""Floors of the rooms of experiments/."""


def test_a_room_imports_from_lower_floors_alone():
    for room, sources in architecture.arrows().items():
        for source in sources:
            assert architecture.ROOMS[source][0] < architecture.ROOMS[room][0], f"{room} imports {source}"


def test_no_modules_import_each_other_in_a_circle():
    assert architecture.circle(architecture.modules()) == []
    assert architecture.circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def test_the_page_shows_the_rooms_as_they_are():
    """Whoever moves a wall runs `python docs/architecture.py`."""
    told = (ROOT / "docs" / "architecture.md").read_text()
    for room, (floor, what) in architecture.ROOMS.items():
        assert f"| {floor} | `{room}` | {what} |" in told, room


def test_experiments_import_from_lower_floors_alone():
    for path in (ROOT / "experiments").rglob("*.py"):
        room = path.relative_to(ROOT / "experiments").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("experiments."):
                source = node.module.split(".")[1]
                assert source == room or EXPERIMENTS[source] < EXPERIMENTS[room], f"{path} imports {node.module}"


def test_files_have_one_subject_and_drivers_are_short():
    limits = {"src": 300, "experiments": 300, "experiments/paper": 120}
    for folder, limit in limits.items():
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= limit, path


def exported():
    for module in (implicit_manifolds, manifold, mcmc, baselines):
        for name, value in vars(module).items():
            if not name.startswith("_") and callable(value) and value.__module__.startswith("implicit_manifolds"):
                yield f"{module.__name__}.{name}", value


def test_every_exported_name_has_a_docstring():
    names = dict(exported())
    assert len(names) > 60
    for name, value in names.items():
        assert inspect.getdoc(value), name
