from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from implicit_manifolds.networks.mlp import MLP, EnergyMLP, start_as_sphere


def weights(model):
    return [(np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])) for layer in model.layers]


@pytest.mark.parametrize("sizes", [(3, 2), (2, 8, 1), (4, 16, 16, 3)])
def test_one_point_goes_in_and_one_comes_out_as_numpy_computes_it(sizes):
    model = MLP(sizes, rngs=nnx.Rngs(0))
    point = np.random.default_rng(0).normal(size=sizes[0]).astype(np.float32)
    value = point
    layers = weights(model)
    assert [kernel.shape for kernel, _ in layers] == list(pairwise(sizes))
    for kernel, bias in layers[:-1]:
        value = value @ kernel + bias
        value = value / (1 + np.exp(-value))
    value = value @ layers[-1][0] + layers[-1][1]
    found = model(jnp.asarray(point))
    assert found.shape == (sizes[-1],)
    np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


def test_an_energy_is_a_scalar_per_point():
    energy = EnergyMLP((3, 8), rngs=nnx.Rngs(0))
    points = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    assert energy(points[0]).shape == ()
    values = jax.vmap(energy)(points)
    np.testing.assert_allclose(values, jax.vmap(energy.network)(points)[:, 0])
    assert len(np.unique(values)) == 5


def test_weights_and_biases_start_uniform_within_the_root_of_the_fan_in():
    model = MLP((100, 400, 1), rngs=nnx.Rngs(0))
    for (kernel, bias), fan_in in zip(weights(model), (100, 400), strict=True):
        bound = fan_in**-0.5
        assert max(np.abs(kernel).max(), np.abs(bias).max()) <= bound
        # Uniform: variance bound²/3, and the greatest of 400 or more is within 2 % of the bound (false alarm 3e-4).
        assert np.abs(kernel).max() > 0.98 * bound
        spread = 4.5 * np.sqrt(4 / 45 / kernel.size) * bound**2
        assert abs((kernel.astype(np.float64) ** 2).mean() - bound**2 / 3) < spread
    assert len(np.unique(weights(model)[0][1])) > 390


def test_seeds_decide_the_weights():
    first, same, other = (MLP((2, 4, 1), rngs=nnx.Rngs(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(weights(first)[0][0], weights(same)[0][0])
    assert not np.isclose(weights(first)[0][0], weights(other)[0][0]).any()


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_two_models_of_the_same_sizes_share_one_compilation(spectral_norm):
    traces = []

    @jax.jit
    def evaluate(model, x):
        traces.append(1)
        return model(x)

    values = [
        evaluate(MLP((2, 8, 1), spectral_norm=spectral_norm, rngs=nnx.Rngs(seed)), jnp.ones(2)) for seed in (0, 1)
    ]
    assert values[0] != values[1]
    assert len(traces) == 1


def test_a_model_computes_in_double_when_its_points_are_double(x64):
    model = MLP((2, 8, 2), rngs=nnx.Rngs(0))
    point = jnp.asarray([0.3, -0.7])
    assert model(point).dtype == jnp.float64
    step = 1e-6
    difference = (model(point + jnp.asarray([step, 0])) - model(point - jnp.asarray([step, 0]))) / (2 * step)
    # Only arithmetic in double leaves a difference quotient this exact.
    np.testing.assert_allclose(jax.jacobian(model)(point)[:, 0], difference, atol=1e-8)


@pytest.mark.parametrize(("dimension", "radius"), [(2, 1.0), (3, 1.0), (3, 2.0), (6, 1.0)])
def test_a_network_that_starts_as_a_sphere_has_one_sign_inside_and_the_other_outside(dimension, radius):
    model = start_as_sphere(MLP((dimension, 64, 64, 64, 1), rngs=nnx.Rngs(0)), radius)
    directions = np.random.default_rng(0).normal(size=(500, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = [jax.vmap(model)(factor * radius * directions)[:, 0] for factor in (0.0, 0.5, 12.0)]
    assert (values[0] == -radius).all()
    assert (values[1] < 0).all()
    assert (values[2] > 0).all()
    slope = np.mean(values[2] - values[0]) / (12 * radius)
    assert 0.5 < slope < 1.5
