import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from implicit_manifolds.networks.mlp import EnergyMLP
from implicit_manifolds.networks.standardized import standardized


def test_the_network_sees_points_of_mean_zero_and_mean_variance_one():
    points = 5 + np.random.default_rng(0).normal(size=(1000, 3)) * [1, 2, 3]
    seen = jax.vmap(standardized(lambda x: x, points))(jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(seen.var(axis=0).mean(), 1, rtol=1e-4)
    np.testing.assert_allclose(seen.std(axis=0) / seen.std(axis=0)[0], [1, 2, 3], rtol=0.1)


def test_training_leaves_centre_and_scale_alone(bent_to):
    points = 5 + np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    model = standardized(EnergyMLP([3, 8], rngs=nnx.Rngs(0)), points)
    bent = bent_to(model, points, lambda x: x[0], 200)
    np.testing.assert_array_equal(bent.centre[...], model.centre[...])
    np.testing.assert_array_equal(bent.scale[...], model.scale[...])
