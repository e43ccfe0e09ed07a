"""Figures hold what they claim: closed curves, whole surfaces, densities that integrate to one."""

from dataclasses import replace
from io import BytesIO

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import Box, Manifold
from implicit_manifolds.ebim.model import EBIM, ChainScales
from implicit_manifolds.ebim.verbs import Samples
from implicit_manifolds.errors import InputError
from implicit_manifolds.manifold.algebra import translate, union
from implicit_manifolds.manifold.analytic import circle_in_space, sphere, torus
from implicit_manifolds.plot import plot_cloud, plot_curve, plot_history, plot_pairs, plot_surface
from implicit_manifolds.plot.curves import contour_segments, density_along
from implicit_manifolds.plot.model import plot_model
from implicit_manifolds.plot.style import density_scale
from implicit_manifolds.plot.surfaces import density_over, surface_triangles, triangle_areas
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.training.loop import History
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.cover import cover
from implicit_manifolds.volumes.importance import log_normalizer


def tilted(x):
    return -2 * x[0]


def model_of(mdf, half, shift=None, scale=1.0, energy=tilted):
    half = jnp.asarray(half, jnp.float32)
    shift = jnp.zeros_like(half) if shift is None else jnp.asarray(shift, jnp.float32)
    anchors = jnp.zeros((1, len(half)))
    scaling = Scaling(shift, jnp.float32(scale))
    return EBIM(Manifold(mdf, Box(-half, half), anchors), Partial(energy), scaling, ChainScales(0.1))


def two_circles(**options):
    circles = [translate(sphere(), jnp.array([offset, 0.0])) for offset in (-1.5, 1.5)]
    return model_of(union(*circles), [3.0, 2.0], **options)


def lengths(polyline):
    return np.linalg.norm(np.diff(polyline, axis=0), axis=1)


def total_length(polylines):
    return sum(lengths(polyline).sum() for polyline in polylines)


def png_width(figure):
    file = BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")
    return int.from_bytes(file.getvalue()[16:20])


def test_two_disjoint_circles_give_two_closed_polylines_of_their_length():
    polylines = contour_segments(two_circles())
    assert len(polylines) == 2
    assert all(np.array_equal(polyline[0], polyline[-1]) for polyline in polylines)
    assert total_length(polylines) == pytest.approx(4 * np.pi, rel=0.01)


def test_vertices_lie_on_the_circle_even_on_a_coarse_grid():
    (circle,) = contour_segments(model_of(sphere(), [1.5, 1.4]), resolution=20)
    np.testing.assert_allclose(np.linalg.norm(circle, axis=1), 1, atol=1e-5)


def test_a_curve_that_leaves_the_box_stays_open():
    (arc,) = contour_segments(model_of(Partial(lambda x: x[1:] - 0.1 * x[:1] ** 2), [1.0, 1.0]))
    assert arc[:, 0].min() == pytest.approx(-1, abs=0.02)
    assert arc[:, 0].max() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_density_along_a_circle_integrates_to_one_and_is_von_mises(scale):
    model = model_of(sphere(), [1.5, 1.5], shift=[3.0, -2.0], scale=scale)
    (circle,) = contour_segments(model)
    (density,) = density_along(model, [circle])
    assert (density[1:] + density[:-1]) @ lengths(circle) / 2 == pytest.approx(1)
    cosine = (circle[:, 0] - 3) / scale
    expected = np.exp(2 * cosine) / (2 * np.pi * np.i0(2) * scale)
    np.testing.assert_allclose(density, expected, rtol=0.01)


def test_density_survives_energies_that_overflow_the_exponential():
    model = two_circles(energy=lambda x: -1000 - 500 * x[0])
    assert all(np.isfinite(density).all() for density in density_along(model, contour_segments(model)))


def test_a_shifted_and_scaled_model_is_drawn_in_data_units():
    model = model_of(sphere(), [1.5, 1.5], shift=[1000.0, -20.0], scale=50.0)
    (circle,) = contour_segments(model)
    np.testing.assert_allclose(np.linalg.norm(circle - [1000, -20], axis=1), 50, rtol=1e-4)
    axes = plot_curve(model).axes[0]
    assert axes.get_xlim()[0] < 950 < 1050 < axes.get_xlim()[1]
    assert axes.get_aspect() == 1


def test_triangles_have_the_area_of_the_sphere_and_density_integrates_to_one():
    model = model_of(sphere(), [1.5, 1.5, 1.5], shift=[10.0, 0.0, 0.0], scale=3.0)
    triangles = surface_triangles(model, resolution=32)
    areas = triangle_areas(triangles)
    assert areas.sum() == pytest.approx(4 * np.pi * 9, rel=0.02)
    assert triangles.reshape(-1, 3).mean(axis=0) == pytest.approx([10, 0, 0], abs=0.1)
    density = density_over(model, triangles)
    assert density @ areas == pytest.approx(1)
    cosine = (triangles.mean(axis=1)[:, 0] - 10) / 3  # von Mises-Fisher of concentration 2
    expected = 2 * np.exp(2 * cosine) / (4 * np.pi * np.sinh(2) * 9)
    np.testing.assert_allclose(density, expected, rtol=0.05)


@pytest.mark.parametrize(("draw", "half"), [(plot_curve, [1.0, 1.0]), (plot_surface, [1.0, 1.0, 1.0])])
def test_no_sign_change_gives_a_sentence(draw, half):
    with pytest.raises(InputError, match=r"F has one sign on the grid .*; train longer$"):
        draw(model_of(sphere(radius=5.0), half))


@pytest.mark.parametrize(("draw", "mdf"), [(plot_curve, sphere()), (plot_surface, circle_in_space())])
def test_a_model_of_another_shape_gives_a_sentence(draw, mdf):
    with pytest.raises(InputError, match=r"the model has codimension \d in 3 coordinates"):
        draw(model_of(mdf, [1.0, 1.0, 1.0]))


def test_curve_beside_the_truth_shares_one_colour_scale():
    angle = np.linspace(0, 2 * np.pi, 100)
    curves = [np.stack([offset + np.cos(angle), np.sin(angle)], axis=1) for offset in (-1.5, 1.5)]
    densities = [np.full(100, 0.7)] * 2
    figure = plot_curve(two_circles(), curves[0], truth=(curves, densities), title="Two circles")
    *panels, bar = figure.axes
    assert [panel.get_title() for panel in panels] == ["data", "learned", "true"]
    assert "per\nunit length" in bar.get_ylabel()
    assert bar.get_ylim() == (0, 0.7)
    assert png_width(figure) <= 900


def test_truth_of_unequal_lengths_gives_a_sentence():
    with pytest.raises(InputError, match="differ in length"):
        plot_curve(two_circles(), truth=([np.zeros((3, 2))], [np.zeros(2)]))


@pytest.mark.parametrize(
    ("mdf", "half"), [(torus(), [4.5, 4.5, 2.0]), (Partial(lambda x: x[2:] + 0 * x[0]), [1.0, 1.0, 1.0])]
)
def test_surfaces_save_to_png_with_the_data_on_them(mdf, half):
    figure = plot_surface(model_of(mdf, half), np.eye(3), title="Surface", resolution=24)
    assert "per unit area" in figure.axes[-1].get_xlabel()
    assert png_width(figure) <= 900


def test_pairs_draws_the_first_six_coordinates_and_says_so():
    points = np.random.default_rng(0).normal(size=(3000, 8))
    figure = plot_pairs(points, points[:100], title="Peptide")
    assert len(figure.axes) == 36
    assert figure.get_suptitle() == "Peptide: first 6 of 8 coordinates"
    assert figure.axes[30].get_xlabel() == "$x_{0}$"


def test_pairs_saves_constant_coordinates_without_a_warning():
    points = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 0]
    assert png_width(plot_pairs(points)) <= 900


def test_pairs_refuses_data_of_another_dimension():
    with pytest.raises(InputError, match="give as many"):
        plot_pairs(np.zeros((5, 3)), np.zeros((5, 2)))


def test_history_has_a_panel_a_step_with_every_term():
    steps = np.arange(10, 110, 10)
    manifold = History(steps, {"loss": 100 * np.exp(-steps / 5.0) - 0.01, "data": 1.0 / steps}, steps)
    energy = History(steps, {"loss": -1.0 / steps, "data": 0.1 * steps}, steps)
    figure = plot_history({"manifold": manifold, "energy": energy})
    assert [axes.get_title() for axes in figure.axes] == ["manifold", "energy"]
    assert [axes.get_yscale() for axes in figure.axes] == ["symlog", "linear"]
    assert all({line.get_label() for line in axes.lines} == {"loss", "data"} for axes in figure.axes)
    assert png_width(figure) <= 900


def test_no_history_gives_a_sentence():
    with pytest.raises(InputError, match="no history"):
        plot_history({})


@pytest.mark.parametrize(
    ("mdf", "half", "panels"), [(sphere(), [1.5] * 2, 3), (sphere(), [1.5] * 3, 3), (circle_in_space(), [1.5] * 3, 9)]
)
def test_the_figure_of_a_model_follows_its_shape(monkeypatch, mdf, half, panels):
    def two_draws(key, model, count):
        return Samples(np.eye(3)[:2], np.zeros(2), np.ones(2, bool), "chains", None, 1.0)

    monkeypatch.setattr("implicit_manifolds.plot.model.sample", two_draws)
    figure = plot_model(jax.random.key(0), model_of(mdf, half), np.eye(len(half)))
    assert len(figure.axes) == panels


def test_a_curve_in_space_is_drawn_as_even_points_of_it_and_needs_charts():
    model = model_of(circle_in_space(), [1.5] * 3)
    with pytest.raises(InputError, match="charts"):
        plot_cloud(jax.random.key(0), model)
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    anchors = jnp.asarray(np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1), jnp.float32)
    charted = cover(jax.random.key(0), replace(model.manifold, anchors=anchors))
    normalizer = log_normalizer(jax.random.key(1), pool_source(charted), model.energy)
    figure = plot_model(jax.random.key(2), replace(model, manifold=charted, log_normalizer=normalizer), np.eye(3))
    data, cloud = figure.axes[0].collections
    assert len(data._offsets3d[0]) == 3
    drawn = np.stack(cloud._offsets3d, axis=1)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    quarter = np.histogram(np.arctan2(drawn[:, 1], drawn[:, 0]), 4)[0] / len(drawn)
    np.testing.assert_allclose(quarter, 0.25, atol=0.04)


def test_a_peaked_density_gets_a_scale_of_decades_and_a_smooth_one_starts_at_zero():
    smooth, peaked = density_scale(np.linspace(0.5, 2, 50)), density_scale(np.geomspace(1e-6, 10, 51))
    assert (smooth.norm.vmin, smooth.norm.vmax) == (0, 2)
    np.testing.assert_allclose((peaked.norm.vmin, peaked.norm.vmax), (1e-3, 10))
    assert peaked.norm(1e-9) == 0
