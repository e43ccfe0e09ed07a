"""Whatever the library compiles is lowered for CUDA and TPU as well, in single precision and without the host."""

import importlib
import pkgutil
import re
from contextlib import contextmanager
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export
from jax.tree_util import Partial
from jaxtyping import config

import implicit_manifolds as im
from implicit_manifolds import baselines, functional, manifold, mcmc
from implicit_manifolds.ebim.dimension import DenoisingConfig
from implicit_manifolds.ebim.ridge import RidgeConfig
from implicit_manifolds.manifold.analytic import sphere, stiefel
from implicit_manifolds.networks.images import ImageEnergy, UNet

PLATFORMS = ["cuda", "tpu"]
HOT = {"_train_chunk", "_run_chunk", "_adapt"}
"""Loops in which a library call a lane would be most of the time."""
LIBRARY = re.compile(r"cusolver|cublas|lapack|\bLu|\bEigh|\bQr|Cholesky", re.IGNORECASE)


@contextmanager
def unchecked():
    """JAX puts shapes in place of arrays, which the annotations that are checked in tests do not allow."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)


def lowered(function, *arguments, **named) -> set[str]:
    """Library calls of a program for both platforms, which must lower; it may hold no double and no way to the host."""
    with unchecked():
        text = export.export(function, platforms=PLATFORMS)(*arguments, **named).mlir_module()
    assert not re.search(r"\bf64\b|xf64>", text)
    calls = set(re.findall(r"custom_call @([\w.]+)", text))
    assert not [call for call in calls if "callback" in call]
    return {call for call in calls if LIBRARY.search(call)}


class Recorded:
    """A jitted function that keeps, for each setting of what is static, the shapes that it was first called with."""

    def __init__(self, function, calls):
        self.function, self.calls = function, calls

    def __call__(self, *arguments, **named):
        leaves, structure = jax.tree.flatten((arguments, named))
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            shapes = [
                jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if isinstance(leaf, jax.Array | np.ndarray) else leaf
                for leaf in leaves
            ]
            others = str([leaf for leaf in shapes if not isinstance(leaf, jax.ShapeDtypeStruct | float)])
            key = self.function.__module__, self.function.__name__, str(structure), others
            self.calls.setdefault(key, (self.function, structure, shapes))
        return self.function(*arguments, **named)

    def __getattr__(self, name):
        return getattr(self.function, name)


@pytest.fixture
def recorded(monkeypatch):
    """All calls of the package's jitted functions while the test runs."""
    calls, wrapped, jitted = {}, {}, type(jax.jit(abs))
    for info in pkgutil.walk_packages(im.__path__, "implicit_manifolds."):
        module = importlib.import_module(info.name)
        for name, value in list(vars(module).items()):
            if isinstance(value, jitted):
                wrapper = wrapped.setdefault(id(value), Recorded(value, calls))
                monkeypatch.setattr(module, name, wrapper)
    assert len(wrapped) > 15
    return calls


def check(calls, names):
    """Lower all that was recorded; the functions of these names must be among it."""
    assert names <= {key[1] for key in calls}
    for key, (function, structure, shapes) in calls.items():
        with unchecked():
            arguments, named = jax.tree.unflatten(structure, shapes)
        library = lowered(function, *arguments, **named)
        assert key[1] not in HOT or not library, key


def ring(count=200):
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, count)
    return np.column_stack([np.cos(angle), np.sin(angle)])


@pytest.fixture
def brief(quick):
    return replace(
        quick,
        zero_set=replace(quick.zero_set, num_steps=4),
        energy=replace(quick.energy, num_steps=4),
        likelihood=replace(quick.likelihood, num_steps=4),
        score_matching=replace(quick.score_matching, num_steps=4),
    )


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["likelihood", "contrastive", "score-matching"])
@pytest.mark.filterwarnings("ignore:the points are")
def test_a_fit_of_a_zero_set_and_its_verbs(brief, recorded, loss):
    model = im.fit(jax.random.key(0), ring(), 1, replace(brief, energy_loss=loss)).model
    im.sample(jax.random.key(1), model, 100)
    im.log_density(model, ring(10))
    check(recorded, {"_train_chunk", "_over_rows"})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_fit_of_a_ridge_and_its_verbs(brief, recorded):
    denoising = DenoisingConfig(hidden=(16, 16), num_steps=300)
    ridge = RidgeConfig(denoising=denoising, num_steps=300, doublings=0)
    model = im.fit(jax.random.key(0), ring(), 1, replace(brief, manifold="ridge", ridge=ridge)).model
    im.sample(jax.random.key(1), model, 100)
    im.log_density(model, ring(10))
    check(recorded, {"_train_chunk", "_over_rows"})


def _first(x):
    return -x[0]


ENERGY = Partial(_first)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [mcmc.ConstrainedHMC, mcmc.GeodesicLangevin, mcmc.ConstrainedLangevin, mcmc.Langevin])
def test_runs_of_chains_with_ten_constraints(recorded, kind):
    sampler = kind(ENERGY) if kind is mcmc.Langevin else kind(stiefel(4), ENERGY)
    starts = np.tile(np.eye(4, dtype=np.float32).reshape(-1), (4, 1))
    warm_up = {"num_warmup": 50} if kind is mcmc.ConstrainedHMC else {}
    mcmc.run(jax.random.key(0), sampler, starts, 2, **warm_up)
    check(recorded, {"_run_chunk"})


@pytest.mark.slow
def test_jumps_on_a_manifold_of_four_constraints_and_whole_chains():
    box = im.Box(jnp.full(6, -2.0), jnp.full(6, 2.0))
    planes = manifold.intersection(*(Partial(_coordinate, jnp.asarray(i)) for i in range(3)), Partial(_tail))
    start = jnp.asarray([0.0, 0, 0, 1, 0, 0])
    charted = im.cover(jax.random.key(0), im.Manifold(planes, box, start[None]))
    sampler = mcmc.ConstrainedHMC(planes, ENERGY, atlas=charted.atlas)
    chain = lambda key, sampler, x: mcmc.sample_chain(key, sampler, x, 3)
    assert not lowered(jax.jit(chain), jax.random.key(0), sampler, start)


def _coordinate(i, x):
    return x[i][None]


def _tail(x):
    return jnp.sum(x[3:] ** 2, keepdims=True) - 1


@pytest.mark.slow
def test_pure_functions_of_a_model_and_their_gradients():
    box = im.Box(jnp.full(2, -1.4), jnp.full(2, 1.4))
    charted = im.cover(jax.random.key(0), im.Manifold(sphere(1.0), box, jnp.asarray([[1.0, 0.0]])))
    scaling = im.scaling.Scaling(np.zeros(2), np.asarray([1.0, 3.0]))
    model = im.EBIM(charted, ENERGY, scaling, im.ebim.model.ChainScales(0.1), im.volumes.pools.Estimate(0.0, 0.0))
    x, key = jnp.asarray([0.6, 2.4]), jax.random.key(0)
    for one in (functional.log_density, functional.energy, functional.nearest_point, functional.residual,
                functional.tangent_basis, jax.grad(functional.log_density, argnums=(0, 1))):  # fmt: skip
        assert not lowered(jax.jit(one), model, x)
    assert not lowered(jax.jit(functional.draw), key, model)
    assert not lowered(jax.jit(lambda key, model: functional.sample(key, model, 10)), key, model)
    assert not lowered(jax.jit(lambda key, model: functional.sample(key, model, 10, method="chains")), key, model)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["quasi_newton", "gradient_descent", "lbfgs"])
def test_solvers_projections_and_geodesics(solver):
    mdf, start = stiefel(4), jnp.eye(4).reshape(-1)
    solve = lambda x, y: getattr(manifold, solver)(mdf, manifold.linearize(mdf, x), y)
    assert not lowered(jax.jit(solve), start, start + 0.1)
    assert not lowered(jax.jit(lambda x: manifold.project(mdf, x)), start)
    assert not lowered(jax.jit(lambda x, v: manifold.exponential_map(mdf, x, v, 4)), start, 0.1 * start)


@pytest.mark.slow
def test_a_pushforward_model_is_trained_and_scored(recorded):
    config = baselines.FreeFormConfig(width=8, blocks=1, num_steps=2)
    model = baselines.fit_free_form_flow(jax.random.key(0), ring(), 1, config).model
    baselines.log_density(model, ring(10))
    check(recorded, {"_train_chunk"})


@pytest.mark.slow
def test_networks_of_images_are_differentiated():
    image = jnp.zeros(784)
    for network in (UNet(2, rngs=nnx.Rngs(0)), ImageEnergy(2, rngs=nnx.Rngs(0))):
        slope = jax.grad(lambda network, x: jnp.sum(network(x) ** 2), argnums=(0, 1))
        assert not lowered(jax.jit(slope), network, image)
