"""Numbers that are none, put into energies, gradients, F, losses and points: what comes out."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

import implicit_manifolds as im
from experiments.reliability.models import model_of, rightwards, ring
from implicit_manifolds import mcmc
from implicit_manifolds.errors import TrainingDiverged
from implicit_manifolds.manifold import nearest_point
from implicit_manifolds.manifold.analytic import sphere
from implicit_manifolds.training.loop import adam, initial_state, train
from implicit_manifolds.training.objective import LossObjective

STEPS = 100


class Outcome(NamedTuple):
    """What was put where, what came of it, and whether that is right: named or masked, counted, never returned."""

    what: str
    happened: str
    right: bool


def _half(x):
    """No number on half of the sphere, where its gradient is zero."""
    return jnp.where(x[0] < 0, jnp.nan, -x[0])


@jax.custom_vjp
def _steep(x):
    """Finite everywhere, with a gradient that is none on half of the sphere."""
    return -x[0]


def _steep_gradient(x, weight):
    return (weight * jnp.where(x[0] < 0, jnp.nan, -jnp.eye(len(x))[0]),)


_steep.defvjp(lambda x: (-x[0], x), _steep_gradient)


def _torn(x):
    """F of the sphere, no number on half of it."""
    return jnp.where(x[0] < 0, jnp.nan, jnp.sum(x**2) - 1)[None]


def outcomes() -> Iterator[Outcome]:
    """All that is tried."""
    energies = {"an energy": _half, "a gradient": _steep}
    for name, energy in energies.items():
        for sampler in _samplers(sphere(1.0), Partial(energy)):
            yield _of_chains(f"{name} on half of a sphere, {type(sampler).__name__}", sampler)
    torn = mcmc.ConstrainedHMC(Partial(_torn), Partial(rightwards, 1.0), 0.5)
    yield _of_chains("F on half of a sphere, ConstrainedHMC", torn)
    yield from (_of_smc(), _of_samples(), _of_nearest())
    yield _raised("points to fit", lambda: im.fit(jax.random.key(0), np.full((10, 2), np.nan)), im.InputError)
    for what, loss in (("a term of a loss", _loss_breaks), ("the gradient of the last update", _last_breaks)):
        yield _raised(what, partial(_trained, loss), TrainingDiverged)


def _samplers(mdf, energy) -> Iterator[Any]:
    yield mcmc.ConstrainedHMC(mdf, energy, 0.5)
    yield mcmc.ConstrainedNUTS(mdf, energy, 0.3)
    yield mcmc.ConstrainedLangevin(mdf, energy, 0.3)
    yield mcmc.GeodesicLangevin(mdf, energy, 0.3)
    yield mcmc.Langevin(energy, 0.3)
    hot = jnp.array([1.0, 0.5, 0.0])
    yield mcmc.ParallelTempering(mcmc.ConstrainedHMC(mdf, energy, 0.5), hot, jnp.full(3, 0.5))


def _starts(count: int = 16) -> np.ndarray:
    starts = ring(count, 3).astype(np.float32)
    starts[:, 0] = np.abs(starts[:, 0])
    return starts


def _of_chains(what: str, sampler) -> Outcome:
    chains = mcmc.run(jax.random.key(0), sampler, _starts(), STEPS)
    there = np.mean(chains.positions[..., 0] < 0)
    refused = chains.info.reason[:, [mcmc.Reason.NOT_CONVERGED, mcmc.Reason.NON_FINITE]].mean(axis=0).sum()
    finite = bool(np.isfinite(chains.positions).all())
    told = f"{refused:.0%} of steps refused and counted, {there:.0%} of draws there, "
    told += "all finite" if finite else "not all finite"
    return Outcome(what, told, finite and there == 0 and refused > 0)


def _of_smc() -> Outcome:
    sampler = mcmc.ConstrainedHMC(sphere(1.0), Partial(_half), 0.5)
    found = mcmc.tempered_smc(jax.random.key(0), sampler, ring(1024, 3, 1).astype(np.float32))
    off = abs(found.log_normalizer - np.log((np.e - 1) / 2)) / found.standard_error
    told = f"{found.dropped} of 1,024 starts dropped and counted, log Z off by {off:.1f} standard errors"
    return Outcome(
        "an energy on half of a sphere, tempered_smc", told, bool((found.positions[:, 0] >= 0).all() and off < 4)
    )


def _of_samples() -> Outcome:
    model = replace(model_of(sphere(1.0), ring(dimension=3)), energy=Partial(_half))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drawn = im.sample(jax.random.key(0), model, 1000)
    told = str(caught[0].message) if caught else "nothing is said"
    return Outcome(
        "an energy on half of a sphere, sample", told, bool((drawn.points[:, 0] >= 0).all()) and bool(caught)
    )


def _of_nearest() -> Outcome:
    points = jnp.asarray([[2.0, 0.0, 0.0], [jnp.nan, 0.0, 0.0]])
    found = jax.vmap(lambda x: nearest_point(sphere(1.0), x))(points)
    told = f"converged: {found.converged.tolist()}; the lane beside it at distance {float(found.distance[0]):g}"
    return Outcome("one of two points, nearest_point", told, found.converged.tolist() == [True, False])


def _raised(what: str, call: Callable[[], Any], kind: type[Exception]) -> Outcome:
    try:
        call()
    except Exception as error:
        return Outcome(what, f"{type(error).__name__}: {error}", type(error) is kind)
    return Outcome(what, "nothing is said", False)


def _loss_breaks(key, model, batch):
    value = jnp.mean((batch - model[None]) ** 2)
    term = jnp.where(value < 0.9, jnp.nan, value)
    return term, {"distance": term}


def _last_breaks(key, model, batch):
    return jnp.sqrt(0 * jnp.sum(model)) + 1, {"distance": jnp.ones(())}


def _trained(loss):
    objective, optimizer = LossObjective(Partial(loss)), adam(0.1)
    state = initial_state(jax.random.key(0), objective, optimizer, jnp.full(2, 3.0))
    steps = 1 if loss is _last_breaks else 500
    return train(objective, optimizer, state, jnp.asarray(ring(60)), num_steps=steps, batch_size=60)
