"""Laws by volume on a knot, a Klein bottle and SO(3), and what chains are held against: both by even points."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from experiments import ridge_laws
from experiments.laws import by_volume
from experiments.laws.more_shapes import shape
from experiments.studies import ridge_chains

COUNT = 40_000


@pytest.mark.parametrize("name", by_volume.LAWS)
def test_a_law_integrates_to_one_over_its_shape_and_its_draws_have_its_moments(name):
    law, known = by_volume.LAWS[name][0](), shape(name)
    even = known.draw(np.random.default_rng(0), COUNT)
    ratio = np.exp(law.log_density(even)) * known.volume
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / COUNT**0.5
    drawn = law.draw(np.random.default_rng(1), COUNT)
    assert drawn.shape == even.shape
    assert known.distance(drawn[:100]).max() < 2e-4  # the knot is so far from the nearest corner of a polygon
    # First and second moments, and the log density itself: of draws, and of even points by their weights.
    features = lambda x: np.column_stack([x, x**2, x[:, :1] * x[:, 1:], law.log_density(x)])
    of_draws, of_even = features(drawn), features(even)
    expected = ratio @ of_even / ratio.sum()
    error = np.hypot(of_draws.std(axis=0), (ratio[:, None] * (of_even - expected)).std(axis=0)) / COUNT**0.5
    assert (abs(of_draws.mean(axis=0) - expected) < 4.5 * error).all()
    assert ratio.std() > 0.5  # far from uniform, or there would be little to tell


def test_the_mean_of_exp_of_a_trace_over_even_rotations_is_that_in_closed_form():
    # A multiple of the identity: with the rotation's angle θ the trace is 1 + 2 cos θ, of density (1 - cos θ) / π.
    theta = (np.arange(10_000) + 0.5) / 10_000 * np.pi
    expected = np.mean(np.exp(0.7 * (1 + 2 * np.cos(theta))) * (1 - np.cos(theta)))
    assert by_volume.fisher_normalizer(np.full(3, 0.7)) == pytest.approx(expected, rel=1e-6)
    values = [
        by_volume.fisher_normalizer(by_volume.SINGULAR[list(order)]) for order in ((0, 1, 2), (1, 2, 0), (2, 1, 0))
    ]
    np.testing.assert_allclose(values, values[0], rtol=1e-12)


@pytest.mark.parametrize("name", ["trefoil", "klein_bottle"])
def test_pieces_sum_to_the_volume_and_even_points_are_as_far_from_their_law_as_chance_has_it(name):
    known, of, count = shape(name), ridge_chains.pieces(ridge_chains.truth(name)), 5000
    assert of.sizes.sum() == pytest.approx(known.volume, rel=1e-4)
    slope, tree = np.ones(of.centres.shape[1]) / 2, KDTree(of.centres)
    even = known.draw(np.random.default_rng(2), count)
    found = ridge_chains.distances(of, of.sizes, tree, slope, even)
    assert ("along" in found) == (name == "trefoil")
    assert max(found.values()) < 2.2 / count**0.5  # of one, with probability .9999
    tilted = of.sizes * np.exp(-of.centres @ slope)
    assert ridge_chains.distances(of, tilted, tree, slope, even)["energy"] > 0.1


def test_chunks_join_to_the_mean_and_its_standard_error():
    loss, away = np.random.default_rng(3).normal(0.1, 1, (2, 500))
    sums = lambda x, y: {"loss": x.sum(), "squares": (x**2).sum(), "distance": y.sum()}
    parts = [
        {"points": len(x) + 5, "found": len(x)} | sums(x, y)
        for x, y in ((loss[:90], away[:90]), (loss[90:], away[90:]))
    ]
    told = ridge_laws.joined(parts)
    expected = {"fresh": 510, "loss": loss.mean(), "loss_error": loss.std() / 500**0.5}
    assert told == pytest.approx(expected | {"not_found": 10 / 510, "distance": away.mean()})


def test_the_page_says_what_the_cells_say():
    """Whoever changes cells or tables runs `python -m experiments.ridge_laws`."""
    for name, rows in ridge_laws.tables().items():
        assert f"-->\n{rows}\n<!-- end of {name} -->" in ridge_laws.PAGE.read_text(), name
