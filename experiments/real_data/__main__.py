"""Real data by every form of a manifold: `python -m experiments.real_data`.

A cell a data set, form, split and seed, kept under results/real_data; `--only NAME ...`, `--forms FORM ...`,
`--splits SPLIT ...` and `--seeds N` choose what is run, and the tables of docs/real_data.md are then written anew from
all cells there are.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Literal, get_args

import jax
import numpy as np

from experiments.common.cells import cell_path, write_cell
from experiments.common.command import main
from experiments.common.markdown import replace_between_marks
from experiments.real_data import judging, kernels, sets, surfaces
from experiments.real_data.splits import How, split_rows, twins
from experiments.real_data.tables import CELLS, PAGE, TABLES
from implicit_manifolds import FitConfig, fit
from implicit_manifolds.errors import DataUnavailable, InputError

NAMES = (*sets.LOADERS, *sets.MESHES)
Way = Literal["kernels", "zero-set", "auto", "ridge"]
"""A form of M, or kernels on the manifold that is given."""


@dataclass(frozen=True)
class Options:
    """only, forms, splits: names of data sets, forms and splits; all unless given. seeds: how many of each."""

    only: tuple[str, ...] = ()
    forms: tuple[Way, ...] = ()
    splits: tuple[How, ...] = ()
    seeds: int = 1


def run(options: Options) -> None:
    """Fill the cells asked for that are missing, then write the tables. Raises InputError for an unknown name."""
    if unknown := set(options.only) - set(NAMES):
        raise InputError(f"there is no {sorted(unknown)[0]!r}; there are {', '.join(NAMES)}")
    for seed, name in product(range(options.seeds), options.only or NAMES):
        try:
            fill(name, options.forms or get_args(Way), options.splits or get_args(How), seed)
        except DataUnavailable as error:
            print(error, file=sys.stderr)
    for name, table in TABLES.items():
        replace_between_marks(PAGE, name, table())


def fill(name: str, forms: tuple[Way, ...], splits: tuple[How, ...], seed: int) -> None:
    """Fill the cells of a data set that are missing. Raises DataUnavailable."""
    if name in sets.MESHES:
        surface = surfaces.load(name, seed)
        for form in forms:
            if form != "kernels" and "random" in splits:
                fit_surface = partial(surfaces.fitted, form, surface, seed)
                _cell(name, form, "random", seed, fit_surface, partial(surfaces.judged, surface=surface))
        return
    data = sets.load(name)
    for how, form in product(data.splits, forms):
        if how not in splits:
            continue
        train, test = split_rows(data.rows, data.groups, how, seed)
        if form != "kernels":
            points = data.points(data.rows)
            codimension = data.codimension if form == "zero-set" else None
            fit_set = partial(fit, jax.random.key(seed), points[train], codimension, FitConfig(manifold=form))
            _cell(name, form, how, seed, fit_set, partial(judging.of_set, data=data, test=points[test]))
        elif data.given is not None:
            _cell(name, form, how, seed, partial(_kernels, data, how, seed, train, test), dict)


def _kernels(data: sets.DataSet, how: How, seed: int, train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """Kernels on the given manifold, their widths chosen by a split of the training rows of the same kind."""
    assert data.given is not None
    inner = split_rows(data.rows[train], None if data.groups is None else data.groups[train], how, seed + 1)
    embedded, rows = data.embedded(data.rows), data.rows[test]
    fold = embedded[train[inner[0]]], embedded[train[inner[1]]]
    told = kernels.judged(data.given, embedded[train], fold, embedded[test])
    area = float(data.log_area(rows).mean())
    told |= {key: told[key] + area for key in ("nll", "nll_uniform")}
    told["nll_narrow"] = [value + area for value in told["nll_narrow"]]
    return told | {"train": len(train), "test": len(test), "twins": twins(data.rows[train], rows)}


def _cell(
    name: str, form: str, how: str, seed: int, fitted: Callable[[], Any], judged: Callable[[Any], dict[str, Any]]
) -> None:
    """Fit and judge where the cell is missing; it tells what was warned of, and the sentence of what was refused."""
    path = cell_path(CELLS, name, form, how, seed=seed)
    if path.exists():
        return

    def tried(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (InputError, ArithmeticError) as error:
            return Failed(str(error))

    def judge(found: Any) -> dict[str, Any]:
        told = found if isinstance(found, Failed) else tried(lambda: judged(found))
        said = sorted({str(one.message).split("\n")[0] for one in caught if one.category is UserWarning})
        return ({"failed": str(told)} if isinstance(told, Failed) else told) | {"warnings": said}

    identity = {"data": name, "form": form, "split": how, "seed": seed}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_cell(path, identity, lambda: tried(fitted), judge)


class Failed(str):
    """The sentence with which a fit or its judging ended."""


if __name__ == "__main__":
    main(run, Options)
