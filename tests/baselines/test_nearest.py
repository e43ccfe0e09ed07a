import jax
import jax.numpy as jnp
import numpy as np

from implicit_manifolds.baselines.latents import StandardNormal
from implicit_manifolds.baselines.model import Pushforward
from implicit_manifolds.baselines.nearest import nearest_points
from implicit_manifolds.scaling import Scaling


@jax.tree_util.register_static
class Spiral:
    """An arc of a circle of radius 2 by its angle, with an encoder that is wrong by a constant."""

    def encode(self, x):
        return jnp.arctan2(x[1], x[0])[None] + 0.2

    def decode(self, z):
        return 2 * jnp.concatenate([jnp.cos(z), jnp.sin(z)])

    def __eq__(self, other):
        return isinstance(other, Spiral)

    def __hash__(self):
        return hash(Spiral)


def test_nearest_points_of_a_circle_are_found_from_an_encoder_that_is_wrong():
    model = Pushforward(Spiral(), StandardNormal(1), Scaling(np.array([5.0, 0.0]), 10.0))
    random = np.random.default_rng(0)
    angles, radii = random.uniform(-np.pi, np.pi, 300), random.uniform(0.5, 4, 300)
    direction = np.column_stack([np.cos(angles), np.sin(angles)])
    found = nearest_points(jax.random.key(0), model, [5.0, 0.0] + 10 * radii[:, None] * direction)
    assert found.converged.all()
    np.testing.assert_allclose(found.distance, 10 * np.abs(radii - 2), atol=1e-4)
    np.testing.assert_allclose(found.points, [5.0, 0.0] + 20 * direction, atol=0.05)
