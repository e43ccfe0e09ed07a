import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds.training import replay_buffer

push, draw = jax.jit(replay_buffer.push), jax.jit(replay_buffer.draw)


def numbered(first, count, dtype=jnp.float32):
    """Points (count, 2) that can be told apart: (i, -i)."""
    numbers = np.arange(first, first + count)
    return jnp.asarray(np.stack([numbers, -numbers], axis=1), dtype)


def test_newest_come_first_and_the_oldest_are_dropped(dtype):
    buffer = numbered(0, 5, dtype)
    buffer = push(buffer, numbered(100, 2, dtype))
    np.testing.assert_array_equal(buffer[:, 0], [100, 101, 0, 1, 2])
    buffer = push(buffer, numbered(200, 2, dtype))
    np.testing.assert_array_equal(buffer[:, 0], [200, 201, 100, 101, 0])
    assert buffer.dtype == dtype


def test_a_batch_larger_than_the_buffer_fills_it_and_keeps_its_size():
    np.testing.assert_array_equal(push(numbered(0, 3), numbered(100, 5))[:, 0], [100, 101, 102])


def test_no_gradient_passes_through_a_push():
    gradient = jax.grad(lambda finished: jnp.sum(push(numbered(0, 3), finished) ** 2))(numbered(100, 2))
    np.testing.assert_array_equal(gradient, np.zeros((2, 2)))


@pytest.mark.parametrize(("fraction", "source"), [(0.0, "fresh"), (1.0, "buffer")])
def test_at_the_ends_of_the_fraction_all_starts_come_from_one_source(fraction, source):
    buffer, fresh = numbered(0, 10), numbered(100, 20_000)
    starts = draw(jax.random.key(0), buffer, fresh, fraction)
    if source == "fresh":
        np.testing.assert_array_equal(starts, fresh)
    else:
        assert (starts[:, 0] < 10).all()


def test_a_start_is_replayed_with_the_given_probability_uniformly_and_row_by_row():
    buffer, fresh = numbered(0, 10), numbered(100, 20_000)
    starts = np.asarray(draw(jax.random.key(1), buffer, fresh, 0.95))
    np.testing.assert_array_equal(starts[:, 1], -starts[:, 0])  # rows are never mixed
    replayed = starts[:, 0] < 10
    # z = 4.5 for the fraction, false alarm 7e-6; fresh starts stay in their own lane.
    assert abs(replayed.mean() - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / 20_000)
    np.testing.assert_array_equal(starts[~replayed], np.asarray(fresh)[~replayed])
    # χ² with 9 degrees of freedom exceeds 38 with probability 2e-5.
    counts = np.bincount(starts[replayed, 0].astype(int), minlength=10)
    assert ((counts - counts.mean()) ** 2).sum() / counts.mean() < 38


def test_entries_are_drawn_with_replacement_and_stay():
    buffer = numbered(7, 1)
    for seed in (0, 1):
        starts = draw(jax.random.key(seed), buffer, numbered(100, 6), 1.0)
        np.testing.assert_array_equal(starts, [[7, -7]] * 6)


def test_keys_decide_the_draw_and_the_fraction_may_be_traced():
    buffer, fresh = numbered(0, 10), numbered(100, 20_000)
    first = draw(jax.random.key(0), buffer, fresh, 0.5)
    np.testing.assert_array_equal(first, draw(jax.random.key(0), buffer, fresh, 0.5))
    assert (first != draw(jax.random.key(1), buffer, fresh, 0.5)).any()
