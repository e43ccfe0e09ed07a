import numpy as np

from implicit_manifolds.metrics.precision_recall import precision_recall

RANDOM = np.random.default_rng(0)


def test_samples_of_the_same_law_have_nearly_all_of_both():
    first, second = RANDOM.normal(size=(2, 2000, 5))
    found = precision_recall(first, second)
    assert min(found) > 0.85
    assert tuple(precision_recall(first, first)) == (1, 1)


def test_a_mode_that_is_missed_costs_recall_and_one_invented_precision():
    truth = RANDOM.normal(size=(1000, 3)) + 100 * RANDOM.integers(0, 4, (1000, 1))
    half = RANDOM.normal(size=(1500, 3)) + 100 * RANDOM.choice([0, 1, 7], (1500, 1))
    found = precision_recall(half, truth)
    assert abs(found.precision - 2 / 3) < 0.1
    assert abs(found.recall - 1 / 2) < 0.1


def test_the_reach_is_that_of_the_neighbour_asked_for():
    truth = np.arange(5.0)[:, None]
    # Third neighbours: 3, 2, 2, 2, 3 away, so that 7 is in reach of 4 alone and 7.1 of none.
    assert precision_recall(np.array([[7.0], [7.1], [0.0], [1.0]]), truth).precision == 3 / 4
    assert precision_recall(np.array([[5.0], [5.1], [0.0], [1.0]]), truth, 1).precision == 3 / 4
