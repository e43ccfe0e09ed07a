from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds.baselines.autoencoder_ebm import variational_loss
from implicit_manifolds.baselines.autoencoders import reconstruction
from implicit_manifolds.baselines.flows import negative_log_likelihood, transport_loss
from implicit_manifolds.baselines.free_form_flow import free_form_loss

POINTS = np.random.default_rng(0).normal(size=(50, 3))


def linear(matrix, x):
    return matrix @ x


def surrogate(matrix, decoder, points, probes, **options):
    """The volume term of the free-form loss, by its gradient in the encoder's matrix, mean over `probes` keys."""

    def volume(matrix, key):
        pair = Partial(linear, matrix), Partial(linear, decoder)
        return free_form_loss(key, *pair, points, noise=0.0, reconstruction_weight=0.0, **options)[1]["volume"]

    keys = jax.random.split(jax.random.key(0), probes)
    return jax.vmap(jax.grad(volume), (None, 0))(matrix, keys).mean(axis=0)


def test_reconstruction_is_the_mean_square_over_points_and_coordinates(x64):
    pair = SimpleNamespace(encode=lambda x: x[:1], decode=lambda z: jnp.pad(z, (0, 2)))
    loss, terms = reconstruction(jax.random.key(0), pair, jnp.asarray(POINTS))
    np.testing.assert_allclose(terms["reconstruction"], (POINTS[:, 1:] ** 2).sum() / POINTS.size)
    np.testing.assert_allclose(terms["codes"], (POINTS[:, 0] ** 2).mean())
    np.testing.assert_allclose(loss, terms["reconstruction"])


def test_the_variational_divergence_is_that_of_normals_and_codes_have_their_spread(x64):
    encode = lambda x: jnp.asarray([1.5, -0.5, jnp.log(0.3), jnp.log(2.0)])
    points = jnp.zeros((200_000, 2))
    loss, terms = variational_loss(jax.random.key(0), encode, lambda z: z, points, 0.1)
    exact = 0.5 * (1.5**2 + 0.5**2 + 0.3**2 + 2.0**2 - 2 - 2 * np.log(0.3 * 2.0))
    np.testing.assert_allclose(terms["divergence"], exact)
    # Mean square of z about 0 is (1.5² + .3² + .5² + 2²)/2 = 3.295, its standard error .008: within 5 of them.
    assert abs(float(terms["reconstruction"]) - 3.295) < 0.04
    np.testing.assert_allclose(loss, terms["reconstruction"] + 0.1 * exact)


def test_the_likelihood_gives_each_point_its_own_context(x64):
    contexts = np.arange(50.0)[:, None]
    loss, _ = negative_log_likelihood(lambda x, c: -jnp.sum((x - c) ** 2), jnp.asarray(POINTS), jnp.asarray(contexts))
    np.testing.assert_allclose(loss, ((POINTS - contexts) ** 2).sum(axis=1).mean())
    assert np.isfinite(negative_log_likelihood(lambda x, c: x[0] if c is None else jnp.nan, jnp.asarray(POINTS))[0])


@pytest.mark.slow
def test_the_free_form_surrogate_has_the_gradient_of_the_log_volume_of_a_linear_map(x64):
    # One code: a single direction, so one probe is exact. d log |a| = a / |a|².
    row = np.array([[0.5, -1.0, 2.0]])
    found = surrogate(jnp.asarray(row), jnp.asarray(np.linalg.pinv(row)), jnp.asarray(POINTS), 1)
    np.testing.assert_allclose(found, row / (row**2).sum(), rtol=1e-12)
    # Two codes: the mean over probes tends to the transpose of the pseudo-inverse, d ½ log det(A Aᵀ).
    matrix = np.random.default_rng(1).normal(size=(2, 3))
    inverse = np.linalg.pinv(matrix)
    found = surrogate(jnp.asarray(matrix), jnp.asarray(inverse), jnp.asarray(POINTS), 400)
    # 20,000 probes; entries of v vᵀ - I have standard deviation 0.7, so 5 standard errors are .025 times the inverse.
    np.testing.assert_allclose(found, inverse.T, atol=0.025 * np.abs(inverse).sum())


def test_the_naive_surrogate_takes_the_encoder_at_the_reconstruction(x64):
    encode = lambda a, x: a * jnp.sum(x**2)[None]
    decode = lambda z: jnp.asarray([0.0, 1.0]) * z
    points = jnp.asarray([[3.0, 0.0]])

    def volume(**options):
        pair = Partial(encode, jnp.asarray(1.0)), decode
        return free_form_loss(jax.random.key(0), *pair, points, noise=0.0, reconstruction_weight=0.0, **options)[1]

    # e'(x) = 2x at (3, 0) has no part along g' = (0, 1); at the reconstruction (0, 9) it has 18.
    assert volume()["volume"] == pytest.approx(0)
    assert volume(on_manifold=True)["volume"] == pytest.approx(18)


def test_free_form_reconstruction_is_of_the_noisy_points_and_summed_over_coordinates(x64):
    points, weight = jnp.zeros((100_000, 3)), 7.0
    loss, terms = free_form_loss(
        jax.random.key(0),
        lambda x: x[:1],
        lambda z: jnp.pad(z, (0, 2)),
        points,
        noise=0.2,
        reconstruction_weight=weight,
    )
    # Two coordinates of variance .04 are lost: mean .08, standard error .00025.
    assert abs(float(terms["reconstruction"]) - 0.08) < 0.00125
    np.testing.assert_allclose(loss, weight * terms["reconstruction"] + terms["prior"] - terms["volume"])


@pytest.mark.slow
def test_the_transport_loss_of_a_shift_is_half_its_square_and_pulls_samples_back(x64):
    key, shift = jax.random.key(0), jnp.asarray([0.7, -0.3])
    drawn = lambda key, at=0.0: jax.random.normal(key, (2,)) + at
    points = jax.vmap(drawn)(jax.random.split(key, 40))

    def loss(at):
        with jax.numpy_rank_promotion("allow"):  # ott-jax adds up arrays of other ranks
            return transport_loss(key, lambda key, _: drawn(key, at), points, blur=0.5)[0]

    # The divergence of a translated law is that of the law from itself, 0, and half the square of the translation.
    np.testing.assert_allclose(loss(shift), 0.5 * shift @ shift, rtol=2e-2)
    np.testing.assert_allclose(jax.grad(loss)(shift), shift, rtol=2e-2)


def test_the_transport_loss_tells_which_context_a_point_belongs_to(x64):
    contexts = jnp.asarray([[-3.0], [3.0]]).repeat(10, axis=0)
    points = jnp.asarray(POINTS[:20]) + contexts

    def loss(sign):
        return transport_loss(jax.random.key(0), lambda _, c: sign * c + jnp.zeros(3), points, contexts, blur=0.1)[0]

    with jax.numpy_rank_promotion("allow"):  # ott-jax adds up arrays of other ranks
        assert loss(-1) > 5 * loss(1)
