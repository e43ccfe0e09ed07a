import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from implicit_manifolds.models.mlp import EnergyMLP
from implicit_manifolds.models.standardized import standardized
from implicit_manifolds.training.loop import initial_state, train
from implicit_manifolds.training.objectives import LossObjective


def test_the_network_sees_points_of_mean_zero_and_mean_variance_one():
    points = 5 + np.random.default_rng(0).normal(size=(1000, 3)) * [1, 2, 3]
    seen = jax.vmap(standardized(lambda x: x, points))(jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(seen.var(axis=0).mean(), 1, rtol=1e-4)
    np.testing.assert_allclose(seen.std(axis=0) / seen.std(axis=0)[0], [1, 2, 3], rtol=0.1)


def test_training_leaves_centre_and_scale_alone():
    points = 5 + np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    model = standardized(EnergyMLP([3, 8], rngs=nnx.Rngs(0)), points)

    def loss(key, model, batch):
        value = jnp.mean((jax.vmap(model)(batch) - batch[:, 0]) ** 2)
        return value, {"value": value}

    objective, optimizer = LossObjective(jax.tree_util.Partial(loss)), optax.adam(0.01)
    state = initial_state(jax.random.key(0), objective, optimizer, model)
    state, history = train(objective, optimizer, state, jnp.asarray(points), num_steps=200, batch_size=50)
    assert history.terms["value"][-1] < 0.3 * history.terms["value"][0]
    np.testing.assert_array_equal(state.model.centre[...], model.centre[...])
    np.testing.assert_array_equal(state.model.scale[...], model.scale[...])
