"""F in other units: the same zeros, the right Jacobian, and volumes that stretch as closed forms say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds.manifold import Ridge, linearize
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.manifold.stretching import log_stretch, stretched
from implicit_manifolds.manifold.tangent import FramedMDF, framed

FACTORS = jnp.array([3.0, 0.5, 0.02])


def _to_sphere(x):
    return x - x / jnp.linalg.norm(x)


@pytest.mark.parametrize("mdf", [sphere(1.0), Ridge(_to_sphere, 1)], ids=["level set", "ridge"])
def test_the_zeros_are_stretched_and_the_jacobian_is_that_of_the_rescaled_function(mdf):
    there, x = stretched(mdf, FACTORS), jnp.array([0.6, 0.0, 0.8])
    assert isinstance(there, FramedMDF) == isinstance(mdf, FramedMDF)
    at = linearize(there, FACTORS * x)
    assert jnp.abs(at.residual).max() < 1e-6
    away = 1.1 * FACTORS * x
    at = linearize(there, away)
    expected = jax.jacobian(framed(there, at))(away)
    np.testing.assert_allclose(at.jacobian, expected, rtol=1e-4, atol=1e-4 * float(jnp.abs(expected).max()))


def _circle_in_space(x):
    return jnp.stack([x[0] ** 2 + x[1] ** 2 - 1, x[2]])


def test_volume_stretches_as_closed_forms_say():
    """A circle by √(a² sin² + b² cos²), a unit sphere by abc √(Σ (x_i/s_i)²)."""
    for angle in (0.0, 0.4, 2.0):
        x = jnp.array([jnp.cos(angle), jnp.sin(angle), 0.0])
        speed = jnp.hypot(3.0 * jnp.sin(angle), 0.5 * jnp.cos(angle))
        np.testing.assert_allclose(log_stretch(_circle_in_space, FACTORS, x), jnp.log(speed), rtol=1e-4, atol=1e-5)
    for x in np.random.default_rng(0).normal(size=(3, 3)):
        x = jnp.asarray(x / np.linalg.norm(x))
        element = jnp.prod(FACTORS) * jnp.linalg.norm(x / FACTORS)
        np.testing.assert_allclose(log_stretch(sphere(1.0), FACTORS, x), jnp.log(element), rtol=1e-4, atol=1e-5)
