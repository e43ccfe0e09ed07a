"""Networks of patches: which pixels they see together, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from implicit_manifolds.networks.patches import PatchDecoder, PatchEncoder, PatchEnergy, PatchMixer

SHAPE = (4, 6, 3)
IMAGE = jnp.asarray(np.random.default_rng(0).normal(size=72), float)


def test_without_mixing_of_patches_each_depends_on_itself_alone():
    network = PatchMixer(SHAPE, 2, 8, 2, rngs=nnx.Rngs(0))
    for layer in network.across:
        layer.kernel[...] = jnp.zeros_like(layer.kernel[...])
    jacobian = np.asarray(jax.jacrev(network)(IMAGE)).reshape(4, 6, 3, 4, 6, 3)
    place = np.arange(4)[:, None] // 2 * 3 + np.arange(6) // 2
    together = place[:, :, None, None] == place
    reached = np.abs(jacobian).max(axis=(2, 5)) > 0
    np.testing.assert_array_equal(reached, together)
    mixed = jax.jacrev(PatchMixer(SHAPE, 2, 8, 2, rngs=nnx.Rngs(0)))(IMAGE)
    assert jnp.all(mixed != 0)


def test_sizes_of_energies_encoders_and_decoders():
    energy = PatchEnergy(SHAPE, patch=2, width=4, depth=1, rngs=nnx.Rngs(0))
    assert energy(IMAGE).shape == ()
    encoder = PatchEncoder(SHAPE, 5, patch=2, width=4, depth=1, rngs=nnx.Rngs(0))
    decoder = PatchDecoder(SHAPE, 5, patch=2, width=4, depth=1, rngs=nnx.Rngs(0))
    assert decoder(encoder(IMAGE)).shape == IMAGE.shape


def test_patches_that_do_not_fill_an_image_are_refused():
    with pytest.raises(ValueError, match="not made of patches of 4 x 4"):
        PatchMixer((4, 6, 3), 4, rngs=nnx.Rngs(0))
