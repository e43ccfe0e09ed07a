import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from implicit_manifolds.networks.images import UNet
from implicit_manifolds.networks.mlp import MLP
from implicit_manifolds.networks.patches import PatchMixer
from implicit_manifolds.networks.plane import reflection_of_first_axes, start_as_plane


def tilted_data(seed=0):
    """500 points near a plane of two dimensions in R^6, off the origin; and what spans it."""
    random = np.random.default_rng(seed)
    frame = np.linalg.qr(random.normal(size=(6, 2)))[0].T
    flat = random.normal(size=(500, 2)) * [3, 2]
    return (1 + flat @ frame + 0.01 * random.normal(size=(500, 6))).astype(np.float32), frame


def test_it_starts_as_the_plane_through_the_data_with_orthonormal_gradients():
    points, frame = tilted_data()
    mdf = start_as_plane(MLP([6, 8, 4], rngs=nnx.Rngs(0)), points)
    jacobian = jax.jacrev(mdf)(jnp.ones(6))
    np.testing.assert_allclose(jacobian @ jacobian.T, np.eye(4), atol=1e-5)
    off = np.random.default_rng(1).normal(size=(20, 6))
    distance = np.linalg.norm((off - 1) @ (np.eye(6) - frame.T @ frame), axis=1)
    found = jnp.linalg.norm(jax.vmap(mdf)(jnp.asarray(off, jnp.float32)), axis=1)
    np.testing.assert_allclose(found, distance, atol=0.02)


def test_a_network_of_images_bends_the_same_plane():
    images = np.random.default_rng(0).normal(size=(60, 48)).astype(np.float32)
    network = PatchMixer((4, 4, 3), 2, 5, 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="dimension"):
        start_as_plane(network, images)
    image = jnp.asarray(images[0])
    mdf, flat = start_as_plane(network, images, 7), start_as_plane(MLP([48, 3, 41], rngs=nnx.Rngs(0)), images)
    np.testing.assert_allclose(mdf(image), flat(image), atol=1e-6)
    network.last.bias[...] = jnp.arange(12.0)
    bent = flat.network.last
    moved = jnp.tile(jnp.arange(12.0).reshape(2, 2, 3), (2, 2, 1)).ravel()
    np.testing.assert_allclose(mdf(image), flat(image + moved) - bent.bias[...], atol=1e-5)


@pytest.mark.parametrize(("size", "count"), [(6, 2), (5, 5), (40, 7)])
def test_the_reflection_is_one_and_takes_the_first_axes_to_the_span(size, count):
    frame = np.linalg.qr(np.random.default_rng(size).normal(size=(size, count)))[0]
    for turned in (frame, -frame, np.eye(size)[:, :count]):
        half = reflection_of_first_axes(turned)
        whole = np.eye(size) - half @ half.T
        np.testing.assert_allclose(whole @ whole, np.eye(size), atol=1e-12)
        np.testing.assert_allclose(whole[count:] @ turned, 0, atol=1e-12)


def test_training_bends_the_plane_and_leaves_its_reflection_alone(bent_to):
    points, _ = tilted_data()
    mdf = start_as_plane(MLP([6, 8, 4], rngs=nnx.Rngs(0)), points)
    bent = bent_to(mdf, points, lambda x: 1.0, 100)
    np.testing.assert_array_equal(bent.reflection[...], mdf.reflection[...])
    assert jnp.abs(bent.network.last.kernel[...]).max() > 0


def test_a_spectrally_normalised_last_layer_is_refused():
    images = np.random.default_rng(0).uniform(size=(20, 784)).astype(np.float32)
    with pytest.raises(ValueError, match="spectrally normalised"):
        start_as_plane(UNet(1, rngs=nnx.Rngs(0)), images)
    mdf = start_as_plane(UNet(1, spectral_norm=False, rngs=nnx.Rngs(0)), images)
    assert jax.eval_shape(mdf, images[0]).shape == (768,)
