import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from implicit_manifolds.networks.flows import Flow
from implicit_manifolds.networks.splines import SMALLEST, spline

BOUND = 3.0


def parameters(seed, bins=6, size=2.0):
    return jnp.asarray(size * np.random.default_rng(seed).normal(size=3 * bins - 1))


@jax.jit
def both_ways(x, parameters):
    """y and log y' of numbers x (N,), the way back from y, and the derivative by JAX."""
    forward = lambda x: spline(x, parameters, BOUND)
    y, log_slope = jax.vmap(forward)(x)
    back, log_inverse = jax.vmap(lambda y: spline(y, parameters, BOUND, inverse=True))(y)
    return y, log_slope, back, log_inverse, jax.vmap(jax.grad(lambda x: forward(x)[0]))(x)


@pytest.mark.parametrize("seed", range(3))
def test_a_spline_rises_inverts_and_knows_its_slope(x64, seed):
    x = jnp.linspace(-1.5 * BOUND, 1.5 * BOUND, 2001)
    y, log_slope, back, log_inverse, slope = both_ways(x, parameters(seed))
    assert (np.diff(y) > 0).all()
    np.testing.assert_allclose(back, x, atol=1e-10)
    np.testing.assert_allclose(log_inverse, -log_slope, atol=1e-8)
    np.testing.assert_allclose(np.exp(log_slope), slope, rtol=1e-10)
    outside = np.abs(x) >= BOUND
    np.testing.assert_array_equal(y[outside], x[outside])
    # The slope is continuous everywhere, at knots and at the ends as well.
    fine = jnp.linspace(-1.01 * BOUND, 1.01 * BOUND, 400_001)
    jumps = np.abs(np.diff(both_ways(fine, parameters(seed))[4]))
    assert jumps.max() < 0.01 * np.abs(slope).max()


def test_a_spline_of_equal_bins_and_unit_slopes_is_the_identity(x64):
    flat = jnp.concatenate([jnp.zeros(12), jnp.full(5, np.log(np.expm1(1 - SMALLEST)))])
    x = jnp.linspace(-BOUND, BOUND, 101)
    y, log_slope, *_ = both_ways(x, flat)
    np.testing.assert_allclose(y, x, atol=1e-12)
    np.testing.assert_allclose(log_slope, 0, atol=1e-12)


def test_gradients_of_a_spline_are_finite_and_right_in_single_precision_everywhere():
    x = jnp.asarray([-100.0, -BOUND, BOUND, 0.0, 100.0, 2.9999998], jnp.float32)
    value = lambda p: jnp.sum(jnp.sin(jax.vmap(lambda x: spline(x, p, BOUND, inverse=True)[0])(x)))
    start = parameters(0).astype(jnp.float32)
    assert np.isfinite(jax.grad(value)(start)).all()


def perturbed(flow, size=0.03):
    """The flow with every parameter moved at random, so that no part of it is the identity."""
    graph, params, rest = nnx.split(flow, nnx.Param, ...)
    random = np.random.default_rng(1)
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf + size * random.normal(size=leaf.shape), params), rest)


@pytest.mark.parametrize(("dimension", "context", "linear"), [(1, 0, True), (2, 1, False), (3, 0, True), (6, 2, True)])
def test_a_flow_inverts_and_its_log_determinant_is_that_of_its_jacobian(x64, dimension, context, linear):
    shape = {"layers": 4, "bins": 5, "bound": BOUND, "width": 16, "context": context, "linear": linear}
    flow = perturbed(Flow(dimension, **shape, rngs=nnx.Rngs(0)))
    random = np.random.default_rng(2)
    points = jnp.asarray(2 * random.normal(size=(20, dimension)))
    theta = jnp.asarray(random.normal(size=context)) if context else None

    @jax.jit
    def all_of(flow, points):
        def one(z):
            x, log_det = flow.forward(z, theta)
            back, log_inverse = flow.inverse(x, theta)
            jacobian = jax.jacobian(lambda z: flow.forward(z, theta)[0])(z)
            return x, log_det, back, log_inverse, jnp.linalg.slogdet(jacobian)[1]

        return jax.vmap(one)(points)

    images, log_det, back, log_inverse, exact = all_of(flow, points)
    np.testing.assert_allclose(back, points, atol=1e-9)
    np.testing.assert_allclose(log_det, exact, atol=1e-9)
    np.testing.assert_allclose(log_inverse, -exact, atol=1e-8)
    assert np.abs(images - points).max() > 0.1


def test_every_coordinate_depends_on_every_other_and_on_the_context(x64):
    flow = perturbed(Flow(4, layers=6, bins=4, bound=4.0, width=16, context=1, rngs=nnx.Rngs(3)), 0.1)
    z, theta = jnp.asarray([0.3, -0.7, 0.5, 1.1]), jnp.asarray([0.2])
    by_point, by_context = jax.jacobian(lambda z, t: flow.forward(z, t)[0], (0, 1))(z, theta)
    assert (np.abs(by_point) > 1e-6).all()
    assert (np.abs(by_context) > 1e-6).all()


def test_permutations_and_masks_get_no_gradient():
    flow = Flow(3, layers=2, bins=4, bound=4.0, width=8, linear=True, rngs=nnx.Rngs(0))
    gradient = jax.grad(lambda flow: flow.inverse(jnp.ones(3))[1])(flow)
    for fixed in (gradient.mixing.order, gradient.coupling.changed, gradient.last.order):
        np.testing.assert_array_equal(fixed[...], 0)
    np.testing.assert_array_equal(flow.coupling.changed[...], [[1, 0, 1], [0, 1, 0]])
    assert np.abs(gradient.mixing.factors[...]).max() > 0
