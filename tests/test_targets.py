"""The public targets: starts lie on M, exact draws score well and others do not, the command says which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import special_ortho_group

from implicit_manifolds.errors import InputError
from implicit_manifolds.targets import MADE_BY, factors, known, score
from implicit_manifolds.targets.__main__ import main


@pytest.fixture(scope="module")
def targets():
    return {name: made() for name, made in MADE_BY.items()}


@pytest.mark.parametrize("name", ["haar_rotations", "orthonormal_factors"])
def test_frames_to_start_at_are_uniform(name, targets):
    starts = targets[name].starts(jax.random.key(0), 4000)
    size = 9 if name == "haar_rotations" else factors.FRAME
    deviation = np.sqrt(np.mean(starts[:, :size] ** 2, axis=0) / 4000)
    assert (abs(starts[:, :size].mean(axis=0)) < 5 * deviation).all()


@pytest.mark.parametrize("name", MADE_BY)
def test_starts_lie_on_m_where_the_energy_is_finite_and_quantities_can_be_evaluated(name, targets):
    target = targets[name]
    with jax.enable_x64(True):
        starts = target.starts(jax.random.key(0), 20)
        assert starts.dtype == np.float64
        starts = jnp.asarray(starts)
        assert starts.shape == (20, target.dimension)
        size = jnp.linalg.norm(jax.vmap(jax.jacobian(target.mdf))(starts), axis=(1, 2))
        residual = jnp.linalg.norm(jax.vmap(target.mdf)(starts), axis=1)
        assert (residual < 1e-12 * size * jnp.maximum(1, jnp.linalg.norm(starts, axis=1))).all()
        assert jnp.isfinite(jax.vmap(target.energy)(starts)).all()
        if target.box is not None:
            assert target.box.contains(starts).all()
        for quantity in target.quantities.values():
            assert jnp.isfinite(jax.vmap(quantity.function)(starts)).all()
            assert quantity.deviation > 0


def _rotations(count):
    return special_ortho_group.rvs(3, count, random_state=0).reshape(4, count // 4, 9)


def _exact(name, count):
    random = np.random.default_rng(0)
    if name == "haar_rotations":
        return _rotations(count)
    if name == "dirichlet_simplex":
        return random.dirichlet([0.5] * 3, (4, count // 4))
    directions = random.normal(size=(4, count // 4, 3))
    return directions / np.linalg.norm(directions, axis=2, keepdims=True) * [1000.0, 10.0, 0.1]


@pytest.mark.parametrize("name", ["haar_rotations", "dirichlet_simplex", "long_ellipsoid"])
def test_independent_draws_score_well_and_know_what_they_are_worth(name, targets):
    found = score(targets[name], _exact(name, 20_000))
    assert found.largest_z < 4.5  # of at most six quantities: false alarm 4e-5
    assert found.least_ess > 15_000
    assert found.largest_r_hat < 1.01


def test_draws_of_another_law_score_ill(targets):
    even = np.random.default_rng(0).dirichlet([1.0] * 3, (4, 2000))
    assert score(targets["dirichlet_simplex"], even).largest_z > 10
    one_half = _rotations(8000)[:, (_rotations(8000)[..., 0] > 0).all(axis=0)]
    assert score(targets["haar_rotations"], one_half).largest_z > 5


def test_the_command_lists_and_scores_and_says_what_is_missing(tmp_path, capsys):
    assert main() == 0
    assert "von_mises_fisher" in capsys.readouterr().out
    np.save(tmp_path / "draws.npy", _rotations(400))
    assert main("haar_rotations", str(tmp_path / "draws.npy")) == 0
    assert "trace²" in capsys.readouterr().out
    assert main("haar_rotations", "tests.test_targets:_for_the_command") == 0
    assert "ESS a CPU second" in capsys.readouterr().out
    for arguments, told in (
        (("sphere",), "there is no target sphere; choose one of"),
        (("haar_rotations",), "nothing holds no draws; give a .npy file"),
        (("dirichlet_simplex", str(tmp_path / "draws.npy")), "draws have the shape"),
    ):
        assert main(*arguments) == 2
        assert told in capsys.readouterr().err


def _for_the_command(target, key):
    return _rotations(400)


def test_draws_that_are_not_finite_are_refused(targets):
    draws = _rotations(400)
    draws[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        score(targets["haar_rotations"], draws)


def test_a_number_that_is_none_hides_behind_no_other(targets):
    draws = np.random.default_rng(0).dirichlet([0.5] * 3, size=(4, 500))
    draws[0, 0] = [-1e-3, 0.5, 0.501]  # beyond the simplex
    found = score(targets["dirichlet_simplex"], draws)
    assert np.isnan(found.largest_z)


def test_on_a_circle_every_quantity_has_a_deviation():
    quantities = known.von_mises_fisher(10.0, 2).quantities
    random = np.random.default_rng(0).vonmises(0.0, 10.0, 400_000)
    assert quantities["x0²"].deviation == pytest.approx((np.cos(random) ** 2).std(), rel=0.01)
