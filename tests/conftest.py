"""Fixtures every test may use: the two precisions, and level sets with known answers."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Run the test in both precisions; x64 is on for float64 alone."""
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


def _ellipse(axes, x):
    return jnp.sum((x / axes) ** 2, keepdims=True) - 1


def ellipse(axes, dtype):
    """F(x) = Σ (x_i / a_i)² - 1."""
    return Partial(_ellipse, jnp.asarray(axes, dtype))


def _scaled(factor, mdf, x):
    return factor * mdf(x)


def scaled(mdf, factor, dtype):
    """x -> c F(x): the same manifold in other units of F, c a scalar or one factor for each constraint."""
    return Partial(_scaled, jnp.asarray(factor, dtype), mdf)


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
        quadratic_map=quadratic_map, affine_map=affine_map, ellipse=ellipse, scaled=scaled, array_sizes=array_sizes
    )


def _linear_energy(slope, x):
    return jnp.vdot(slope, x)


@pytest.fixture(scope="session")
def linear_energy():
    """slope -> (x -> slope · x), a callable pytree."""
    return lambda slope: Partial(_linear_energy, slope)
