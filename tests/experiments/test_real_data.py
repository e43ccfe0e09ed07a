"""Real data: splits that do not leak, kernels that are laws, a sphere's eigenfunctions, and failures that are told."""

import json

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from experiments.common.markdown import replace_between_marks
from experiments.laws.shapes import sphere
from experiments.real_data import __main__ as driver
from experiments.real_data import kernels, mesh, sets, tables
from experiments.real_data.splits import HELD_OUT, split_rows, tiles, twins
from implicit_manifolds import InputError
from implicit_manifolds.datasets.download import fetch
from implicit_manifolds.datasets.earth import unit_vectors


@pytest.mark.parametrize("how", ["random", "distinct", "tiles"])
def test_a_split_has_no_row_on_both_sides_and_leaves_out_what_it_says(how):
    data = sets.load("eruptions")
    train, test = split_rows(data.rows, data.groups, how, 0)
    again = split_rows(data.rows, data.groups, how, 0)
    np.testing.assert_array_equal(test, again[1])
    assert not set(train) & set(test)
    kept = len(train) + len(test)
    assert kept == (len(np.unique(data.rows, axis=0)) if how == "distinct" else len(data.rows))
    assert 0.9 * HELD_OUT <= len(test) / kept <= HELD_OUT + 1 / kept
    shared = twins(data.rows[train], data.rows[test])
    assert shared > 0.5 if how == "random" else shared == 0
    if how == "tiles":
        assert not set(data.groups[train]) & set(data.groups[test])


def test_tiles_are_ten_degrees_wide_and_cross_no_equator_or_meridian():
    degrees = np.array([[1.0, 1.0], [9.0, 9.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 11.0], [89.0, 1.0]])
    found = tiles(unit_vectors(degrees))
    assert found[0] == found[1]
    assert len(set(found)) == 5


def test_whole_entries_of_rna_are_held_out():
    data = sets.load("rna")
    train, test = split_rows(data.rows, data.groups, "entries", 1)
    assert not set(data.groups[train]) & set(data.groups[test])
    assert len(train) + len(test) == len(data.rows) == 9478
    assert len(test) > 0.15 * len(data.rows)
    np.testing.assert_allclose(data.distance(data.points(data.rows)), 0, atol=1e-12)


def test_adaptive_kernels_integrate_to_one_and_come_near_to_the_entropy_of_a_uniform_law():
    points = sphere().draw(np.random.default_rng(0), 4000)
    centres, widths = points[:50], np.geomspace(0.05, 1.0, 50)
    grid = sphere().draw(np.random.default_rng(1), 200_000)
    mean = np.exp(kernels.log_kernels(kernels.sphere(), centres, widths, grid)).mean() * 4 * np.pi
    assert mean == pytest.approx(1, abs=0.02)
    fold = points[:1500], points[1500:2000]
    found = kernels.judged(kernels.sphere(), points[:2000], fold, points[2000:])
    # Against log 4π; 2,000 test points of a density within a few percent of uniform have hardly any sampling error.
    assert found["nll"] == pytest.approx(np.log(4 * np.pi), abs=0.03)
    angles = np.random.default_rng(2).uniform(-np.pi, np.pi, (100_000, 2))
    torus = kernels.log_kernels(
        kernels.flat_torus(2), sets.on_circles(angles[:5]), widths[:5] * 6, sets.on_circles(angles)
    )
    assert np.exp(torus).mean() * (2 * np.pi) ** 2 == pytest.approx(1, abs=0.03)


def test_twins_make_narrow_kernels_as_likely_as_one_likes():
    points = sphere().draw(np.random.default_rng(0), 600)
    test = np.concatenate([points[:60], sphere().draw(np.random.default_rng(1), 60)])
    assert twins(points, test) == 0.5
    found = kernels.judged(kernels.sphere(), points, (points[:500], points[500:]), test)["nll_narrow"]
    # A tenth of the width is worth log 100 for each test point that has a twin.
    np.testing.assert_allclose(-np.diff(found[1:]), 0.5 * np.log(100), atol=0.01)


def icosphere(times):
    """Twenty triangles halved so many times in each direction, on the unit sphere."""
    golden = (1 + 5**0.5) / 2
    corners = [(s * a, t * b, 0) for a, b in ((1, golden),) for s in (-1, 1) for t in (-1, 1)]
    corners = np.array([np.roll(corner, shift) for corner in corners for shift in range(3)])
    for _ in range(times + 1):
        corners = corners / np.linalg.norm(corners, axis=1, keepdims=True)
        faces = ConvexHull(corners).simplices
        middles = corners[faces[:, [0, 1, 2]]] + corners[faces[:, [1, 2, 0]]]
        grown = np.concatenate([corners, middles.reshape(-1, 3) / 2])
        final, corners = corners, np.unique(grown.round(12), axis=0)
    return mesh.Mesh(final, faces)


def test_the_eigenvalues_of_a_spheres_mesh_are_those_of_spherical_harmonics():
    ball = icosphere(3)
    values, functions = mesh.eigenfunctions(ball, 16)
    expected = np.concatenate([np.full(2 * degree + 1, degree * (degree + 1)) for degree in range(4)])
    np.testing.assert_allclose(values, expected, atol=0.01, rtol=0.02)
    assert np.ptp(functions[:, 0]) < 1e-6
    # The first three are linear functions of the corners.
    assert np.linalg.lstsq(ball.corners, functions[:, 1:4], rcond=None)[1].max() < 1e-3


def test_points_of_a_mesh_have_the_law_and_distances_that_they_should():
    ball, random = icosphere(3), np.random.default_rng(0)
    heights = np.maximum(ball.corners[:, 2], 0)
    points, log_density = mesh.draw(ball, heights, random, 20_000)
    assert len(points) == 20_000
    # Of the density z/π on the upper half: mean height 2/3, and entropy log π + 1/2.
    assert points[:, 2].mean() == pytest.approx(2 / 3, abs=0.01)
    assert -log_density.mean() == pytest.approx(np.log(np.pi) + 0.5, abs=0.02)
    np.testing.assert_allclose(mesh.distance(ball, points[:500]), 0, atol=1e-6)
    np.testing.assert_allclose(mesh.distance(ball, 1.5 * ball.corners[:200]), 0.5, atol=1e-3)


@pytest.mark.parametrize("name", sets.MESHES)
def test_the_meshes_are_spheres_of_area_one(name):
    found = mesh.read_mesh(fetch(f"mesh/{name}_simp.obj"))
    edges = np.unique(np.sort(found.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    assert len(found.corners) - len(edges) + len(found.faces) == 2
    assert found.areas().sum() == pytest.approx(1)
    values = mesh.eigenfunctions(found, 3)[0]
    assert abs(values[0]) < 1e-6 < values[1]


def test_what_cannot_be_fitted_is_a_sentence_in_its_cell_and_in_the_table(tmp_path, monkeypatch):
    def refuses(*_):
        raise InputError("no codimension is to be seen")

    monkeypatch.setattr(driver, "CELLS", tmp_path)
    monkeypatch.setattr(tables, "CELLS", tmp_path)
    monkeypatch.setattr(driver, "fit", refuses)
    driver.fill("floods", ("auto",), ("random",), 0)
    [path] = tmp_path.iterdir()
    assert json.loads(path.read_text())["failed"] == "no codimension is to be seen"
    assert "| floods | random rows | auto | failed: no codimension is to be seen |" in tables.TABLES["earth"]()
    driver.fill("floods", ("auto",), ("random",), 0)  # what is there is not run again
    with pytest.raises(InputError, match="there is no 'flood'; there are floods, "):
        driver.run(driver.Options(only=("flood",)))


def test_the_page_says_what_the_cells_say(tmp_path):
    """Whoever changes cells or tables runs `python -m experiments.real_data --only NAME --forms FORM`."""
    page = tmp_path / "page.md"
    page.write_text(tables.PAGE.read_text())
    for name, table in tables.TABLES.items():
        replace_between_marks(page, name, table())
    assert page.read_text() == tables.PAGE.read_text()
