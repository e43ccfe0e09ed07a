import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds.ebim.manifold_loss import isometry_penalty, manifold_loss, pulled_norms, residual_norm

# F(x) = A x with orthogonal rows of one length: ‖Jᵀv‖ is that length whatever the unit direction v.
LENGTH = 0.6
ROWS = LENGTH * np.linalg.qr(np.random.default_rng(0).normal(size=(4, 2)))[0].T
POINTS = np.random.default_rng(1).normal(size=(7, 4))
NEGATIVES = np.random.default_rng(2).normal(size=(5, 4)) * 2
WEIGHTS = {"negative_weight": 0.7, "rank_weight": 3.0, "square_weight": 0.2}

NORMS = {
    "l1": lambda r: np.abs(r).sum(axis=1),
    "l2": lambda r: np.linalg.norm(r, axis=1),
    "l2-squared": lambda r: (r**2).sum(axis=1),
}


def loss_of(build, dtype, negatives=NEGATIVES, **options):
    mdf = build.affine_map(ROWS, np.zeros(len(ROWS)), dtype)
    points = jnp.asarray(POINTS, dtype)
    negatives = None if negatives is None else jnp.asarray(negatives, dtype)
    return jax.jit(functools.partial(manifold_loss, **options))(jax.random.key(0), mdf, points, negatives)


@pytest.mark.parametrize(("norm", "negative_norm"), [("l1", "l2"), ("l2", "l2-squared"), ("l2-squared", "l1")])
def test_every_term_matches_its_value_by_hand(norm, negative_norm, build):
    loss, terms = loss_of(
        build,
        jnp.float32,
        minimum_singular_value=1.0,
        maximum_singular_value=0.5,
        norm=norm,
        negative_norm=negative_norm,
        **WEIGHTS,
    )
    size = NORMS[negative_norm](NEGATIVES @ ROWS.T)
    by_hand = {
        "data": NORMS[norm](POINTS @ ROWS.T).mean(),
        "negative": size.mean(),
        "square": (size**2).mean(),
        "rank": (1.0 - LENGTH) ** 2 + (LENGTH - 0.5) ** 2,
    }
    assert terms.keys() == by_hand.keys()
    for name, value in by_hand.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5, err_msg=name)
    total = by_hand["data"] - 0.7 * by_hand["negative"] + 3 * by_hand["rank"] + 0.2 * by_hand["square"]
    np.testing.assert_allclose(loss, total, rtol=1e-5)


def test_the_loss_keeps_the_precision_of_its_points(dtype, build):
    loss, terms = loss_of(build, dtype)
    assert loss.dtype == dtype
    assert {term.dtype for term in terms.values()} == {dtype}


def test_the_rank_term_is_zero_inside_the_bounds_and_squared_outside(build):
    for least, greatest, rank in ((0.5, 0.7, 0.0), (0.0, 0.1, 0.25), (1.0, 2.0, 0.16)):
        _, terms = loss_of(build, jnp.float32, minimum_singular_value=least, maximum_singular_value=greatest)
        np.testing.assert_allclose(terms["rank"], rank, atol=1e-6)


def test_without_negatives_their_terms_are_absent(build):
    loss, terms = loss_of(build, jnp.float32, negatives=None, **WEIGHTS)
    assert set(terms) == {"data", "rank"}
    np.testing.assert_allclose(loss, terms["data"] + 3 * terms["rank"], rtol=1e-6)


def test_gradient_and_value_agree_by_finite_differences(x64, build):
    matrix = np.random.default_rng(3).normal(size=(2, 4)) * 0.5
    options = {"maximum_singular_value": 0.4, "norm": "l1", "negative_norm": "l2", **WEIGHTS}

    @jax.jit
    def value(matrix):
        mdf = build.affine_map(matrix, jnp.zeros(2), jnp.float64)
        return manifold_loss(jax.random.key(4), mdf, jnp.asarray(POINTS), jnp.asarray(NEGATIVES), **options)[0]

    gradient = jax.jit(jax.grad(value))(jnp.asarray(matrix))
    step = 1e-6 * np.eye(8).reshape(8, 2, 4)
    # Every hinge is active here (least 1, greatest 0.4), and no residual is near the kink of the l1 norm.
    differences = [(value(matrix + h) - value(matrix - h)) / 2e-6 for h in step]
    np.testing.assert_allclose(gradient.ravel(), differences, atol=1e-7)
    assert np.abs(differences).min() > 1e-3


def test_no_gradient_flows_into_the_negatives_but_their_value_counts(build):
    def value(negatives):
        return loss_of(build, jnp.float32, negatives=negatives, **WEIGHTS)[0]

    np.testing.assert_array_equal(jax.grad(value)(jnp.asarray(NEGATIVES)), np.zeros_like(NEGATIVES))
    assert value(NEGATIVES) != value(1.5 * NEGATIVES)


def test_a_random_direction_sees_between_the_least_and_the_greatest_singular_value(dtype, build):
    matrix = np.diag([0.1, 1.0, 3.0]) @ np.linalg.qr(np.random.default_rng(0).normal(size=(5, 3)))[0].T
    points = np.random.default_rng(1).normal(size=(20_000, 5))
    mdf = build.affine_map(matrix, np.ones(3), dtype)
    values, residuals = jax.jit(pulled_norms)(jax.random.key(0), mdf, jnp.asarray(points, dtype))
    np.testing.assert_allclose(residuals, points @ matrix.T - 1, atol=1e-4)
    assert values.min() >= 0.1 - 1e-6
    assert values.max() <= 3.0 + 1e-5
    # Uniform directions: E‖Jᵀv‖² = tr G / k. Its standard deviation for one direction is 2.7, so z = 4.5 at 20,000.
    squares = np.asarray(values, np.float64) ** 2
    assert abs(squares.mean() - (0.01 + 1 + 9) / 3) < 4.5 * squares.std() / np.sqrt(20_000)
    # In R³ Archimedes: v₃ is uniform on [-1, 1], so the greatest tenth of the values is above 3 · 0.9 (nearly).
    assert abs((values > 2.7).mean() - 0.1) < 0.02


@pytest.mark.parametrize("kind", NORMS)
def test_norms_have_their_values_and_no_nan_slope_at_zero(kind, dtype):
    residual = np.array([[3.0, -4.0], [0.0, 2.0], [0.0, 0.0]])
    norm = Partial(residual_norm, kind=kind)
    found = jax.vmap(norm)(jnp.asarray(residual, dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, NORMS[kind](residual))
    at_zero = jax.grad(norm)(jnp.zeros(2, dtype))
    # JAX gives |x| the slope 1 at 0, which is one of its subgradients; the others are smooth or defined as 0.
    assert (np.abs(at_zero) <= (1 if kind == "l1" else 0)).all()
    slope = {"l1": [1, -1], "l2": [0.6, -0.8], "l2-squared": [6, -8]}[kind]
    np.testing.assert_allclose(jax.grad(norm)(jnp.asarray([3.0, -4.0], dtype)), slope, rtol=1e-6)


def test_a_loss_at_points_exactly_on_the_manifold_has_a_finite_gradient():
    @jax.jit
    def value(matrix):
        mdf = Partial(jnp.matmul, matrix)
        return manifold_loss(jax.random.key(0), mdf, jnp.zeros((3, 4)), jnp.zeros((2, 4)))[0]

    assert np.isfinite(jax.grad(value)(jnp.asarray(ROWS, jnp.float32))).all()


def test_the_isometry_penalty_sees_every_singular_value(build, x64):
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    sizes, scale = np.array([0.01, 0.5, 0.6]), 0.5
    mdf = build.affine_map(np.diag(sizes) @ rotation[:3], np.zeros(3), jnp.float64)
    points = jnp.zeros((40_000, 6))
    exact = np.mean((sizes**2 / scale**2 - 1) ** 2)
    # 40,000 directions: the standard error is about 0.002.
    assert abs(float(isometry_penalty(jax.random.key(0), mdf, points, scale)) - exact) < 0.01


def test_the_isometry_penalty_is_added_at_the_scale_of_the_bound(build):
    loss, terms = loss_of(build, jnp.float32, negatives=None, minimum_singular_value=0.5, isometry_weight=2.0)
    np.testing.assert_allclose(terms["isometry"], (LENGTH**2 / 0.25 - 1) ** 2, rtol=1e-4)
    np.testing.assert_allclose(loss, terms["data"] + terms["rank"] + 2 * terms["isometry"], rtol=1e-5)


def test_the_direction_of_the_residual_may_be_held_too():
    sizes = jnp.array([0.5, 2.0])
    mdf = Partial(lambda sizes, x: sizes * (x[:2] - 1), sizes)
    points = jnp.array([[3.0, 1.0, 0.0], [1.0, 1.0, 5.0]])  # off along the first axis, and on the manifold
    terms, slopes = [], []
    for weight in (0.0, 4.0):
        value = lambda sizes, weight=weight: manifold_loss(
            jax.random.key(0),
            Partial(mdf.func, sizes),
            points,
            None,
            isometry_weight=1.0,
            residual_isometry_weight=weight,
        )
        (loss, found), slope = jax.value_and_grad(value, has_aux=True)(sizes)
        terms.append((loss, found))
        slopes.append(slope)
    expected = (0.5**2 - 1) ** 2 / 2  # one of two points has a direction
    np.testing.assert_allclose(terms[1][1]["residual_isometry"], expected, rtol=1e-5)
    np.testing.assert_allclose(terms[1][0] - terms[0][0], 4 * expected, rtol=1e-4)
    np.testing.assert_allclose(slopes[1] - slopes[0], [4 * 2 * (0.25 - 1) * 2 * 0.5 / 2, 0], atol=1e-4)
    assert "residual_isometry" not in terms[0][1]


@pytest.mark.slow
def test_the_penalty_may_be_taken_at_the_first_points_alone_and_the_data_term_at_all():
    mdf = Partial(lambda x: jnp.stack([jnp.sum(x**2) - 1, x[0] * x[1] + x[2]]))
    points, key = jnp.asarray(POINTS, jnp.float32), jax.random.key(0)
    whole, some = (
        manifold_loss(key, mdf, points, None, isometry_weight=2.0, isometry_points=count)[1] for count in (None, 3)
    )
    np.testing.assert_allclose(some["data"], whole["data"], rtol=1e-6)
    np.testing.assert_allclose(some["isometry"], isometry_penalty(key, mdf, points[:3]), rtol=1e-5)
    assert abs(some["isometry"] / whole["isometry"] - 1) > 0.01
