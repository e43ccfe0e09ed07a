import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds._loops import bounded_while, chunk_sizes


def halve_until(limit, value, cap):
    return bounded_while(lambda v: v > limit, lambda v: v / 2, value, cap)


@pytest.mark.parametrize(("start", "cap", "end", "taken"), [(8.0, 10, 1.0, 3), (8.0, 2, 2.0, 2), (0.5, 10, 0.5, 0)])
def test_it_stops_when_solved_or_at_the_cap(start, cap, end, taken):
    value, iterations = halve_until(1.0, jnp.asarray(start), cap)
    assert (value, iterations) == (end, taken)


def test_a_cap_of_zero_takes_no_step():
    value, iterations = halve_until(1.0, jnp.asarray(8.0), 0)
    assert (value, iterations) == (8.0, 0)


def test_lanes_that_are_done_stand_still_while_others_go_on():
    starts = jnp.asarray([0.5, 1.0, 3.0, 1e6, jnp.nan, jnp.inf])
    values, iterations = jax.jit(jax.vmap(lambda v: halve_until(1.0, v, 25)))(starts)
    np.testing.assert_array_equal(iterations, [0, 0, 2, 20, 0, 25])
    np.testing.assert_allclose(values[:4], [0.5, 1.0, 0.75, 1e6 / 2**20])


def test_the_test_of_the_loop_reads_a_stored_bit_and_computes_nothing():
    # Under vmap the loop's test is evaluated twice; what is computed twice may be rounded in two ways.
    loops = [e for e in jax.make_jaxpr(lambda v: halve_until(1.0, v, 5))(1.0).eqns if e.primitive.name == "while"]
    assert len(loops) == 1
    assert loops[0].params["cond_jaxpr"].eqns == []


def test_nested_loops_end_for_lanes_exactly_at_their_tolerance():
    points = jax.random.normal(jax.random.key(0), (2000, 3))

    def size(x):
        return jnp.linalg.norm(jnp.stack([jnp.sum(x**2) - 1, x[0] * x[1] + 0.3 * x[2]]))

    # The tolerances come from two other programs, one of them unfused, so many lanes are within a rounding of theirs.
    limits = jnp.where(jnp.arange(2000) % 2, jax.vmap(size)(points / 2), jax.jit(jax.vmap(size))(points / 4))

    def lane(x, limit):
        def inner(x):
            return bounded_while(lambda x: size(x) > limit, lambda x: x / 2, x, 4)[0]

        return bounded_while(lambda x: size(x) > limit, lambda x: inner(x) * 1.1, x, 6)[1]

    assert (jax.jit(jax.vmap(lane))(points, limits) <= 6).all()


@pytest.mark.parametrize(("first", "stop", "size"), [(0, 10, 3), (4, 10, 6), (0, 5, 5), (3, 3, 2), (0, 1, 100)])
def test_chunks_cover_the_range_once_in_order(first, stop, size):
    covered = [index for start, count in chunk_sizes(first, stop, size) for index in range(start, start + count)]
    assert covered == list(range(first, stop))
    assert all(0 < count <= size for _, count in chunk_sizes(first, stop, size))
