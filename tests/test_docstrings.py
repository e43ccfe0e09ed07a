"""Docstrings of exported functions say what goes in and what comes out, and their examples run."""

import doctest
import inspect
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import implicit_manifolds as im
from implicit_manifolds import baselines, functional, manifold, mcmc, targets
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.atlas import pool_source
from implicit_manifolds.volumes.importance import log_normalizer


def exported(room, prefix=""):
    """What a room's front says it has, by name."""
    found = {name: value for name, value in vars(room).items() if inspect.isfunction(value) or inspect.isclass(value)}
    return {prefix + name: value for name, value in found.items()}


ROOMS = {"functional.": functional, "manifold.": manifold, "mcmc.": mcmc, "targets.": targets, "baselines.": baselines}
EXPORTED = exported(im)
for prefix, room in ROOMS.items():
    EXPORTED |= exported(room, prefix)
FUNCTIONS = {name: value for name, value in EXPORTED.items() if inspect.isfunction(value)}
WITH_EXAMPLES = {name: value for name, value in EXPORTED.items() if ">>>" in (value.__doc__ or "")}


def _constant(level, x):
    return level + 0 * x[0]


def uniform(dimension):
    """The unit sphere of R^n in its box, and a model with the uniform law on it."""
    axes = np.concatenate([np.eye(dimension), -np.eye(dimension)]).astype(np.float32)
    box = im.Box(jnp.full(dimension, -1.5), jnp.full(dimension, 1.5))
    charted = im.cover(jax.random.key(0), im.Manifold(sphere(1.0), box, jnp.asarray(axes)))
    energy = Partial(_constant, jnp.zeros(()))
    normalizer = log_normalizer(jax.random.key(1), pool_source(charted), energy)
    return charted, im.EBIM(charted, energy, Scaling(np.zeros(dimension), 1.0), ChainScales(0.1), normalizer)


@pytest.fixture(scope="module")
def names():
    """What every example may use: modules, a unit circle, uniform laws on it and on a sphere, points of a ring."""
    circle, model = uniform(2)
    modules = {"im": im, "jax": jax, "jnp": jnp, "np": np, "manifold": manifold, "mcmc": mcmc, "baselines": baselines}
    return modules | {"circle": circle, "model": model, "ball": uniform(3)[1], "points": ring()}


def test_every_exported_function_names_its_arguments_its_result_and_has_an_example():
    assert len(FUNCTIONS) > 10
    for name, function in FUNCTIONS.items():
        described = inspect.getdoc(function)
        for part in ("Arguments:", "Returns:", ">>> "):
            assert part in described, f"{name} lacks {part}"
        listed = described.split("Arguments:")[1].split("Returns:")[0].replace(",", ":")
        for argument in inspect.signature(function).parameters:
            assert f" {argument}:" in listed, f"{name} does not say what {argument} is"


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_docstrings_run(name, names, tmp_path, request):
    known = names | {"folder": tmp_path}
    for needed in ("fitted", "pushed", "brief"):
        if needed in WITH_EXAMPLES[name].__doc__.split(">>>", 1)[1]:
            known[needed] = request.getfixturevalue(needed)
    [example] = doctest.DocTestFinder(recurse=False).find(WITH_EXAMPLES[name], name, globs=known)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, clear_globs=False)
    assert runner.failures == 0


def ring():
    """300 points of the unit circle."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 300)
    return np.column_stack([np.cos(angle), np.sin(angle)])


@pytest.fixture(scope="module")
def fitted(quick):
    """A small model of a ring, made by `fit`, as only such models can be saved."""
    return im.fit(jax.random.key(0), ring(), 1, quick).model


@pytest.fixture(scope="module")
def pushed():
    """A pushforward model of a ring, hardly trained."""
    config = baselines.FreeFormConfig(width=8, blocks=1, num_steps=2)
    return baselines.fit_free_form_flow(jax.random.key(0), ring(), 1, config).model


@pytest.fixture(scope="module")
def brief(quick):
    """Settings of a law of codes that trains in a moment."""
    return baselines.LatentEnergyConfig(replace(quick.likelihood, num_steps=2))
