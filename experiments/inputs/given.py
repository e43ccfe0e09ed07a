"""Forty odd tables, each with the command that is given it and what is right."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

MODEL = ["--out", "model"]
DEGREES = ["--angles", "deg"]


class Input(NamedTuple):
    """what: in words. write(folder): makes it. words: of the command, run in that folder. code, says: what is right.

    says: a regular expression of what stands in the output; the first line with a match is told.
    """

    what: str
    write: Callable[[Path], Any]
    words: list[str]
    code: int
    says: str


def ring(count: int = 60) -> np.ndarray:
    """Points of the unit circle."""
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, count)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def text(between: str = ",", head: tuple[str, ...] = ("x", "y"), cell: str = "{:.5f}", points=None) -> str:
    """A table as text: cells with `between` between them, after a line of names if there are any."""
    rows = ring() if points is None else points
    lines = [between.join(head)] if head else []
    return "\n".join([*lines, *(between.join(cell.format(value) for value in row) for row in rows)]) + "\n"


def file(name: str, content: str | bytes) -> Callable[[Path], Any]:
    """Writes one file."""
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def frame(name: str, write: str, points=None) -> Callable[[Path], Any]:
    """Writes a data frame by one of polars's own methods."""
    rows = ring() if points is None else points
    return lambda folder: getattr(pl.DataFrame(rows, schema=["x", "y"]), write)(folder / name)


def saved(name: str, array) -> Callable[[Path], Any]:
    """Writes an array by NumPy."""
    return lambda folder: np.save(folder / name, array, allow_pickle=True)


def fit(name: str, *more: str) -> list[str]:
    """The words that fit a file."""
    return ["fit", name, *MODEL, *more]


def readable() -> list[Input]:
    """One ring in every dialect."""
    circle = "topology: 1 component, closed"
    comma = text(";", cell="{:.5f}").replace(".", ",")
    quoted = text(cell='"{:.5f}"', head=('"x"', '"y"'))
    return [
        Input("semicolons", file("t.csv", text(";")), fit("t.csv"), 0, circle),
        Input("semicolons and decimal commas", file("t.csv", comma), fit("t.csv"), 0, circle),
        Input("tabs", file("t.tsv", text("\t")), fit("t.tsv"), 0, circle),
        Input("blanks, no names", file("t.txt", text("  ", ())), fit("t.txt"), 0, circle),
        Input("bars", file("t.csv", text("|")), fit("t.csv"), 0, circle),
        Input("quotes", file("t.csv", quoted), fit("t.csv"), 0, circle),
        Input("lines of comments", file("t.csv", "# instrument 3\n" + text()), fit("t.csv"), 0, circle),
        Input(
            "Windows line ends, byte order mark",
            file("t.csv", "\ufeff" + text().replace("\n", "\r\n")),
            fit("t.csv"),
            0,
            circle,
        ),
        Input("gzip", file("t.csv.gz", gzip.compress(text().encode())), fit("t.csv.gz"), 0, circle),
        Input("Parquet", frame("t.parquet", "write_parquet"), fit("t.parquet"), 0, circle),
        Input("Arrow", frame("t.arrow", "write_ipc"), fit("t.arrow"), 0, circle),
        Input("NumPy", saved("t.npy", ring()), fit("t.npy"), 0, circle),
    ]


def columns() -> list[Input]:
    """Columns that are not what they look like, and what is said of them."""
    rows = ring()
    named = np.column_stack([np.arange(60), rows])
    words = "\n".join(["id,x,y", *(f"p{row},{x:.5f},{y:.5f}" for row, (x, y) in enumerate(rows))]) + "\n"
    numbered = text(head=("id", "x", "y"), points=named)
    missing = text().replace(text().splitlines()[5], text().splitlines()[5].split(",")[0] + ",")
    constant = text(head=("x", "y", "z"), points=np.column_stack([rows, np.ones(60)]))
    repeated = text(points=np.concatenate([rows, rows[:40]]))
    return [
        Input("a column of text", file("t.csv", words), fit("t.csv"), 0, "left out"),
        Input("a column of row numbers", file("t.csv", numbered), fit("t.csv"), 0, "advice: .*row number"),
        Input(
            "the same, `--columns x,y`",
            file("t.csv", numbered),
            fit("t.csv", "--columns", "x,y"),
            0,
            "1 component, closed",
        ),
        Input("an unknown column, `--columns x,z`", file("t.csv", words), fit("t.csv", "--columns", "x,z"), 2, "z"),
        Input("a missing cell", file("t.csv", missing), fit("t.csv"), 2, "missing"),
        Input(
            "the same, `--missing drop`",
            file("t.csv", missing),
            fit("t.csv", "--missing", "drop"),
            0,
            "1 component, closed",
        ),
        Input("a constant column", file("t.csv", constant), fit("t.csv"), 0, "advice: .*constant"),
        Input("two fifths of the rows twice", file("t.csv", repeated), fit("t.csv"), 0, "next: .*repeat"),
        Input("NaN and inf", file("t.csv", text() + "nan,1\ninf,2\n"), fit("t.csv"), 2, "error"),
    ]


def meanings() -> list[Input]:
    """Angles, places and rotations, with and without saying so."""
    random = np.random.default_rng(0)
    degrees = random.uniform(-180, 180, (300, 2))
    angles = "\n".join(["residue,phi,psi", *(f"G{row},{a:.1f},{b:.1f}" for row, (a, b) in enumerate(degrees))]) + "\n"
    normal = random.normal(size=(500, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    places = np.degrees(np.column_stack([np.arctan2(normal[:, 1], normal[:, 0]), np.arcsin(normal[:, 2])]))
    globe = text(head=("lon", "lat"), points=places)
    height = np.column_stack([degrees[:, 0], random.uniform(-1, 1, 300)])
    half = random.uniform(-np.pi, np.pi, 300) / 2
    turns = text(head=("w", "x", "y", "z"), points=np.column_stack([np.cos(half), np.sin(half), 0 * half, 0 * half]))
    nine = text(head=tuple(f"r{i}{j}" for i in "123" for j in "123"), points=random.normal(size=(60, 9)))
    chosen = ["--columns", "phi,psi", *DEGREES]
    matrix = ["--rotation-matrix", "r11,r12,r13,r21,r22,r23,r31,r32,r33"]
    return [
        Input(
            "two angles in degrees that fill the plane, unsaid",
            file("t.csv", angles),
            fit("t.csv"),
            2,
            "advice: .*angle",
        ),
        Input("the same, `--angles deg`", file("t.csv", angles), fit("t.csv", *chosen), 0, "codimension 2"),
        Input("longitude and latitude, unsaid", file("t.csv", globe), fit("t.csv"), 2, "advice: .*lonlat"),
        Input(
            "the same, `--lonlat lon,lat`",
            file("t.csv", globe),
            fit("t.csv", "--lonlat", "lon,lat"),
            0,
            r"genus 0 \(sphere\)",
        ),
        Input(
            "an angle and a height, `--angle-columns a`",
            file("t.csv", text(head=("a", "h"), points=height)),
            fit("t.csv", *DEGREES, "--angle-columns", "a"),
            0,
            "codimension 1",
        ),
        Input(
            "quaternions about one axis, `--quaternion`",
            file("t.csv", turns),
            fit("t.csv", "--quaternion", "w,x,y,z"),
            0,
            "1 component, closed",
        ),
        Input("matrices that do not turn, `--rotation-matrix`", file("t.csv", nine), fit("t.csv", *matrix), 2, "error"),
        Input(
            "latitudes of 120°, `--lonlat`",
            file("t.csv", text(head=("lon", "lat"), points=places + 60)),
            fit("t.csv", "--lonlat", "lon,lat"),
            2,
            "error",
        ),
    ]


def extremes() -> list[Input]:
    """Sizes, shapes and what is no table."""

    def path(folder):
        (folder / "t.csv").mkdir()

    def taken(folder):
        (folder / "t.csv").write_text(text())
        (folder / "model").mkdir()

    def shut(folder):
        (folder / "t.csv").write_text(text())
        (folder / "f").write_text("")

    cube = np.random.default_rng(0).normal(size=(300, 64))
    return [
        Input("1e300", file("t.csv", text(cell="{:.5f}e300")), fit("t.csv"), 2, "error"),
        Input("1e-310", file("t.csv", text(cell="{:.5f}e-310")), fit("t.csv"), 2, "error"),
        Input("64 columns of noise", saved("t.npy", cube), fit("t.npy"), 2, "no codimension is to be seen"),
        Input("one column", file("t.csv", text(head=("x",), points=ring()[:, :1])), fit("t.csv"), 2, "one coordinate"),
        Input("two rows", file("t.csv", text(points=ring(2))), fit("t.csv"), 2, "too few"),
        Input("one row sixty times", file("t.csv", text(points=np.ones((60, 2)))), fit("t.csv"), 2, "too few"),
        Input("an empty file", file("t.csv", ""), fit("t.csv"), 2, "error"),
        Input("words alone", file("t.csv", "a,b\nc,d\ne,f\n"), fit("t.csv"), 2, "error"),
        Input("bytes", file("t.csv", bytes(range(256)) * 4), fit("t.csv"), 2, "error"),
        Input("rows of uneven length", file("t.csv", text() + "1,2,3\n"), fit("t.csv"), 2, "error"),
        Input("an array of three axes", saved("t.npy", np.zeros((5, 5, 5))), fit("t.npy"), 2, "error"),
        Input("pickled objects", saved("t.npy", np.array([{}, []], object)), fit("t.npy"), 2, "error"),
        Input("no file", lambda folder: None, fit("t.csv"), 2, "error"),
        Input("a directory", path, fit("t.csv"), 2, "error"),
        Input("a model that exists", taken, fit("t.csv"), 2, "exists"),
        Input("a model under a file", shut, ["fit", "t.csv", "--out", "f/model"], 2, "cannot be made"),
        Input(
            "`--energy-loss likelyhood`",
            file("t.csv", text()),
            fit("t.csv", "--energy-loss", "likelyhood"),
            2,
            "likelihood",
        ),
        Input(
            "`--zero-set.restarts 0`", file("t.csv", text()), fit("t.csv", "--zero-set.restarts", "0"), 2, "restarts"
        ),
    ]


CASES = {
    "spiral": ([], 0, "open"),
    "moons": ([], 0, "2 components"),
    "hemisphere": ([], 0, "1 component"),
    "ring5d": (["--codimension", "4"], 0, "1 component, closed"),
    "text_id": ([], 0, "left out"),
    "numeric_id": ([], 0, "advice: .*row number"),
    "missing": (["--missing", "drop"], 0, "1 component, closed"),
    "semicolon": ([], 0, "1 component, closed"),
    "tabs": ([], 0, "1 component, closed"),
    "quoted": ([], 0, "1 component, closed"),
    "comments": ([], 0, "1 component, closed"),
    "spaces": ([], 0, "1 component, closed"),
    "huge": ([], 2, "error"),
    "tiny": ([], 2, "error"),
    "angles_degrees": ([*DEGREES, "--columns", "phi,psi"], 0, "codimension 2"),
}
"""Options, exit code and words of files that were given to us with what is right."""


def cases(folder: Path) -> list[Input]:
    """Those files, of a folder."""
    found = []
    for stem, (options, code, says) in CASES.items():
        path = next(folder.glob(f"{stem}.*"))
        words = fit(path.name, *options)
        found.append(Input(f"case `{path.name}`", file(path.name, path.read_bytes()), words, code, says))
    return found
