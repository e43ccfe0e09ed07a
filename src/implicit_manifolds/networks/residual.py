"""Residual perceptron whose blocks a context can gate: the conditioner of flows, and a separate encoder."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._random import host_generator
from .._types import Array, Float

LAST_LAYER = 1e-3


class ResidualMLP(nnx.Module):
    """Linear layer, pre-activated residual blocks of two SiLU layers, linear layer: (inputs,) to (outputs,).

    The last layer of a block starts uniform in ±1e-3, so blocks start near zero. A context (c,), if there is one, is
    appended to the input and gates each block by a sigmoid (Durkan et al. 2019, appendix B; Dauphin et al. 2017).
    inputs may be 0: the outputs are then free constants, or functions of the context alone.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int, blocks: int, context: int = 0, rngs: nnx.Rngs):
        random = host_generator(rngs.params())
        self.width = width
        self.first = uniform_linear(random, inputs + context, width)
        self.blocks = nnx.List([_Block(random, width, context) for _ in range(blocks)])
        self.last = uniform_linear(random, width, outputs)

    def __call__(self, x: Float[Array, " inputs"], context: Float[Array, " c"] | None = None) -> Float[Array, " out"]:
        """One point, (inputs,) to (outputs,)."""
        hidden = self.first(x if context is None else jnp.concatenate([x, context]))
        for block in self.blocks:
            hidden = block(hidden, context)
        return self.last(hidden)


class _Block(nnx.Module):
    def __init__(self, random: np.random.Generator, width: int, context: int):
        self.inner = uniform_linear(random, width, width)
        self.outer = uniform_linear(random, width, width, LAST_LAYER)
        self.gate = uniform_linear(random, context, width) if context else None

    def __call__(self, hidden, context):
        change = self.outer(jax.nn.silu(self.inner(jax.nn.silu(hidden))))
        return hidden + (change if self.gate is None else change * jax.nn.sigmoid(self.gate(context)))


def uniform_linear(random: np.random.Generator, inputs: int, outputs: int, bound: float | None = None) -> nnx.Linear:
    """A linear layer whose weights and biases start uniform in ±bound, fan_in^-½ unless given; drawn on the host."""
    bound = max(1, inputs) ** -0.5 if bound is None else bound
    draw = random.uniform(-bound, bound, (inputs + 1, outputs))
    kernel, bias = jnp.asarray(draw[:-1], float), jnp.asarray(draw[-1], float)
    return nnx.Linear(inputs, outputs, kernel_init=lambda *_: kernel, bias_init=lambda *_: bias, rngs=nnx.Rngs(0))
