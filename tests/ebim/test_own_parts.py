"""Manifolds, networks and optimisers that people bring themselves: fitted, saved and loaded like the library's."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.tree_util import Partial

import implicit_manifolds as im
from implicit_manifolds.ebim.arithmetic import _summed
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.training.config import TrainingConfig
from implicit_manifolds.training.loop import train_afresh
from implicit_manifolds.training.objective import LossObjective
from implicit_manifolds.volumes.pools import volume

CENTRE, RADIUS, KAPPA = np.asarray([10.0, 0.0, -5.0]), 3.0, 4.0


def ball(x):
    """The sphere of radius 3 about (10, 0, -5)."""
    return jnp.sum((x - jnp.asarray(CENTRE, x.dtype)) ** 2, keepdims=True) - RADIUS**2


def von_mises_fisher(seed, count):
    """Points of that sphere with density κ exp(κ cos θ) / (4π sinh κ) of the unit one, θ from the first axis."""
    random = np.random.default_rng(seed)
    cosine = 1 + np.log(random.uniform(size=count) * (1 - np.exp(-2 * KAPPA)) + np.exp(-2 * KAPPA)) / KAPPA
    angle, sine = random.uniform(-np.pi, np.pi, count), np.sqrt(1 - cosine**2)
    return CENTRE + RADIUS * np.column_stack([cosine, sine * np.cos(angle), sine * np.sin(angle)])


def true_log_density(points):
    cosine = (points[:, 0] - CENTRE[0]) / RADIUS
    return KAPPA * cosine + np.log(KAPPA / (4 * np.pi * np.sinh(KAPPA))) - 2 * np.log(RADIUS)


class Network(nnx.Module):
    """A perceptron of one's own."""

    def __init__(self, sizes, rngs):
        self.first, self.last = nnx.Linear(sizes[0], 16, rngs=rngs), nnx.Linear(16, sizes[1], rngs=rngs)

    def __call__(self, x):
        return self.last(jnp.tanh(self.first(x)))


class EnergyNetwork(Network):
    def __call__(self, x):
        return super().__call__(x)[0]


def own_mdf(rngs):
    return Network((2, 1), rngs)


def own_energy(rngs):
    return EnergyNetwork((3, 1), rngs)


@pytest.fixture(scope="module")
def known(quick):
    """A density on a sphere that was written down, by a network of one's own, from 400 points, with its settings."""
    config = replace(quick, likelihood=replace(quick.likelihood, network=own_energy, num_steps=200))
    return im.fit_density(jax.random.key(0), von_mises_fisher(0, 400), ball, config=config).model, config


def test_a_density_on_a_known_sphere_is_learned_on_all_of_it(known):
    model, _ = known
    fresh = von_mises_fisher(1, 2000)
    found = im.log_density(model, fresh)
    assert found.converged.all()
    np.testing.assert_allclose(found.distance, 0, atol=1e-4)
    # Nats of a mean over 2,000 points; 400 points cannot say more of a density than this.
    assert 0 <= np.mean(true_log_density(fresh) - found.log_density) < 0.06
    pool = im.draw_pool(jax.random.key(0), model.manifold, 20_000)
    area = volume(pool).value * np.exp(im.log_volume_scale(model, pool.points))
    assert area == pytest.approx(4 * np.pi * RADIUS**2, rel=0.01)  # points are on a cap of it


def test_what_goes_on_beyond_the_points_is_told_and_a_box_is_kept_to(quick):
    random = np.random.default_rng(0)
    angle = random.uniform(-np.pi, np.pi, 300)
    tube = np.column_stack([np.cos(angle), np.sin(angle), random.uniform(-1, 1, 300)])
    cylinder = lambda x: jnp.sum(x[:2] ** 2, keepdims=True) - 1
    brief = replace(quick, likelihood=replace(quick.likelihood, num_steps=10))
    with pytest.warns(UserWarning, match="give a box"):
        im.fit_density(jax.random.key(0), tube, cylinder, config=brief)
    box = im.Box(np.full(3, -1.5), np.full(3, 1.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = im.fit_density(jax.random.key(0), tube, cylinder, box, brief).model
    pool = im.draw_pool(jax.random.key(0), model.manifold, 20_000)
    assert volume(pool).value * np.exp(im.log_volume_scale(model, pool.points)) == pytest.approx(6 * np.pi, rel=0.01)


@pytest.mark.slow
def test_own_networks_and_optimisers_train_and_come_back_from_disk(quick, known, tmp_path):
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, 300)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    network = replace(quick.zero_set, network=own_mdf, warmup_steps=1500, optimizer=optax.adamw(1e-3))
    config = replace(quick, zero_set=network, energy_loss="contrastive")
    found = im.fit(jax.random.key(0), ring, config=config)
    assert isinstance(found.model.manifold.mdf, Network)
    assert im.nearest_points(found.model, ring).distance.mean() < 0.05
    im.save(tmp_path / "ring", found.model, config)
    with pytest.raises(im.InputError, match="Network; give it as mdf="):
        im.load(tmp_path / "ring")
    again = im.load(tmp_path / "ring", mdf=own_mdf(nnx.Rngs(5)))
    np.testing.assert_array_equal(im.nearest_points(again, ring).points, im.nearest_points(found.model, ring).points)
    sphere_model, settings = known
    im.save(tmp_path / "sphere", sphere_model, settings)
    again = im.load(tmp_path / "sphere", mdf=ball, energy=own_energy(nnx.Rngs(5)))
    fresh = von_mises_fisher(2, 50)
    np.testing.assert_array_equal(
        im.log_density(again, fresh).log_density, im.log_density(sphere_model, fresh).log_density
    )


def test_the_optimiser_given_is_the_one_that_trains():
    def loss(key, model, batch):
        return jnp.sum(model), {"sum": jnp.sum(model)}

    config = TrainingConfig(num_steps=3, batch_size=10, optimizer=optax.sgd(0.5))
    state, _ = train_afresh(
        "own", jax.random.key(0), jnp.ones(2), LossObjective(Partial(loss)), jnp.ones((30, 2)), config
    )
    np.testing.assert_allclose(state.model, 1 - 3 * 0.5)


def test_own_networks_that_do_not_fit_are_refused(quick):
    ring = np.random.default_rng(0).normal(size=(50, 2))
    own = replace(quick, zero_set=replace(quick.zero_set, network=own_mdf))
    in_space = replace(quick, zero_set=replace(quick.zero_set, network=lambda rngs: Network((3, 1), rngs)))
    with pytest.raises(im.InputError, match="gives 1 constraints"):
        im.fit(jax.random.key(0), np.column_stack([ring, ring[::-1, 0]]), 2, in_space)
    with pytest.raises(im.InputError, match="zero set"):
        im.fit(jax.random.key(0), ring, config=replace(own, manifold="ridge"))


def test_functions_that_do_not_give_constraints_are_refused_in_a_sentence(quick):
    ring = np.random.default_rng(0).normal(size=(50, 2))
    for wrong in (lambda x: jnp.sum(x**2) - 1, lambda x: x):
        with pytest.raises(im.InputError, match="must be"):
            im.fit_density(jax.random.key(0), ring, wrong)
        own = replace(quick, zero_set=replace(quick.zero_set, network=lambda rngs, wrong=wrong: wrong))
        with pytest.raises(im.InputError, match="must be"):
            im.fit(jax.random.key(0), ring, config=own)


class Callable:
    """An object that is no pytree."""

    def __call__(self, x):
        return x[0]


def test_known_examples_and_plain_objects_are_saved_by_name(tmp_path):
    box = im.Box(jnp.full(2, -1.5), jnp.full(2, 1.5))
    scaling, scales = Scaling(np.zeros(2), 1.0), ChainScales(0.1)
    model = im.EBIM(im.Manifold(sphere(2.0), box), Partial(Callable()), scaling, scales)
    im.save(tmp_path / "model", model)
    again = im.load(tmp_path / "model", mdf=sphere(1.0), energy=Callable())
    assert float(again.manifold.mdf(jnp.asarray([2.0, 0.0]))[0]) == 0  # the radius is from the disk


def test_parts_without_a_name_are_refused_before_anything_is_written(tmp_path):
    box = im.Box(jnp.full(2, -1.5), jnp.full(2, 1.5))
    summed = Partial(_summed, ())
    model = im.EBIM(im.Manifold(sphere(1.0), box), summed, Scaling(np.zeros(2), 1.0), ChainScales(0.1))
    with pytest.raises(im.InputError, match="cannot be saved"):
        im.save(tmp_path / "new" / "model", model)
    assert not list(tmp_path.iterdir())
