import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds.networks.convolution import convolution, halved, unfolded


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((2, 2), (2, 2)), ((0, 1), (2, 0))])
@pytest.mark.parametrize("side", [1, 3, 4])
def test_slices_are_the_convolution_and_have_its_gradients(padding, side):
    random = np.random.default_rng(0)
    images, kernel = (jnp.asarray(random.normal(size=size), jnp.float32) for size in ((2, 7, 6, 3), (side, side, 3, 5)))

    def exact(images, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), padding, dimension_numbers=numbers)

    plain = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "feature_group_count": 1}
    ours = lambda images, kernel: convolution(images, kernel, (1, 1), padding, **plain)
    value, pull = jax.vjp(ours, images, kernel)
    expected, pull_exact = jax.vjp(exact, images, kernel)
    np.testing.assert_allclose(value, expected, atol=1e-5)
    for found, right in zip(pull(expected), pull_exact(expected), strict=True):
        np.testing.assert_allclose(found, right, atol=1e-3)


def test_halving_takes_the_greatest_and_drops_what_is_left_over():
    image = np.arange(15.0).reshape(3, 5, 1)
    np.testing.assert_array_equal(halved(jnp.asarray(image))[..., 0], [[6.0, 8.0]])


def test_unfolding_puts_each_pixels_four_channels_in_its_place():
    image = np.arange(16.0).reshape(1, 2, 8)
    found = unfolded(jnp.asarray(image))
    np.testing.assert_array_equal(found[..., 0], [[0, 2, 8, 10], [4, 6, 12, 14]])
    np.testing.assert_array_equal(found[..., 1], [[1, 3, 9, 11], [5, 7, 13, 15]])
