"""Files as people have them: every usual dialect is read, and what is no table is refused in one sentence."""

import gzip
import os
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from implicit_manifolds.advice import advice
from implicit_manifolds.coordinates import plain
from implicit_manifolds.errors import InputError
from implicit_manifolds.reading import read_table

CASES = Path(os.environ.get("IMPLICIT_MANIFOLDS_DATA", "missing")).parent / "cases"
NUMBERS = [[1.5, -2.0], [3.0, 4e3]]


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("comma.csv", "x,y\n1.5,-2\n3,4e3\n", ("x", "y")),
        ("no_names.csv", "1.5,-2\n3,4e3\n", ("x0", "x1")),
        ("semicolon.csv", "x;y\n1.5;-2\n3;4e3\n", ("x", "y")),
        ("decimal_comma.csv", "x;y\n1,5;-2\n3;4000,0\n", ("x", "y")),
        ("tab.tsv", "x\ty\n1.5\t-2\n3\t4e3\n", ("x", "y")),
        ("bar.dat", "x|y\n1.5|-2\n3|4e3\n", ("x", "y")),
        ("blanks.txt", "  1.5   -2\n 3 4e3  \n", ("x0", "x1")),
        ("blanks_and_names.txt", "x   y\n1.5 -2\n3   4e3\n", ("x", "y")),
        ("savetxt.txt", "# x y\n1.5 -2\n3 4e3\n", ("x0", "x1")),
        ("comments.csv", "# instrument\n#\nx,y\n1.5,-2\n# pause\n3,4e3\n", ("x", "y")),
        ("quotes.csv", '"x, the first","y"\n"1.5","-2"\n"3","4e3"\n', ("x, the first", "y")),
        ("bom_and_crlf.csv", "\ufeffx,y\r\n1.5,-2\r\n3,4e3\r\n", ("x", "y")),
        ("padded.csv", "x, y\n 1.5, -2\n 3, 4e3\n", ("x", "y")),
        ("ids_without_names.csv", "a,1.5,-2\nb,3,4e3\n", ("x1", "x2")),
        ("commas_between_blanks.txt", "1,5 -2,0\n3,0 4000,0\n", ("x0", "x1")),
        ("index.csv", ",x,y\n7,1.5,-2\n9,3,4e3\n", ("x", "y")),
        ("brackets[1].csv", "x,y\n1.5,-2\n3,4e3\n", ("x", "y")),
        ("empty_lines.csv", "x,y\n1.5,-2\n\n3,4e3\n\n", ("x", "y")),
    ],
)
def test_every_usual_dialect_is_read(tmp_path, name, text, names):
    (tmp_path / name).write_text(text)
    table = read_table(tmp_path / name)
    assert table.names == names
    np.testing.assert_array_equal(table.values, NUMBERS)


def test_compressed_text_arrow_and_chosen_columns_are_read(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x,y\n1.5,-2\n3,4e3\n"))
    pl.DataFrame(NUMBERS, schema=["x", "y"], orient="row").write_ipc(tmp_path / "a.arrow")
    for name in ("a.csv.gz", "a.arrow"):
        table = read_table(tmp_path / name, ["y", "x"])
        assert table.names == ("y", "x")
        np.testing.assert_array_equal(table.values, np.asarray(NUMBERS)[:, ::-1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n\n# only this\n", "is empty"),
        ("x,y\n", "holds no numbers"),
        ("1,2\nhello,4\n5,6\n", "row 2 holds 'hello' in column x0"),
        ("1,2\n3\n5,6\n", "row 2 has a missing cell"),
        ("x,y\n1,NA\n", "row 1 has a missing cell"),
        ("1,2\n3,4,5\n5,6\n", "more cells than the first"),
        ("name,town\na,b\n", "holds no numbers"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_table(tmp_path / "a.csv")


def test_rows_with_missing_cells_are_dropped_if_asked_and_text_is_left_out_with_advice(tmp_path):
    (tmp_path / "a.csv").write_text("id,x,y\np0,1.5,-2\np1,,7\np2,3,4e3\np3,5,null\np4,nan,0\n")
    table = read_table(tmp_path / "a.csv", missing="drop")
    np.testing.assert_array_equal(table.values, NUMBERS)
    assert table.advice == (
        "column id left out: no numbers there (choose with --columns)",
        "rows with missing cells left out; 2 are kept",
    )
    np.testing.assert_array_equal(table.rows, [0, 2])
    (tmp_path / "padded.csv").write_text("x, y\n1.5, -2\n7, NA\n3, 4e3\n8, \n")
    np.testing.assert_array_equal(read_table(tmp_path / "padded.csv", missing="drop").values, NUMBERS)
    np.save(tmp_path / "a.npy", [[1.5, -2], [np.nan, 0], [3, 4e3]])
    np.testing.assert_array_equal(read_table(tmp_path / "a.npy", missing="drop").values, NUMBERS)
    (tmp_path / "none.csv").write_text("x,y\n1,\n,2\n")
    with pytest.raises(InputError, match="no row that is whole"):
        read_table(tmp_path / "none.csv", missing="drop")
    with pytest.raises(InputError, match="no column z; it has id, x, y"):
        read_table(tmp_path / "a.csv", ["z"])


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_the_cases_that_failed_are_read(tmp_path):
    ring = read_table(CASES / "quoted.csv").values
    for name in ("semicolon.csv", "tabs.tsv", "comments.csv", "spaces.txt", "text_id.csv"):
        np.testing.assert_array_equal(read_table(CASES / name).values, ring[: len(read_table(CASES / name).values)])
    with pytest.raises(InputError, match="--missing drop"):
        read_table(CASES / "missing.csv")
    assert len(read_table(CASES / "missing.csv", missing="drop").values) < len(ring)


def test_row_numbers_constants_angles_and_places_draw_a_line_each_and_plain_columns_none():
    random = np.random.default_rng(0)
    count = 400
    columns = {
        "id": np.arange(count),
        "flat": np.full(count, 3.0),
        "turn": random.uniform(-180, 180, count),
        "phi": random.uniform(-2, 2, count),
        "lon": random.uniform(-20, 20, count),
        "lat": random.uniform(-20, 20, count),
        "x": random.normal(size=count),
        "share": random.uniform(0, 1, count),
    }
    from implicit_manifolds.reading import Table

    table = Table(np.column_stack(list(columns.values())), tuple(columns))
    told = advice(table, plain(table.names))
    assert [line.split()[1] for line in told] == ["lon", "id", "flat", "turn", "phi"]
    assert "row number" in told[1]
    assert "constant" in told[2]
    assert "degrees" in told[3]
    assert "radians" in told[4]


LETTERS = [*"0123456789.,;|\t -+eE\"'#\n\r"]
PIECES = st.sampled_from([*LETTERS, "nan", "inf", "NA", "1e400", "x", "é", "\x00", "1.5,2\n", "\ufeff"])
KINDS = st.sampled_from([".csv", ".txt", ".tsv", ".npy", ".parquet", ".arrow", ".csv.gz"])


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.lists(PIECES, max_size=60).map("".join), kind=KINDS)
def test_whatever_a_file_holds_is_a_table_or_a_sentence(tmp_path_factory, text, kind):
    path = tmp_path_factory.getbasetemp() / f"fuzzed{kind}"
    path.write_bytes(text.encode())
    said, table = "", None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            table = read_table(path)
        except InputError as error:
            said = str(error)
    if table is None:
        assert len(said.splitlines()) == 1
    else:
        assert table.values.ndim == 2
        assert table.values.shape[1] == len(table.names) > 0
