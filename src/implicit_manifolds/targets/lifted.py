"""A FitzHugh–Nagumo neuron driven by noise, seen without noise: its parameters and its path, lifted to a manifold.

dx = (x - x³ - z)/ε dt, dz = (γx - z + β) dt + σ dB, of which x is seen at 40 times. Inputs u (n,) are standard normal:
four parameters, the initial state, and an increment of noise for each step of the scheme. What was seen says F(u) = 0,
and the posterior of u is its prior conditioned on that (Graham & Storkey 2017; Graham, Thiery & Beskos 2022).
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._pytree import pytree
from .._types import Array, Float, RandomKey, Residual, Scalar, Vector
from ..manifold.projection import project
from ..manifold.tangent import Linearization
from .target import Quantity, Target

SEEN, STEPS, INTERVAL = 40, 5, 0.25
"""Observations, steps of the scheme between two of them, and the time between them."""
STEP = INTERVAL / STEPS
STEP_SIZE, MAX_STEPS = 0.3, 8.0
"""Of a sampler that does well here."""
BLOCK, FARTHEST = 32, 6.0
"""Prior draws that are projected at once, and the mean square of inputs beyond which a start is not used."""
PARAMETERS = 4
FIRST = PARAMETERS + 2
INPUTS = FIRST + SEEN * STEPS
TRUTH, SEED = (0.0, -0.6, -0.2, 0.6), 5
"""The parameters' inputs that data are simulated with, and the seed of all the others."""


class Neuron(NamedTuple):
    """σ, ε, γ and β: strength of the noise, ratio of the time scales, coupling, and stimulus."""

    sigma: Scalar
    epsilon: Scalar
    gamma: Scalar
    beta: Scalar


def parameters(u: Vector) -> Neuron:
    """Of inputs: log σ ~ N(-1, ½²), log ε ~ N(-2, ½²), log γ ~ N(½, ½²), β ~ N(½, ½²)."""
    half = 0.5 * u
    return Neuron(jnp.exp(half[0] - 1), jnp.exp(half[1] - 2), jnp.exp(half[2] + 0.5), half[3] + 0.5)


def initial_state(u: Vector) -> tuple[Scalar, Scalar]:
    """x ~ N(-½, ½²) and z ~ N(0, ½²) at time 0."""
    return -0.5 + 0.5 * u[PARAMETERS], 0.5 * u[PARAMETERS + 1]


def _cubic(x, neuron, time):
    left = jnp.exp(-2 * time / neuron.epsilon)
    return x / jnp.sqrt(left + x**2 * (1 - left))


def _stepped(state, noise, neuron):
    """A step of the symmetric splitting: halves of both parts of x around z, an Ornstein-Uhlenbeck process given x.

    Every part is solved exactly (Buckwar, Samson, Tamborrino & Tubikanec 2022), so no input makes it overflow.
    """
    x, z = state
    half, decay = STEP / 2, np.exp(-STEP)
    x = _cubic(x, neuron, half) - half * z / neuron.epsilon
    level = neuron.gamma * x + neuron.beta
    z = level + decay * (z - level) + neuron.sigma * np.sqrt((1 - decay**2) / 2) * noise
    x = _cubic(x - half * z / neuron.epsilon, neuron, half)
    return x, z


def path(u: Vector) -> Float[Array, "s 2"]:
    """x and z after every step (200, 2), of inputs u (206,)."""
    neuron = parameters(u)

    def step(state, noise):
        state = _stepped(state, noise, neuron)
        return state, jnp.stack(state)

    return jax.lax.scan(step, initial_state(u), u[FIRST:])[1]


def seen(u: Vector) -> Float[Array, " k"]:
    """x at the times of observation, (40,)."""
    return path(u)[STEPS - 1 :: STEPS, 0]


@pytree
@dataclass(frozen=True)
class SeenExactly:
    """F(u) = seen(u) - y, an MDF that always forms its Jacobian and leaves the factor of J Jᵀ to LAPACK.

    By itself the library forms no Jacobian of more than 32 constraints, and up to 32 it writes the factor out number by
    number, which pays for many chains of few constraints; here a Jacobian costs far more than its factor.
    """

    observation: Any

    def rank(self, point: Any) -> int:
        """k."""
        return len(self.observation)

    def __call__(self, u: Vector) -> Residual:
        """F(u), (206,) to (40,)."""
        return seen(u) - self.observation

    def linearize(self, u: Vector) -> Linearization:
        """F to first order at u."""
        residual, pull_back = jax.vjp(self, u)
        jacobian = jax.vmap(lambda row: pull_back(row)[0])(jnp.eye(len(residual), dtype=residual.dtype))
        factor = jnp.linalg.cholesky(jacobian @ jacobian.T)
        return Linearization(u, residual, jnp.linalg.norm(jacobian, axis=1), jacobian, factor)

    def approach(self, u: Vector) -> Vector:
        """Where a search for a zero near u starts: there."""
        return u


@cache
def true_inputs() -> Float[np.ndarray, " n"]:
    """The inputs that data are simulated from, (206,)."""
    return np.concatenate([TRUTH, np.random.default_rng(SEED).standard_normal(INPUTS)[PARAMETERS:]])


@cache
def neuron_data() -> Float[np.ndarray, " k"]:
    """What was seen, (40,), float64 whatever JAX's precision is."""
    with jax.enable_x64(True):
        return np.asarray(seen(jnp.asarray(true_inputs())))


def _energy(u: Vector) -> Scalar:
    """-log of the prior."""
    return 0.5 * jnp.sum(u**2)


def _starts(key: RandomKey, count: int) -> Float[np.ndarray, "count n"]:
    """Prior draws projected to {F = 0}, those that arrive where the prior has mass; the others are drawn again."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    found: list[np.ndarray] = []
    with jax.enable_x64(True):
        onto = jax.jit(jax.vmap(partial(project, SeenExactly(neuron_data()))))
        while sum(map(len, found)) < count:
            reached = onto(jnp.asarray(rng.standard_normal((BLOCK, INPUTS))))
            near = np.sum(np.asarray(reached.position) ** 2, axis=1) < FARTHEST * INPUTS
            found.append(np.asarray(reached.position)[np.asarray(reached.converged) & near])
    return np.concatenate(found)[:count]


def _parameter(index: Any, u: Vector) -> Scalar:
    """log σ, log ε, log γ or β."""
    neuron = parameters(u)
    return jnp.stack([jnp.log(neuron.sigma), jnp.log(neuron.epsilon), jnp.log(neuron.gamma), neuron.beta])[index]


def _first_recovery(u: Vector) -> Scalar:
    return initial_state(u)[1]


def _recovery(index: Any, u: Vector) -> Scalar:
    """z, which is never seen, after some steps."""
    return path(u)[index, 1]


FUNCTIONS = {
    "log sigma": Partial(_parameter, 0),
    "log epsilon": Partial(_parameter, 1),
    "log gamma": Partial(_parameter, 2),
    "beta": Partial(_parameter, 3),
    "z at 0": Partial(_first_recovery),
    "z at 5": Partial(_recovery, SEEN * STEPS // 2 - 1),
    "z at 10": Partial(_recovery, SEEN * STEPS - 1),
}
"""By name, what is compared: the parameters, and the state that is not seen at three times."""

SOURCE = "a long run of ConstrainedHMC in float64"
REFERENCE: dict[str, tuple[float, float, float]] = {
    "log sigma": (-1.00957, 0.1268, 0.00029),
    "log epsilon": (-2.19093, 0.1072, 0.00025),
    "log gamma": (0.255308, 0.1427, 0.00041),
    "beta": (0.555522, 0.1455, 0.00043),
    "z at 0": (0.163166, 0.22, 0.00066),
    "z at 5": (0.725293, 0.08806, 0.00025),
    "z at 10": (-0.465155, 0.08085, 0.00024),
}
"""Of each quantity its mean, standard deviation, and the standard error of the mean: what `reference` printed.

mici 0.4.1 (two chains of 100 draws) agrees within two standard errors of its own, a twentieth of a deviation.
"""


def fitzhugh_nagumo() -> Target:
    """Parameters, noise and path of a FitzHugh–Nagumo neuron seen 40 times without noise: 206 inputs, 40 constraints.

    Returns:
        `Target`: of measure "ambient", with means of four parameters and of the unseen state at three times.

    >>> from implicit_manifolds.targets.lifted import fitzhugh_nagumo
    >>> law = fitzhugh_nagumo()
    >>> law.dimension, law.codimension
    (206, 40)
    """
    return Target(
        name="fitzhugh_nagumo",
        dimension=INPUTS,
        mdf=SeenExactly(neuron_data()),
        energy=Partial(_energy),
        measure="ambient",
        starts=_starts,
        quantities={name: Quantity(FUNCTIONS[name], *known, SOURCE) for name, known in REFERENCE.items()},
        about="Hypoelliptic FitzHugh-Nagumo diffusion of which one of two coordinates is seen without noise "
        "(Graham, Thiery & Beskos 2022; Graham & Storkey 2017). Data are simulated from a fixed seed.",
    )


def reference(num_chains: int = 8, num_samples: int = 22_000) -> None:
    """Print the lines of `REFERENCE`, from a long run in float64; an hour."""
    from ..mcmc.constrained_hmc import ConstrainedHMC
    from ..mcmc.run import run
    from .factors import print_known

    with jax.enable_x64(True):
        law = fitzhugh_nagumo()
        sampler = ConstrainedHMC(law.mdf, law.energy, step_size=STEP_SIZE, max_steps=MAX_STEPS, measure="ambient")
        starts = law.starts(jax.random.key(0), num_chains)
        positions = run(jax.random.key(1), sampler, starts, num_samples).positions
        print_known(FUNCTIONS, positions[100:].swapaxes(0, 1))


if __name__ == "__main__":
    reference()
