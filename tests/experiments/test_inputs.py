"""The table of odd inputs: what is refused is refused so, at once."""

import time

import pytest

from experiments.inputs.__main__ import happens, table
from experiments.inputs.given import columns, extremes, meanings, readable


def trained(given):
    """Only a trained field shows that points fill their space."""
    return given.says.startswith(("advice", "no codimension"))


def refused():
    return [
        given for given in [*readable(), *columns(), *meanings(), *extremes()] if given.code == 2 and not trained(given)
    ]


@pytest.mark.parametrize("given", refused(), ids=lambda given: given.what)
def test_what_is_refused_is_refused_in_a_sentence_before_training(given):
    started = time.perf_counter()
    found = happens(given)
    assert found["right"], found
    assert time.perf_counter() - started < 20
    assert "| yes |" in table([found])
