"""Models that are wrong, each in one way, are told to be so in that way; and right ones are not."""

import jax
import numpy as np
import pytest

import implicit_manifolds as im
from experiments.reliability.models import CASES, healthy, ring
from implicit_manifolds.diagnosis import near
from implicit_manifolds.findings import at_least, at_most, table

QUICK = {"_far_group", "_at_the_centre", "_repeated", "_without_normaliser", "_empty_place"}
"""Those on the unit circle, whose programs are the same."""


@pytest.mark.parametrize(
    "make", [pytest.param(one, marks=() if one.__name__ in QUICK else pytest.mark.slow) for one in CASES]
)
def test_what_is_wrong_is_told(make):
    case = make()
    found = im.diagnose(jax.random.key(0), case.model, case.points)
    assert case.finding in {one.name for one in found.wrong}
    assert f"{case.finding}: " in str(found)


@pytest.mark.parametrize("which", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_a_model_that_is_right_has_nothing_wrong(which):
    model, points = healthy()[which]
    found = im.diagnose(jax.random.key(0), model, points)
    assert found.wrong == ()
    assert found.topology.settled
    assert found.certificate == im.describe(found.topology)


def test_gaps_are_looked_for_everywhere_however_many_points_there_are(monkeypatch):
    seen = []
    monkeypatch.setattr(near, "_neighbours", lambda model, on: seen.append(on) or np.zeros((2, 0, 2)))
    near._apart(healthy()[0][0], ring(3 * near.TESTED))
    assert len(seen[0]) == near.TESTED
    # A third of points at random on a circle: its mean is that of all, 0, within 4.5 of their errors (2 numbers).
    assert np.abs(seen[0].mean(axis=0)).max() < 4.5 * np.sqrt(0.5 / near.TESTED)


def test_a_number_that_is_none_is_wrong_on_either_side():
    assert at_most("a", np.nan, 1, "").wrong
    assert at_least("a", np.nan, 1, "").wrong
    assert not at_most("a", 1, 1, "").wrong
    assert not at_least("a", 1, 1, "").wrong
    assert table([at_most("a", 2, 1, "do this"), at_least("b", 2, 1, "")]).endswith("a: 2, beyond 1; do this")


def test_points_of_half_a_model_are_told_from_those_it_was_learned_from():
    model, points = healthy()[0]
    found = im.diagnose(jax.random.key(0), model, points[points[:, 0] < 0])
    assert "widest place without data" in {one.name for one in found.wrong}
