import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from implicit_manifolds.networks.images import ImageDecoder, ImageEncoder, ImageEnergy, UNet, _cropped, _doubled
from implicit_manifolds.networks.normalization import SpectralConv, power_iteration, spectral_norm

refresh = jax.jit(power_iteration)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(size=(3, 784)), jnp.float32)


@pytest.mark.parametrize(
    ("network", "size", "parameters"),
    [
        (UNet(16, rngs=nnx.Rngs(0)), (768,), 1_940_851 + 3 * (128 + 64 + 32 + 16)),
        (ImageEncoder(16, rngs=nnx.Rngs(0)), (16,), 2_244_176),
        (ImageEnergy(rngs=nnx.Rngs(0)), (), 2_228_801),
    ],
)
def test_networks_of_the_papers_size_take_one_image(network, size, parameters):
    assert jax.eval_shape(network, IMAGES[0]).shape == size
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param))) == parameters


def test_energies_that_scores_are_taken_of_have_second_derivatives(x64):
    network = ImageEnergy(2, rngs=nnx.Rngs(0))
    image, step = jnp.asarray(IMAGES[0], float), 1e-4
    direction = jnp.asarray(np.random.default_rng(1).normal(size=784))
    slope = jax.jit(lambda x: jax.jvp(network, (x,), (direction,))[1])
    bend = jax.jit(lambda x: jax.jvp(slope, (x,), (direction,))[1])(image)
    assert jnp.abs(bend).max() > 1e-6
    differences = (slope(image + step * direction) - slope(image - step * direction)) / (2 * step)
    np.testing.assert_allclose(bend, differences, rtol=1e-3, atol=1e-6)


def test_a_decoder_ends_at_the_size_of_an_image():
    assert jax.eval_shape(ImageDecoder(16, rngs=nnx.Rngs(0)), jnp.ones(16)).shape == (784,)


def test_the_unet_sees_every_pixel_of_the_image_and_starts_calm():
    network = UNet(2, rngs=nnx.Rngs(0))
    value, slope = jax.jit(jax.value_and_grad(lambda x: jnp.sum(network(x) ** 2)))(IMAGES[0])
    assert (slope != 0).all()
    assert value < 768


def test_once_settled_a_spectral_convolution_has_a_kernel_of_norm_one():
    found = SpectralConv(
        3, 5, (2, 2), kernel_init=nnx.initializers.normal(7.0), bias_init=nnx.initializers.normal(1.0), rngs=nnx.Rngs(0)
    )
    for _ in range(100):
        found = refresh(found)
    matrix = np.asarray(found.kernel[...]).reshape(-1, 5)
    exact = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(spectral_norm(jnp.asarray(matrix), found.vector[...]), exact, rtol=1e-4)
    plain = nnx.Conv(3, 5, (2, 2), rngs=nnx.Rngs(0))
    plain.kernel[...], plain.bias[...] = found.kernel[...] / exact, found.bias[...]
    image = IMAGES[0, :75].reshape(5, 5, 3)
    np.testing.assert_allclose(found(image), plain(image), rtol=1e-4, atol=1e-5)


def test_doubling_keeps_corners_and_straight_lines():
    rows, columns = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 4), indexing="ij")
    fine = np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 1, 8), indexing="ij")
    found = _doubled(jnp.asarray((2 * rows - 3 * columns)[..., None]))
    np.testing.assert_allclose(found[..., 0], 2 * fine[0] - 3 * fine[1], atol=1e-6)


def test_crops_are_central():
    image = np.arange(49.0).reshape(7, 7, 1)
    np.testing.assert_array_equal(_cropped(image, 3)[..., 0], image[2:5, 2:5, 0])
