"""Fixtures every test may use: the two precisions, and level sets with known answers."""

import gc
import os
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

from implicit_manifolds import EnergyConfig, FitConfig, LikelihoodConfig, ManifoldConfig, ScoreMatchingConfig
from implicit_manifolds.manifold.analytic import torus, torus_point
from implicit_manifolds.training.loop import initial_state, train
from implicit_manifolds.training.objective import LossObjective

# Most of the suite's time is compilation of small programs, which splitting for more cores and LLVM's dearer passes
# only slow.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_parallel_codegen_split_count=1 --xla_backend_optimization_level=1"
    " --xla_llvm_disable_expensive_passes=true",
)

# Shapes that fit by accident are mistakes, in the tests and in what they call.
jax.config.update("jax_numpy_rank_promotion", "raise")

MANY_AREAS = 25_000  # of memory that a worker has mapped

# Programs compiled by an earlier run are kept: a second run compiles next to nothing. Tests that start processes of
# their own pass it on.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update(
    "jax_persistent_cache_min_compile_time_secs", float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"])
)


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Drop compiled programs before Linux aborts: a process may map 65,530 areas of memory, a program takes several."""
    yield
    areas = Path("/proc/self/maps")
    if areas.exists() and areas.read_bytes().count(b"\n") > MANY_AREAS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(params=["float32", pytest.param("float64", marks=pytest.mark.slow)])
def dtype(request):
    """Run the test in both precisions, the double one among the slow tests; x64 is on for float64 alone."""
    with jax.enable_x64(request.param == "float64"):
        yield jnp.dtype(request.param)


@pytest.fixture
def x64():
    """Run the test in float64, where finite differences mean something."""
    with jax.enable_x64(True):
        yield


def _quadratic(coefficients, x):
    curvature, slope, offset = coefficients
    return jnp.einsum("kij,i,j->k", curvature, x, x) + slope @ x - offset


def quadratic_map(dimension, codimension, dtype, seed=0):
    """A random quadratic F: R^n -> R^k, well conditioned near the zero that comes with it, (n,)."""
    rng = np.random.default_rng(seed)
    curvature = 0.1 * rng.normal(size=(codimension, dimension, dimension))
    slope = np.linalg.qr(rng.normal(size=(dimension, codimension)))[0].T * np.linspace(1, 2, codimension)[:, None]
    zero = 0.3 * rng.normal(size=dimension)
    offset = np.einsum("kij,i,j->k", curvature, zero, zero) + slope @ zero
    coefficients = tuple(jnp.asarray(part, dtype) for part in (curvature, slope, offset))
    return Partial(_quadratic, coefficients), jnp.asarray(zero, dtype)


def _affine(parameters, x):
    matrix, offset = parameters
    return matrix @ x - offset


def affine_map(matrix, offset, dtype):
    """F(x) = A x - b."""
    return Partial(_affine, (jnp.asarray(matrix, dtype), jnp.asarray(offset, dtype)))


def _scaled(factor, mdf, x):
    return factor * mdf(x)


def scaled(mdf, factor, dtype):
    """x -> c F(x): the same manifold in other units of F, c a scalar or one factor for each constraint."""
    return Partial(_scaled, jnp.asarray(factor, dtype), mdf)


def _quadratic_or_torus(coefficients, weight, x):
    bend = weight * torus()(x[:3])
    return _quadratic(coefficients, x) + jnp.pad(bend, (0, coefficients[2].size - 1))


def problem(name, count, dtype, seed=3):
    """A "sphere", "torus", "circle_in_space" or "quadratic" as F: R^6 -> R^3, with `count` of its points.

    Spare constraints are planes. All share one shape and one tree, so a program compiled for the first serves all.
    """
    rng = np.random.default_rng(seed)
    points, angles = np.zeros((count, 6)), rng.uniform(-np.pi, np.pi, size=(2, count))
    curvature, slope, offset = np.zeros((3, 6, 6)), np.zeros((3, 6)), np.zeros(3)
    if name == "sphere":
        curvature[0, :4, :4], offset[0], slope[1, 4], slope[2, 5] = np.eye(4), 4, 1, 1
        direction = rng.normal(size=(count, 4))
        points[:, :4] = 2 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    elif name == "torus":
        slope[1, 3], slope[2, 4] = 1, 1
        points[:, :3] = torus_point(*angles)
    elif name == "circle_in_space":
        curvature[0, :3, :3], offset[0], slope[1, 2], slope[2, 3] = np.eye(3), 1.5**2, 1, 1
        points[:, :2] = 1.5 * np.stack([np.cos(angles[0]), np.sin(angles[0])], axis=1)
    else:
        mdf, zero = quadratic_map(6, 3, dtype)
        curvature, slope, offset = mdf.args[0]
        points[:] = zero
    coefficients = tuple(jnp.asarray(part, dtype) for part in (curvature, slope, offset))
    weight = jnp.asarray(float(name == "torus"), dtype)
    return Partial(_quadratic_or_torus, coefficients, weight), jnp.asarray(points, dtype)


def quadric(curvature, constant, x):
    """F(x) = Σ c_i x_i² - c₀: spheres, ellipsoids, and with c₀ < 0 no zeros at all."""
    return jnp.sum(curvature * x**2, keepdims=True) - constant


def _level(is_torus, radii, curvature, constant, offset, x):
    x = x - offset
    branches = [lambda x: quadric(curvature, constant, x), lambda x: torus().func(radii[0], radii[1], x)]
    return jax.lax.switch(is_torus, branches, x)


def level(name, size, dtype, offset=0.0):
    """A sphere, torus or ellipsoid of `size` (radius, radii or axes), "no zeros" or a "plateau", as F: R^3 -> R.

    All share one shape and one tree, so a program compiled for the first serves them all.
    """
    size = np.broadcast_to(np.asarray(size, np.float64), 3)
    curvature, constant = np.ones(3), {"sphere": size[0] ** 2, "ellipsoid": 1.0}.get(name, -1.0)
    if name == "ellipsoid":
        curvature = size**-2.0
    elif name == "plateau":
        curvature = np.zeros(3)
    numbers = (jnp.asarray(part, dtype) for part in (size[:2], curvature, constant, np.full(3, offset)))
    return Partial(_level, jnp.asarray(int(name == "torus")), *numbers)


def array_sizes(function, *arguments):
    """Sizes of all arrays that the traced program computes, those of its inner loops included."""

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            yield from (variable.aval.size for variable in equation.outvars if hasattr(variable.aval, "size"))
            for value in equation.params.values():
                for inner in value if isinstance(value, (tuple, list)) else [value]:
                    inner = getattr(inner, "jaxpr", inner)
                    if hasattr(inner, "eqns"):
                        yield from walk(inner)

    return list(walk(jax.make_jaxpr(function)(*arguments).jaxpr))


@pytest.fixture(scope="session")
def build():
    """The builders of level sets, under one name."""
    return types.SimpleNamespace(
        quadratic_map=quadratic_map,
        affine_map=affine_map,
        scaled=scaled,
        problem=problem,
        level=level,
        quadric=quadric,
        array_sizes=array_sizes,
    )


def _linear_energy(slope, x):
    return jnp.vdot(slope, x)


@pytest.fixture(scope="session")
def linear_energy():
    """slope -> (x -> slope · x), a callable pytree."""
    return lambda slope: Partial(_linear_energy, slope)


@pytest.fixture(scope="session")
def bent_to():
    """(model, points, target, steps) -> the model after so many steps of Adam on (model - target)², which fell by 70 %.

    target: of one point.
    """

    def bent(model, points, target, steps):
        def loss(key, model, batch):
            value = jnp.mean(jax.vmap(lambda x: model(x) - target(x))(batch) ** 2)
            return value, {"value": value}

        objective, optimizer = LossObjective(Partial(loss)), optax.adam(0.01)
        state = initial_state(jax.random.key(0), objective, optimizer, model)
        state, history = train(objective, optimizer, state, jnp.asarray(points), num_steps=steps, batch_size=50)
        assert history.terms["value"][-1] < 0.3 * history.terms["value"][0]
        return state.model

    return bent


@pytest.fixture(scope="session")
def quick():
    """Settings under which a fit takes seconds and is still roughly right."""
    return FitConfig(
        ManifoldConfig(hidden=(16,), restarts=2, warmup_steps=500, num_steps=50, langevin_steps=5, buffer_size=100),
        EnergyConfig(hidden=(8,), num_steps=50, langevin_steps=3, buffer_size=100, starts=50),
        LikelihoodConfig(
            hidden=(8,), features=4, members=2, num_steps=100, pool_size=1000, pool_batch=200, held_out=999
        ),
        ScoreMatchingConfig(hidden=(8,), features=4, members=2, num_steps=50),
        manifold="zero-set",
    )
