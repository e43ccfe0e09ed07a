import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds.manifold.multipliers import quasi_newton
from implicit_manifolds.manifold.scaled_chord import scaled_chord
from implicit_manifolds.manifold.tangent import linearize, tangent_projection


def bent(coefficients, x):
    rows, waves = coefficients
    return rows @ x + 0.1 * jnp.sin(waves @ x)


def nearly_isometric(least, dtype, size=50, codimension=40):
    """A curved F with singular values between `least` and 1 at its zero 0, and points near by on {F = 0}."""
    random = np.random.default_rng(0)
    left, right = (np.linalg.qr(random.normal(size=(n, n)))[0] for n in (codimension, size))
    rows = left @ np.diag(np.linspace(least, 1, codimension)) @ right[:codimension]
    waves = rows @ np.linalg.qr(random.normal(size=(size, size)))[0]
    return Partial(bent, (jnp.asarray(rows, dtype), jnp.asarray(waves, dtype))), jnp.zeros(size, dtype)


@pytest.mark.parametrize("least", [0.5, 0.25])
def test_it_finds_the_zero_that_newton_steps_find_without_a_linear_system(least, dtype):
    mdf, zero = nearly_isometric(least, dtype)

    @jax.jit
    @jax.vmap
    def solved(move):
        at = linearize(mdf, zero)
        point = zero + tangent_projection(mdf, at, move)
        return scaled_chord(mdf, at, point, max_iterations=150), quasi_newton(mdf, at, point)

    moves = jnp.asarray(0.5 * np.random.default_rng(1).normal(size=(32, 50)), dtype)
    found, reference = solved(moves)
    assert found.converged.all()
    assert reference.converged.all()
    eps = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(found.position, reference.position, atol=200 * eps ** (6 / 7))
    # Without a memory steps would grow: the greatest eigenvalue is more than twice the mean.
    assert found.iterations.max() < 120
    assert linearize(mdf, zero).jacobian is None


def test_no_zero_along_the_normals_is_said():
    mdf, zero = nearly_isometric(0.5, jnp.float32)
    above = Partial(lambda f, x: f(x) ** 2 + 1.0, mdf)
    at = linearize(mdf, zero)
    assert not scaled_chord(above, at, zero + 0.1).converged
