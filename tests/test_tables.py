"""Tables too large to hold: what is kept of them, what training reads, and a fit that sees all rows."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars as pl
import pytest
from jax.tree_util import Partial
from scipy.stats import vonmises

import implicit_manifolds as im
from implicit_manifolds import tables
from implicit_manifolds.ebim.members import hashed_folds
from implicit_manifolds.errors import InputError
from implicit_manifolds.reading import read_table
from implicit_manifolds.scaling import Scaling, standardization
from implicit_manifolds.tables import Mapped, Stream, held
from implicit_manifolds.training import loop
from implicit_manifolds.training.objective import LossObjective


def ring(count, seed=0):
    """Points (count, 2) of the unit circle by a von Mises law of concentration 2."""
    angle = np.random.default_rng(seed).vonmises(0, 2, count)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def _squares(key, model, batch):
    value = jnp.mean(jnp.sum((batch - model[None]) ** 2, axis=1))
    return value, {"value": value}


def test_training_reads_the_rows_that_it_would_have_taken_from_an_array(monkeypatch):
    points = ring(700)
    stream = Stream(points, Scaling(np.asarray([0.5, -0.5]), 2.0))
    objective, optimizer = LossObjective(Partial(_squares)), optax.adam(0.01)

    def trained(data):
        state = loop.initial_state(jax.random.key(0), objective, optimizer, jnp.zeros(2))
        return loop.train(objective, optimizer, state, data, num_steps=70, batch_size=100)

    monkeypatch.setattr(loop, "MOST_READ", 1500)
    (whole, history), (read, other) = trained(stream.scaling.standardize(points)), trained(stream)
    np.testing.assert_array_equal(read.model, whole.model)
    np.testing.assert_array_equal(other.terms["value"], history.terms["value"])


def test_a_large_table_is_sampled_in_order_and_a_bad_row_is_named(monkeypatch):
    monkeypatch.setattr(tables, "MOST_HELD", 100)
    monkeypatch.setattr(tables, "BLOCK", 64)
    points = np.arange(1000.0).reshape(500, 2)
    some, table = held(jax.random.key(0), points)
    assert len(some) == 100
    assert table is points
    assert np.isin(some[:, 0], points[:, 0]).all()
    assert (np.diff(some[:, 0]) > 0).all()
    assert some[-1, 0] > 800
    assert held(jax.random.key(0), points[:100])[1] is None
    points[333, 1] = np.nan
    with pytest.raises(InputError, match="row 334"):
        held(jax.random.key(0), points)


def test_equal_points_have_equal_folds_wherever_they_are_met():
    points = ring(4000).astype(np.float32)
    fold = hashed_folds(points, 4)
    picked = np.random.default_rng(0).integers(0, 4000, 900)
    read = Mapped(Stream(points, Scaling(np.zeros(2), 1.0)), lambda rows: hashed_folds(rows, 4)).rows(picked)
    np.testing.assert_array_equal(read, fold[picked])
    # Four even folds: a share is off by four standard deviations once in four thousand sets.
    assert np.abs(np.bincount(fold) / 4000 - 0.25).max() < 4 * np.sqrt(0.1875 / 4000)


@pytest.mark.slow
def test_a_fit_to_a_memory_map_sees_what_its_sample_does_not(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(tables, "MOST_HELD", 500)
    np.save(tmp_path / "ring.npy", ring(5000))
    read = set()
    rows = Stream.rows
    monkeypatch.setattr(Stream, "rows", lambda self, index: read.update(index) or rows(self, index))
    found = im.fit(jax.random.key(0), np.load(tmp_path / "ring.npy", mmap_mode="r"), 1, quick)
    assert len(read) > 4000
    test = ring(1000, seed=1)
    truth = vonmises.logpdf(np.arctan2(test[:, 1], test[:, 0]), 2).mean()
    assert abs(im.log_density(found.model, test).log_density.mean() - truth) < 0.05


def test_parquet_is_read_in_blocks_and_what_is_no_table_of_numbers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("implicit_manifolds.reading.BLOCK", 300)
    points = ring(1000)
    pl.DataFrame(points, schema=["x", "y"]).with_columns(n=pl.int_range(pl.len())).write_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_table(tmp_path / "a.parquet").values, np.column_stack([points, np.arange(1000)]))
    pl.DataFrame({"x": [1.0], "name": ["a"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="column name holds no numbers"):
        read_table(tmp_path / "b.parquet", ["x", "name"])
    assert read_table(tmp_path / "b.parquet").names == ("x",)
    pl.DataFrame({"x": []}, schema={"x": pl.Float64}).write_parquet(tmp_path / "c.parquet")
    with pytest.raises(InputError, match="holds no numbers"):
        read_table(tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "d.parquet")


def test_standardised_rows_of_a_stream_are_those_of_the_whole():
    points = 1000 + 3 * ring(50)
    scaling, standard, _ = standardization(points)
    index = np.asarray([7, 3, 3, 49])
    np.testing.assert_array_equal(Stream(points, scaling).rows(index), np.asarray(standard)[index])
