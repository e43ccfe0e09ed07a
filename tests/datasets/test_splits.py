import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from implicit_manifolds.datasets.splits import split
from implicit_manifolds.errors import InputError


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(0, 200),
    seed=st.integers(0, 2**32),
    fractions=st.sampled_from([(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1 / 3, 1 / 3, 1 / 3)]),
)
def test_every_row_is_in_exactly_one_part(count, seed, fractions):
    rows = np.arange(2.0 * count).reshape(count, 2)
    parts = split(rows, seed, fractions)
    assert len(parts) == 3
    together = np.concatenate(parts)
    np.testing.assert_array_equal(together[np.argsort(together[:, 0])], rows)


def test_sizes_follow_the_fractions():
    assert [len(part) for part in split(np.zeros((4875, 3)), 0)] == [3900, 488, 487]
    assert [len(part) for part in split(np.zeros((10, 3)), 0, (0.5, 0.3, 0.2))] == [5, 3, 2]


def test_a_seed_gives_the_same_split_again_and_another_seed_another():
    rows = np.arange(100.0)
    np.testing.assert_array_equal(split(rows, 7)[0], split(rows, 7)[0])
    assert not np.array_equal(split(rows, 7)[0], split(rows, 8)[0])


def test_rows_are_permuted_uniformly():
    """Each of 20 rows is as often in the test part; a right split fails for 1 in 1000 choices of seeds."""
    drawn = np.concatenate([split(np.arange(20), seed)[2] for seed in range(1000)])
    assert stats.chisquare(np.bincount(drawn, minlength=20)).pvalue > 1e-3


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.2), (0.5, 0.1, 0.1), (1.2, -0.1, -0.1)])
def test_fractions_that_are_no_partition_are_refused(fractions):
    with pytest.raises(InputError, match="add up to 1"):
        split(np.zeros((10, 2)), 0, fractions)
