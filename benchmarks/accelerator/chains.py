"""Figures of chains: their laws, their speed and what memory alone would allow, and rivals beside them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from scipy import stats

from benchmarks.accelerator.figures import Measurement
from benchmarks.timing import seconds_of
from implicit_manifolds import ManifoldConfig
from implicit_manifolds.box import box_around
from implicit_manifolds.datasets.synthetic import von_mises_mixture
from implicit_manifolds.ebim.anchors import points_on_manifold
from implicit_manifolds.ebim.manifold import fit_manifold
from implicit_manifolds.manifold.analytic import stiefel, torus
from implicit_manifolds.mcmc import ConstrainedHMC, ConstrainedLangevin, Reason, run
from implicit_manifolds.mcmc.chains import advance, initial_states
from implicit_manifolds.networks.mlp import EnergyMLP

RING, TUBE = 1.0, 0.5
LEAPFROGS = 3
SOFTNESS = 0.02
"""Of the rival that is held near F = 0 by a potential alone, in units of F's length."""


def _flat(x):
    return 0.0 * x[0]


TORUS = torus(RING, TUBE)
TORUS_START = np.array([RING + TUBE, 0.0, 0.0], np.float32)


def bandwidth(large: bool) -> Iterator[Measurement]:
    """Versions, and bytes a second of an array that is read and written."""

    def figures() -> dict[str, Any]:
        import flax
        import jaxlib

        values = jnp.ones(2**28 if large else 2**22, jnp.float32)
        taken = seconds_of(jax.jit(lambda values: values + 1.0), values)
        versions = {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "flax": flax.__version__}
        return versions | {"devices": len(jax.devices()), "bandwidth_GB_s": round(2 * values.nbytes / taken / 1e9, 1)}

    yield Measurement({}, 5, figures)


def laws(large: bool) -> Iterator[Measurement]:
    """Uniform chains on a torus against its law, and on SO(3) against moments of the trace, by precision."""
    count = 100_000 if large else 2000
    for precision in ("highest", "default"):
        yield Measurement(
            {"precision": precision, "chains": count}, 25 if large else 15, partial(_laws, precision, count)
        )


def _laws(precision: str, count: int) -> dict[str, Any]:
    ends = partial(run, num_samples=1, thinning=60, num_warmup=200)
    with jax.default_matmul_precision(precision):
        sampler = ConstrainedHMC(TORUS, Partial(_flat), num_steps=LEAPFROGS)
        ended = ends(jax.random.key(1), sampler, np.tile(TORUS_START, (count, 1)))
        frames = ConstrainedHMC(stiefel(3), Partial(_flat), num_steps=LEAPFROGS)
        starts = np.tile(np.eye(3, dtype=np.float32).ravel(), (count // 4, 1))
        turned = ends(jax.random.key(2), frames, starts)
    x = ended.positions[-1]
    angle = np.arctan2(x[:, 2], np.hypot(x[:, 0], x[:, 1]) - RING)
    law = lambda t: (t + np.pi + TUBE / RING * np.sin(t)) / (2 * np.pi)
    trace = turned.positions[-1].reshape(-1, 3, 3).trace(axis1=1, axis2=2)
    return {
        "torus_ks": round(float(stats.kstest(angle, law).statistic), 5),
        "bound_5_percent": round(1.36 / count**0.5, 5),
        "so3_trace_mean": round(float(trace.mean()), 4),
        "so3_trace_mean_square": round(float((trace**2).mean()), 4),
        "so3_refused": [round(float(share), 4) for share in turned.info.reason.mean(axis=0)],
    }


def langevin(large: bool) -> Iterator[Measurement]:
    """Constrained Langevin steps on the learned curve of the two-circle mixture."""
    learned: list = []
    for chains in (10**3, 10**4, 10**5, 10**6, 10**7) if large else (10**3, 10**4):
        yield Measurement({"chains": chains}, 12 if large else 8, partial(_langevin, learned, chains, large))


def _langevin(learned: list, chains: int, large: bool) -> dict[str, Any]:
    if not learned:
        points = jnp.asarray(von_mises_mixture(np.random.default_rng(0), 1000), jnp.float32)
        box = box_around(points, 0.1)
        mdf, _ = fit_manifold(jax.random.key(0), points, 1, box, ManifoldConfig(hidden=(8, 8, 8)))
        learned += [mdf, points_on_manifold(jax.random.key(1), mdf, points, box, 1000)[1]]
    mdf, some = learned
    energy = EnergyMLP([2, 32, 32], rngs=nnx.Rngs(1))
    states, count, step, taken = _timed(
        ConstrainedLangevin(mdf, energy, 0.1, tolerance=1e-5), _many(some, chains), chains, large
    )
    passes = jax.jit(lambda mdf, x: jax.lax.fori_loop(0, count, lambda _, y: y + 1e-9 * jax.vmap(mdf)(y), x))
    slopes = jax.jit(lambda e, x: jax.lax.fori_loop(0, count, lambda _, y: y + 1e-9 * jax.vmap(jax.grad(e))(y), x))
    forward = seconds_of(passes, mdf, states.position, repeats=3) / count
    slope = seconds_of(slopes, energy, states.position, repeats=3) / count
    return {
        "us_step": round(1e6 * step, 2),
        "us_forward": round(1e6 * forward, 2),
        "us_energy_gradient": round(1e6 * slope, 2),
        "forwards_a_step": round((step - slope) / forward, 2),
        "chain_steps_a_second": _short(chains / step),
    } | taken


def leapfrogs(large: bool) -> Iterator[Measurement]:
    """Leapfrog steps of constrained HMC, each with its reversed solve."""
    for name, (mdf, start, step) in targets().items():
        for chains in (10**3, 10**4, 10**5, 10**6) if large else (10**3,):
            yield Measurement(
                {"target": name, "chains": chains},
                10 if large else 5,
                partial(_leapfrogs, mdf, start, step, chains, large),
            )


def targets() -> dict[str, tuple]:
    """F, a start on {F = 0} and a step size, by name."""
    frames = lambda size: (stiefel(size), np.eye(size, dtype=np.float32).ravel(), 0.2)
    return {"torus": (TORUS, TORUS_START, 0.3), "so3": frames(3), "so4": frames(4)}


def _leapfrogs(mdf, start, step_size: float, chains: int, large: bool) -> dict[str, Any]:
    sampler = ConstrainedHMC(mdf, Partial(_flat), step_size, num_steps=LEAPFROGS)
    _, _, step, taken = _timed(sampler, _many(jnp.asarray(start)[None], chains), chains, large)
    return {"leapfrogs_a_second": _short(LEAPFROGS * chains / step)} | taken


def _timed(sampler, starts, chains: int, large: bool) -> tuple[Any, int, float, dict[str, Any]]:
    """States, how many steps were timed together, seconds of one, and what its bytes and its refusals are."""
    count = max(2, min(200, 10**7 // chains)) if large else 10
    states = initial_states(sampler, starts, jax.random.key(0))
    advanced = jax.jit(advance)
    step = seconds_of(advanced, jax.random.key(3), sampler, states, count, repeats=3) / count
    info = advanced(jax.random.key(3), sampler, states, count)[1]
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(states))
    not_converged = float(info.reason[:, Reason.NOT_CONVERGED].mean() / count)
    return states, count, step, {"bytes_a_step": 2 * size // chains, "not_converged": round(not_converged, 4)}


def rivals(large: bool) -> Iterator[Measurement]:
    """Leapfrog steps of BlackJAX's HMC on a torus: in its two angles, and in space, held near it by a potential."""
    for chains in (10**3, 10**5) if large else (10**3,):
        for name in ("chart", "soft constraint"):
            yield Measurement(
                {"rival": name, "chains": chains}, 10 if large else 3, partial(_rival, name, chains, large)
            )


def _rival(name: str, chains: int, large: bool) -> dict[str, Any]:
    import blackjax

    if name == "chart":
        start, log_density, step = jnp.zeros(2), lambda angles: jnp.log(RING + TUBE * jnp.cos(angles[1])), 0.3
    else:
        start = jnp.asarray(TORUS_START)
        log_density = lambda x: -0.5 * (TORUS(x)[0] / SOFTNESS) ** 2
        step = SOFTNESS / 2
    kernel = blackjax.hmc(log_density, step, jnp.ones_like(start), LEAPFROGS)
    states = jax.vmap(kernel.init)(jnp.tile(start, (chains, 1)))
    count = max(2, min(200, 10**7 // chains)) if large else 10

    @jax.jit
    def many(states):
        def one(index, states):
            keys = jax.random.split(jax.random.fold_in(jax.random.key(0), index), chains)
            return jax.vmap(kernel.step)(keys, states)[0]

        return jax.lax.fori_loop(0, count, one, states)

    taken = seconds_of(many, states, repeats=3) / count
    return {"leapfrogs_a_second": _short(LEAPFROGS * chains / taken), "step_size": step}


def _many(some, chains: int):
    return jnp.tile(some, (-(-chains // len(some)), 1))[:chains]


def _short(number: float) -> float:
    return float(f"{number:.4g}")
