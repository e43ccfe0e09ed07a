"""Transport: distances known in closed form."""

import numpy as np

from experiments.common.original_cost import original_cost
from experiments.common.problem import disjoint_pair
from implicit_manifolds.metrics.transport import wasserstein1, wasserstein1_floor


def test_wasserstein_of_a_shifted_cloud_is_the_shift():
    points = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(wasserstein1(points, points + np.array([3.0, 0.0, 4.0])), 5.0, rtol=1e-6)


def test_wasserstein_on_the_line_is_the_mean_gap_of_sorted_values_and_takes_unequal_sizes():
    random = np.random.default_rng(1)
    first, second = random.normal(size=30), random.uniform(size=30)
    line = np.abs(np.sort(first) - np.sort(second)).mean()
    np.testing.assert_allclose(wasserstein1(first[:, None], second[:, None]), line, rtol=1e-6)
    np.testing.assert_allclose(wasserstein1(np.zeros((3, 1)), np.array([[1.0], [3.0]])), 2.0)


def test_the_floor_is_the_mean_over_twenty_pairs():
    seen = []

    def draw(index):
        seen.append(index)
        return np.zeros((2, 1)), np.full((2, 1), float(index))

    np.testing.assert_allclose(wasserstein1_floor(draw), np.mean(range(20)))
    assert seen == list(range(20))


def test_a_disjoint_pair_shares_no_row_and_has_the_sizes_asked_for():
    points = np.arange(40.0).reshape(20, 2)
    first, second = disjoint_pair(points, (7, 9), [0, 1])
    assert (first.shape, second.shape) == ((7, 2), (9, 2))
    assert not set(first[:, 0]) & set(second[:, 0])


def test_the_original_cost_of_one_cell_to_another_is_their_squared_distance_over_the_squared_diagonal():
    limits = np.array([[0.0, 10.0], [0.0, 10.0]])  # ten cells of side one an axis
    here, there = np.array([[0.5, 0.5], [0.6, 0.4]]), np.array([[3.5, 4.5]])
    cost = original_cost(here, np.array([1.0, 5.0]), there, np.array([2.0]), limits, 11)
    np.testing.assert_allclose(cost, (3**2 + 4**2) / (9**2 + 9**2))


def test_the_original_cost_weighs_a_cell_by_the_mean_density_of_its_points():
    limits = np.array([[0.0, 4.0]])
    points, density = np.array([[0.5], [0.6], [0.7], [3.5]]), np.array([1.0, 2.0, 3.0, 2.0])
    # Cells of mean density 2 and 2 against the left cell alone: half the mass moves three cells of three.
    cost = original_cost(points, density, np.array([[0.5]]), np.array([1.0]), limits, 5)
    np.testing.assert_allclose(cost, 0.5)


def test_the_original_cost_against_data_uses_cell_centres_and_the_farthest_cell():
    cost = original_cost(np.array([[0.2]]), np.array([1.0]), np.array([[2.5], [0.5]]), None, np.array([[0.0, 4.0]]), 5)
    np.testing.assert_allclose(cost, 0.5 * 2.0**2 / 3.0**2)  # from the centre 0.5; the farthest pair is 0.5 to 3.5
