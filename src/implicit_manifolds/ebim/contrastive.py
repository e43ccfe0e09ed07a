"""Step 2 by contrastive divergence, its negatives from constrained chains (Ross et al. 2023, §3.2)."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from .._pytree import pytree
from .._random import derived_keys, host_generator
from .._types import MDF, Array, Energy, Float, RandomKey
from ..box import Box
from ..manifold.multipliers import quasi_newton
from ..manifold.paper_multipliers import gradient_descent
from ..manifold.scaled_chord import scaled_chord
from ..mcmc.chains import advance
from ..mcmc.constrained_langevin import ROUGHLY, ConstrainedLangevin
from ..mcmc.langevin import Langevin
from ..networks.mlp import EnergyMLP
from ..tables import Rows
from ..training import replay_buffer
from ..training.config import Network, TrainingConfig
from ..training.loop import History, train_afresh
from ..training.objective import Objective, Terms
from ..volumes.manifold import Manifold


@dataclass(frozen=True, kw_only=True)
class EnergyConfig(TrainingConfig):
    """Step 2 by contrastive divergence, and its constrained chains on M; those of `sample` share ε and α."""

    hidden: tuple[int, ...] = (32, 32)
    learning_rate: float = 0.01
    clip_norm: float | None = 1.0
    square_weight: float = 0.1
    langevin_steps: int = 10
    noise_scale: float = 0.15
    drift_scale: float | None = None  # noise_scale², the one value that targets exp(-E)
    gradient_clip: float | None = None
    replay_fraction: float = 0.95
    buffer_size: int = 10_000
    starts: int = 2000  # points of M that fresh chains are drawn from
    solver: Literal["quasi-newton", "scaled-chord", "gradient-descent"] = "quasi-newton"  # of multipliers
    tolerance: float | None = None  # of ‖F‖; what the dtype allows, unless given
    max_iterations: int | None = None  # of the solver, since chains wait for the slowest; its own cap unless given
    network: Network = field(default=None, repr=False)  # E, (n,) to (), in place of a perceptron


def contrastive_loss(
    energy: Energy,
    points: Float[Array, "batch n"],
    negatives: Float[Array, "m n"],
    *,
    square_weight: float = 0.1,
) -> Terms:
    """Mean E(x) - mean E(x⁻) + b · (mean E(x)² + mean E(x⁻)²), b = square_weight.

    points x (batch, n) from the data, negatives x⁻ (m, n) from the model's chains, through which no
    gradient flows. Returns the loss and its unweighted terms. Its gradient is that of the negative
    log-likelihood when the chains follow exp(-E) and b = 0.
    """
    low = jax.vmap(energy)(points)
    high = jax.vmap(energy)(jax.lax.stop_gradient(negatives))
    terms = {
        "data": jnp.mean(low),
        "negative": jnp.mean(high),
        "square": jnp.mean(low**2) + jnp.mean(high**2),
    }
    return terms["data"] - terms["negative"] + square_weight * terms["square"], terms


SOLVERS = {"quasi-newton": quasi_newton, "scaled-chord": scaled_chord, "gradient-descent": gradient_descent}


@pytree
@dataclass(frozen=True, eq=False)
class ContrastiveObjective(Objective):
    """Step 2: contrastive divergence with F frozen, negatives from constrained Langevin chains on M.

    Without an MDF, M is all of R^n in the box and chains are ambient. starts (s, n): points of M that fresh chains are
    drawn from. No chain may leave the box. The memory is the replay buffer (size, n), all of it on M.
    """

    mdf: MDF | None
    starts: Float[Array, "starts n"]
    box: Box
    config: EnergyConfig = field(metadata={"static": True})

    def initial_memory(self, key: RandomKey, model) -> Float[Array, "size n"]:
        """A buffer of random starts."""
        return self.starts[host_generator(key).integers(0, len(self.starts), self.config.buffer_size)]

    def sampler(self, energy: Any) -> ConstrainedLangevin | Langevin:
        """The chains of this objective for a given energy."""
        config = self.config
        if self.mdf is None:
            return Langevin(energy, config.noise_scale, config.drift_scale, config.gradient_clip)
        return ConstrainedLangevin(
            self.mdf,
            energy,
            config.noise_scale,
            config.drift_scale,
            config.gradient_clip,
            tolerance=config.tolerance,
            box=self.box,
            solver=SOLVERS[config.solver],
            max_iterations=config.max_iterations,
            tangent_tolerance=None if config.solver == "gradient-descent" else ROUGHLY,
        )

    def sample(self, key: RandomKey, model, memory, batch_size: int):
        """Negatives (batch, n) on M, and the buffer with them pushed."""
        fresh_key, draw_key, chain_key = jax.random.split(key, 3)
        # A uniform number and not `randint`, which draws, and compiles, twice.
        picked = jax.random.uniform(fresh_key, (batch_size,)) * self.starts.shape[0]
        fresh = self.starts[picked.astype(int)]
        start = replay_buffer.draw(draw_key, memory, fresh, self.config.replay_fraction)
        sampler = self.sampler(model)
        states = jax.vmap(sampler.init)(start)
        states, _ = advance(chain_key, sampler, states, self.config.langevin_steps)
        # Constrained chains never leave the box; ambient ones are brought back.
        finished = self.box.clip(states.position)
        return finished, replay_buffer.push(memory, finished)

    def loss(self, key: RandomKey, model, batch, negatives):
        """`contrastive_loss` with this objective's penalty."""
        return contrastive_loss(model, batch, negatives, square_weight=self.config.square_weight)


def fit_contrastive(
    key: RandomKey,
    manifold: Manifold | Box,
    points: Float[Array, "points n"],
    starts: Float[Array, "starts n"],
    config: EnergyConfig = EnergyConfig(),
    *,
    stream: Rows | None = None,
    progress: bool = False,
    checkpoint_dir: Path | None = None,
) -> tuple[Energy, History]:
    """Learn E on a frozen M from `points` (N, n), standardised, as the paper does; E and the history.

    starts (s, n): points of M for fresh chains. A box in place of M stands for all of R^n in it, where chains are
    ambient. Where points are a sample, E is trained on the stream of all. Raises TrainingDiverged.
    """
    model_key, train_key = derived_keys(key, 2)
    energy = _initial_energy(model_key, config.network, (points.shape[1], *config.hidden))
    mdf, box = (None, manifold) if isinstance(manifold, Box) else (manifold.mdf, manifold.box)
    objective = ContrastiveObjective(mdf, starts, box, config)
    options: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoint_dir}
    seen = points if stream is None else stream
    state, history = train_afresh("energy", train_key, energy, objective, seen, config, **options)
    return state.model, history


@partial(jax.jit, static_argnames=("network", "sizes"))
def _initial_energy(key, network, sizes):
    return EnergyMLP(sizes, rngs=nnx.Rngs(key)) if network is None else network(nnx.Rngs(key))
