"""When warm-up takes a metric, and which: its stages are played here, so that nothing is compiled."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds._types import relative_tolerance
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.mcmc import ChainsStuck, ConstrainedHMC
from implicit_manifolds.mcmc.dual_averaging import Averages
from implicit_manifolds.mcmc.metric import is_uneven, scale_of
from implicit_manifolds.mcmc.warm_up import WINDOW, _Run, _stages

CHAINS, FIRST, WINDOWS = 20, 30, [25, 50]


class _Played(_Run):
    """Draws with the covariance given; the stage after the windows ends with step size `last`. Scales are kept."""

    def __init__(self, covariance, last=0.1):
        covariance = np.asarray(covariance)
        states = SimpleNamespace(position=np.ones((CHAINS, len(covariance)), np.float32))
        super().__init__(jax.random.key(0), ConstrainedHMC(sphere(1.0), Partial(np.sum)), states, 0.8, None, None)
        self.adapts, self.covariance, self.last = True, covariance, last
        self.counts, self.scales = [], []

    def stage(self, count, is_last=False):
        step_size = self.last if len(self.counts) == 1 + len(WINDOWS) else 0.1
        self.sampler = replace(self.sampler, step_size=step_size)
        self.counts.append(count)
        draws = CHAINS * (count - count // 2)  # of the second half
        moments = np.zeros(len(self.covariance)), draws * self.covariance
        return Averages(count, 0.0, 0.0, 0.0, np.zeros(CHAINS), np.zeros(CHAINS), np.zeros((CHAINS, 6)), moments)

    def rescale(self, scale):
        self.scales.append(scale)
        self.sampler = replace(self.sampler, scale=scale)

    def begin_again(self, positions):
        pass


@pytest.mark.parametrize(
    ("metric", "variances", "taken"),
    [("auto", [1.0, 4.0], False), ("auto", [1.0, 100.0], True), ("diagonal", [1.0, 4.0], True)],
)
def test_a_scale_is_taken_where_spreads_differ_or_it_is_asked_for(metric, variances, taken):
    run = _Played(variances)
    run.find_metric(FIRST, WINDOWS, metric)
    assert len(run.scales) == 3 * taken  # after the first steps, and after each window
    for scale in run.scales:
        np.testing.assert_allclose(scale, np.sqrt(variances))
    assert run.counts == [FIRST, *WINDOWS] + [WINDOW] * (taken and metric == "auto")
    assert (run.sampler.scale is not None) == taken


def test_a_dense_scale_trusts_covariances_by_the_draws_they_come_from():
    covariance = np.array([[4.0, 1.9], [1.9, 1.0]])
    run = _Played(covariance)
    run.find_metric(FIRST, WINDOWS, "dense")
    for count, scale in zip([FIRST, *WINDOWS], run.scales, strict=True):
        draws = CHAINS * (count - count // 2)
        shrunk = 1.9 * draws / (draws + 5)  # five draws' worth of doubt
        np.testing.assert_allclose(scale @ scale.T, [[4.0, shrunk], [shrunk, 1.0]], rtol=1e-4)


@pytest.mark.parametrize(("last", "kept"), [(0.016, True), (0.014, False)])
def test_a_scale_that_does_not_carry_farther_by_half_is_dropped(last, kept):
    run = _Played([1.0, 100.0], last)
    run.find_metric(FIRST, WINDOWS, "auto")
    assert (run.sampler.scale is not None) == kept


def test_spreads_are_uneven_by_what_varies_beyond_rounding():
    assert is_uneven(np.array([1.0, 9.1]), 1e-4)
    assert not is_uneven(np.array([1.0, 8.9]), 1e-4)
    assert not is_uneven(np.array([1.0, 1e-10]), 1e-4)  # the second is held by a constraint
    np.testing.assert_allclose(scale_of(np.array([4.0, 9.0]), 3), [2.0, 3.0])


@pytest.mark.parametrize("num_steps", [150, 300, 1000, 1234])
def test_windows_double_and_leave_a_third_for_the_last_step_size(num_steps):
    first, windows, last = _stages(num_steps)
    assert first == int(0.15 * num_steps)
    assert windows == [WINDOW * 2**number for number in range(len(windows))]
    assert first + sum(windows) + last == num_steps
    assert 0.3 * num_steps <= last < 0.3 * num_steps + 2 * windows[-1] + 2  # no window more would fit


def test_chains_that_moved_less_than_rounding_go_on_from_where_others_are():
    run = _Played(np.ones(3))
    run.begin_again = lambda positions: setattr(run.states, "position", positions)
    run.states.position = np.arange(3.0 * CHAINS, dtype=np.float32).reshape(CHAINS, 3) / 1000
    before, accuracy, count = run.states.position, relative_tolerance(np.float32), 41
    moved = np.full(CHAINS, 11.0)
    moved[[3, 7]] = 9.0, np.nan
    reasons = np.zeros((CHAINS, 6))
    reasons[:, 2] = 21
    averages = Averages(count, 0.0, 0.0, 0.0, 21 * (moved * accuracy) ** 2, np.zeros(CHAINS), reasons, None)
    run.restart(averages, count, 0.1, False)
    assert run.restarted.tolist() == [3, 7]
    assert run.causes.tolist() == [0, 0, 42, 0, 0, 0]
    others = np.delete(np.arange(CHAINS), [3, 7])
    np.testing.assert_array_equal(run.states.position[others], before[others])
    assert all((before[others] == run.states.position[lane]).all(axis=1).any() for lane in (3, 7))


def test_where_most_chains_stand_still_it_is_said_at_the_end_alone():
    run = _Played(np.ones(3))
    moved = np.where(np.arange(CHAINS) < 11, 0.0, 1.0)
    averages = Averages(41, 0.0, 0.0, 0.0, moved, np.zeros(CHAINS), np.ones((CHAINS, 6)), None)
    run.restart(averages, 41, 0.1, False)
    assert not len(run.restarted)
    with pytest.raises(ChainsStuck, match="11 of 20"):
        run.restart(averages, 41, 0.1, True)
