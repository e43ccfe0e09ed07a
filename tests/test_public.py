"""Every public function that lives inside jit: traced once for all parameters, in the precision of what it is given.

Nothing is compiled: ranks, dtypes and what is traced again show when a function is traced.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from experiments.reliability.models import rightwards
from implicit_manifolds import EBIM, Box, Manifold, functional, manifold, mcmc
from implicit_manifolds.ebim.model import ChainScales
from implicit_manifolds.manifold.analytic import sphere, torus
from implicit_manifolds.manifold.scaled_chord import scaled_chord
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.manifold import Atlas
from implicit_manifolds.volumes.pools import Estimate

N = 3


def sphere_of(radius):
    return Partial(sphere().func, radius)


def torus_of(tube):
    return Partial(torus().func, 3 * tube, tube)


def model_of(size, dtype):
    """A model on a sphere in the units of its size; its charts stand anywhere, since nothing is run."""
    bases = np.eye(N)
    atlas = Atlas(*(jnp.asarray(part, dtype) for part in (bases, bases[:, None], np.full(N, 0.5), np.full(N, 1 / N))))
    box = Box(jnp.full(N, -2.0, dtype), jnp.full(N, 2.0, dtype))
    charted = Manifold(sphere_of(jnp.asarray(1.0, dtype)), box, jnp.asarray(bases, dtype)).charted(atlas)
    energy = Partial(rightwards, jnp.asarray(size, dtype))
    return EBIM(charted, energy, Scaling(np.zeros(N), np.float64(size)), ChainScales(0.1), Estimate(0.0, 0.0))


def of_model(call):
    return lambda size, dtype, x, key: (call, (model_of(size, dtype), x, key))


def of_mdf(call, make=sphere_of):
    return lambda size, dtype, x, key: (call, (make(jnp.asarray(size, dtype)), x))


def of_solver(solver):
    return of_mdf(lambda mdf, x: solver(mdf, manifold.linearize(mdf, x), x + 0.1))


def of_sampler(make, **options):
    def built(size, dtype, x, key):
        energy = Partial(rightwards, jnp.asarray(size, dtype))
        if make is mcmc.Langevin:
            sampler = make(energy, jnp.asarray(0.1, dtype))
        else:
            sampler = make(sphere_of(jnp.asarray(size, dtype)), energy, jnp.asarray(0.1, dtype), **options)
        return (lambda sampler, x, key: sampler.step(key, sampler.init(x, key))), (sampler, x, key)

    return built


def tempered(size, dtype, x, key):
    cold = mcmc.ConstrainedHMC(sphere_of(jnp.asarray(size, dtype)), Partial(rightwards, jnp.asarray(size, dtype)), 0.1)
    betas = jnp.asarray([1.0, 0.3], dtype)
    sampler = mcmc.ParallelTempering(replace(cold, step_size=None), betas, jnp.full(2, 0.1, dtype))
    return (lambda sampler, x, key: sampler.step(key, sampler.init(x, key))), (sampler, x, key)


def one_chain(size, dtype, x, key):
    sampler = mcmc.ConstrainedHMC(
        sphere_of(jnp.asarray(size, dtype)), Partial(rightwards, jnp.asarray(size, dtype)), jnp.asarray(0.1, dtype)
    )
    return (lambda sampler, x, key: mcmc.sample_chain(key, sampler, x, 5).positions), (sampler, x, key)


def _off_sphere(radius, x):
    return x - radius * x / jnp.linalg.norm(x)


def ridge_of(radius):
    return manifold.Ridge(Partial(_off_sphere, radius), 1)


def moved(change):
    return of_mdf(lambda mdf, x: change(mdf)(x))


at = manifold.linearize
shift = lambda mdf: manifold.translate(mdf, jnp.ones(N, jnp.float32))
CALLS = {
    "functional.residual": of_model(lambda model, x, key: functional.residual(model, x)),
    "functional.tangent_basis": of_model(lambda model, x, key: functional.tangent_basis(model, x)),
    "functional.nearest_point": of_model(lambda model, x, key: functional.nearest_point(model, x)),
    "functional.energy": of_model(lambda model, x, key: functional.energy(model, x)),
    "functional.score": of_model(lambda model, x, key: functional.score(model, x)),
    "functional.log_density": of_model(lambda model, x, key: functional.log_density(model, x)),
    "functional.draw": of_model(lambda model, x, key: functional.draw(key, model)),
    "functional.sample": of_model(lambda model, x, key: functional.sample(key, model, 7)),
    "functional.sample, chains": of_model(
        lambda model, x, key: functional.sample(key, model, 7, method="chains", num_steps=3)
    ),
    "manifold.project": of_mdf(manifold.project),
    "manifold.project, ridge": of_mdf(manifold.project, ridge_of),
    "manifold.nearest_point": of_mdf(manifold.nearest_point),
    "manifold.nearest_point, ridge": of_mdf(manifold.nearest_point, ridge_of),
    "manifold.sampson_distance": of_mdf(manifold.sampson_distance, torus_of),
    "manifold.linearize": of_mdf(manifold.linearize),
    "manifold.tangent_projection": of_mdf(
        lambda mdf, x: manifold.tangent_projection(mdf, manifold.linearize(mdf, x), x)
    ),
    "manifold.normal_projection": of_mdf(lambda mdf, x: manifold.normal_projection(mdf, manifold.linearize(mdf, x), x)),
    "manifold.gram_solve": of_mdf(lambda mdf, x: manifold.gram_solve(mdf, manifold.linearize(mdf, x), mdf(x))),
    "manifold.exponential_map": of_mdf(lambda mdf, x: manifold.exponential_map(mdf, x, x[::-1], 4)),
    "manifold.parallel_transport": of_mdf(lambda mdf, x: manifold.parallel_transport(mdf, x, x[::-1], x, 4)),
    "manifold.intersection": moved(lambda mdf: manifold.intersection(mdf, lambda x: x[:1])),
    "manifold.union": moved(lambda mdf: manifold.union(mdf, mdf)),
    "manifold.pull_back": moved(lambda mdf: manifold.pull_back(mdf, lambda x: 2 * x)),
    "manifold.translate": moved(shift),
    "manifold.gradient_of": of_mdf(lambda mdf, x: manifold.gradient_of(lambda y: mdf(y)[0])(x)),
    **{
        f"manifold.{solver.__name__}": of_solver(solver)
        for solver in (manifold.quasi_newton, manifold.newton, manifold.gradient_descent, manifold.lbfgs, scaled_chord)
    },
    "mcmc.ConstrainedHMC": of_sampler(mcmc.ConstrainedHMC),
    "mcmc.ConstrainedHMC, ambient": of_sampler(mcmc.ConstrainedHMC, measure="ambient"),
    "mcmc.ConstrainedNUTS": of_sampler(mcmc.ConstrainedNUTS, max_depth=3),
    "mcmc.ConstrainedLangevin": of_sampler(mcmc.ConstrainedLangevin),
    "mcmc.GeodesicLangevin": of_sampler(mcmc.GeodesicLangevin),
    "mcmc.Langevin": of_sampler(mcmc.Langevin),
    "mcmc.ParallelTempering": tempered,
    "mcmc.sample_chain": one_chain,
}
ON_THE_HOST = {
    "functional": {"stack"},
    "manifold": {"DenoiserManifold", "Ridge", "FramedMDF"},
    "mcmc": {
        "run",
        "warm_up",
        "tempered_smc",
        "summary",
        "to_arviz",
        "uniform_chains",
        "conditioned",
        "biject_to",
        "energy_from_log_density",
        "energy_from_potential",
        "standard_normal",
    },
}
"""What is made, run or looked at outside of jit, whose own tests count what they compile."""


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_it_is_traced_once_for_all_parameters_and_keeps_the_precision_it_is_given(name, precision):
    with jax.enable_x64(precision == "float64"):
        traces = []

        def counted(*arguments):
            traces.append(1)
            return call(*arguments)

        traced = jax.jit(counted)
        for number, size in enumerate((1.0, 1.7)):
            x = jnp.asarray([0.3, -0.5, 0.8], precision) * size
            call, arguments = CALLS[name](size, precision, x, jax.random.key(number))
            found = traced.trace(*arguments).out_info
        assert len(traces) == 1
        floats = {str(leaf.dtype) for leaf in jax.tree.leaves(found) if jnp.issubdtype(leaf.dtype, jnp.floating)}
        assert floats == {precision}


def test_none_is_forgotten():
    rooms = {"functional": functional, "manifold": manifold, "mcmc": mcmc}
    covered = {name.split(",")[0] for name in CALLS}
    for room, module in rooms.items():
        public = {
            name
            for name, value in vars(module).items()
            if callable(value) and not name.startswith("_") and value.__module__.startswith("implicit_manifolds")
        }
        values = {
            name
            for name in public
            if isinstance(getattr(module, name), type) and hasattr(getattr(module, name), "_fields")
        }
        values |= {"Sampler", "Reason", "ChainsStuck", "Bijection", "Conditioned", "MultiplierSolution"}
        missing = {name for name in public - values - ON_THE_HOST[room] if f"{room}.{name}" not in covered}
        assert not missing, f"{room}: {missing}"
