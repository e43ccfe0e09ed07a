import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

from implicit_manifolds.networks.mlp import MLP, EnergyMLP
from implicit_manifolds.networks.normalization import SingularVector, SpectralLinear, power_iteration, spectral_norm

refresh = jax.jit(power_iteration)


def settled(model, iterations=300):
    for _ in range(iterations):
        model = refresh(model)
    return model


def spectral_model(sizes=(6, 12, 4), scale=5.0):
    """A spectral MLP whose kernels are far from norm one."""
    model = MLP(sizes, spectral_norm=True, rngs=nnx.Rngs(0))
    for layer in model.layers:
        layer.kernel[...] = scale * layer.kernel[...]
    return model


@jax.jit
def estimate(layer):
    return spectral_norm(layer.kernel[...], layer.vector[...])


@pytest.mark.parametrize("shape", [(20, 5), (4, 30), (6, 1)])
def test_the_estimate_rises_to_the_largest_singular_value(shape):
    layer = SpectralLinear(*shape, rngs=nnx.Rngs(1))
    exact = np.linalg.svd(np.asarray(layer.kernel[...], np.float64), compute_uv=False)[0]
    estimates = [float(estimate(layer))]
    for _ in range(120):
        layer = refresh(layer)
        estimates.append(float(estimate(layer)))
        np.testing.assert_allclose(np.linalg.norm(layer.vector[...]), 1, rtol=1e-5)
    assert (np.diff(estimates) >= -1e-6 * exact).all()
    assert max(estimates) <= exact * (1 + 1e-5)
    np.testing.assert_allclose(estimates[-1], exact, rtol=1e-4)


def test_once_settled_no_layer_stretches_and_the_network_is_lipschitz():
    model = settled(spectral_model())
    for layer in model.layers:
        normalised = np.asarray(layer.kernel[...]) / float(estimate(layer))
        assert np.linalg.svd(normalised, compute_uv=False)[0] <= 1 + 1e-3
        # The forward pass is the same affine map: x W / σ + b.
        x = jnp.asarray(np.random.default_rng(0).normal(size=layer.kernel.shape[0]), jnp.float32)
        np.testing.assert_allclose(layer(x), np.asarray(x) @ normalised + np.asarray(layer.bias[...]), atol=1e-5)
    points = jnp.asarray(3 * np.random.default_rng(1).normal(size=(200, 6)), jnp.float32)
    stretch = np.linalg.svd(jax.vmap(jax.jacobian(model))(points), compute_uv=False)[:, 0]
    # SiLU has slope at most 1.0999.
    assert stretch.max() <= 1.1 * (1 + 2e-3)


def test_the_scale_of_a_kernel_does_not_matter():
    small, large = settled(spectral_model(scale=0.1), 5), settled(spectral_model(scale=50.0), 5)
    x = jnp.ones(6)
    np.testing.assert_allclose(small(x), large(x), rtol=1e-4)


def test_power_iteration_leaves_its_argument_and_everything_but_the_vectors_alone():
    model = spectral_model()
    before = jax.tree.map(np.array, jax.tree.leaves(model))
    renewed = power_iteration(model)
    assert renewed is not model
    assert jax.tree.structure(renewed) == jax.tree.structure(model)
    for old, new in zip(before, jax.tree.leaves(model), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(model.layers, renewed.layers, strict=True):
        np.testing.assert_array_equal(old.kernel[...], new.kernel[...])
        np.testing.assert_array_equal(old.bias[...], new.bias[...])
        assert not np.allclose(old.vector[...], new.vector[...])
    # And the other way round: writing to the new model does not reach the old one.
    renewed.layers[0].kernel[...] = 0 * renewed.layers[0].kernel[...]
    assert np.abs(model.layers[0].kernel[...]).max() > 0


def test_trees_without_spectral_layers_pass_unchanged():
    tree = {"a": jnp.arange(3.0), "b": (Partial(jnp.matmul, jnp.eye(2)), None), "c": MLP((2, 3, 1), rngs=nnx.Rngs(0))}
    renewed = power_iteration(tree)
    assert jax.tree.structure(renewed) == jax.tree.structure(tree)
    for old, new in zip(jax.tree.leaves(tree), jax.tree.leaves(renewed), strict=True):
        np.testing.assert_array_equal(old, new)


def test_it_finds_spectral_layers_however_deep_they_sit():
    energy = EnergyMLP((3, 5), spectral_norm=True, rngs=nnx.Rngs(0))
    tree = {"pair": (energy, Partial(lambda model, x: model(x), energy))}
    for model in (power_iteration(tree)["pair"][0], power_iteration(tree)["pair"][1].args[0]):
        for old, new in zip(energy.network.layers, model.network.layers, strict=True):
            kernel, vector = np.asarray(old.kernel[...]), np.asarray(old.vector[...])
            by_hand = kernel @ (kernel.T @ vector)
            np.testing.assert_allclose(new.vector[...], by_hand / np.linalg.norm(by_hand), atol=1e-5)


def test_it_works_under_jit_vmap_and_grad():
    model = spectral_model()
    points = jnp.asarray(np.random.default_rng(0).normal(size=(9, 6)), jnp.float32)

    @jax.jit
    def loss(model):
        return jnp.sum(jax.vmap(power_iteration(model))(points) ** 2)

    np.testing.assert_allclose(loss(model), sum(jnp.sum(power_iteration(model)(x) ** 2) for x in points), rtol=1e-5)
    gradient = jax.grad(loss)(model)
    for layer in gradient.layers:
        assert np.isfinite(layer.kernel[...]).all()
        assert np.abs(layer.kernel[...]).max() > 0
        np.testing.assert_array_equal(layer.vector[...], np.zeros_like(layer.vector[...]))


def test_the_gradient_of_the_estimate_is_the_outer_product_of_its_vectors(x64):
    kernel = np.random.default_rng(0).normal(size=(5, 3))
    left, sizes, right = np.linalg.svd(kernel)
    # At the exact vector the outer product u vᵀ is the derivative of the largest singular value itself.
    gradient = jax.grad(spectral_norm)(jnp.asarray(kernel), jnp.asarray(left[:, 0]))
    np.testing.assert_allclose(gradient, np.outer(left[:, 0], right[0]), atol=1e-12)
    np.testing.assert_allclose(spectral_norm(jnp.asarray(kernel), jnp.asarray(left[:, 0])), sizes[0], rtol=1e-12)
    # And through x W / σ(W) a kernel gets no gradient along itself: its scale does not matter.
    towards = jnp.asarray([1.0, -2.0, 0.5, 3.0, 1.0])

    def output(kernel):
        return jnp.sum((towards @ (kernel / spectral_norm(kernel, jnp.asarray(left[:, 0])))) ** 2)

    np.testing.assert_allclose(jnp.vdot(jax.grad(output)(jnp.asarray(kernel)), kernel), 0, atol=1e-10)


def test_the_stored_vector_is_no_parameter():
    model = spectral_model()
    assert len(jax.tree.leaves(nnx.state(model, nnx.Param))) == 4
    assert len(jax.tree.leaves(nnx.state(model, SingularVector))) == 2


def test_a_layer_without_bias_can_be_called():
    layer = SpectralLinear(2, 3, use_bias=False, rngs=nnx.Rngs(0))
    assert layer(jnp.ones(2)).shape == (3,)
