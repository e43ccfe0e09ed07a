"""Spectral normalisation as a stored vector and a pure function (Miyato et al. 2018).

`flax.nnx.SpectralNorm` updates itself inside the call, which `vmap` forbids. Here the call only reads
the stored vector; `power_iteration` refreshes all of a model's vectors, once per training step,
outside `vmap`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._random import host_generator
from .._types import Array, Float, Scalar


class SingularVector(nnx.Variable):
    """The estimate of a kernel's leading left singular vector, (fan_in,); not a parameter."""


class SpectralLinear(nnx.Linear):
    """x -> x W / σ(W) + b, σ(W) estimated with the stored vector; (fan_in,) to (fan_out,)."""

    def __init__(self, in_features: int, out_features: int, *, rngs: nnx.Rngs, **options):
        super().__init__(in_features, out_features, rngs=rngs, **options)
        self.vector = _random_vector(self.kernel, rngs)

    def __call__(self, inputs, out_sharding=None):
        """One point, (fan_in,) to (fan_out,)."""
        sigma = spectral_norm(_matrix(self.kernel[...]), self.vector[...])
        outputs = inputs @ (self.kernel[...] / sigma)
        return outputs if self.bias is None else outputs + self.bias[...]


class SpectralConv(nnx.Conv):
    """A convolution whose kernel, as a matrix (kernel positions and channels in, channels out), has norm one."""

    def __init__(self, *sizes, rngs: nnx.Rngs, **options):
        super().__init__(*sizes, rngs=rngs, **options)
        self.vector = _random_vector(self.kernel, rngs)

    def __call__(self, inputs, out_sharding=None):
        """One image (height, width, channels)."""
        return _rescaled(self, super().__call__(inputs))


START_ITERATIONS = 15
SPECTRAL = (SpectralLinear, SpectralConv)


def _random_vector(kernel, rngs: nnx.Rngs) -> SingularVector:
    """Some power iterations from a random start, on the host, where no shape is compiled for.

    Without them σ is far too small in the first steps of training, and deep networks explode.
    """
    matrix = np.asarray(_matrix(kernel[...]))
    vector = host_generator(rngs.params()).normal(size=len(matrix))
    for _ in range(START_ITERATIONS):
        vector = matrix @ (vector @ matrix)
        vector /= np.linalg.norm(vector)
    return SingularVector(jnp.asarray(vector, kernel.dtype))


def _matrix(kernel):
    return kernel.reshape(-1, kernel.shape[-1])


def _rescaled(layer, outputs):
    """Outputs of a layer, as those of the same layer with its kernel divided by σ."""
    bias = layer.bias[...].reshape((1,) * (outputs.ndim - 1) + (-1,))
    return (outputs - bias) / spectral_norm(_matrix(layer.kernel[...]), layer.vector[...]) + bias


def spectral_norm(kernel: Float[Array, "a b"], vector: Float[Array, " a"]) -> Scalar:
    """uᵀW v for the stored u (a,) and v = Wᵀu/‖Wᵀu‖; its gradient in W is u vᵀ, as if u, v were exact."""
    u = jax.lax.stop_gradient(vector)
    v = jax.lax.stop_gradient(_unit(u @ kernel))
    return u @ kernel @ v


def power_iteration(model):
    """The model with each spectral layer's vector moved one power iteration on; any pytree, pure."""

    def refresh(node):
        if not isinstance(node, SPECTRAL):
            return node
        renewed = jax.tree.map(lambda leaf: leaf, node)
        kernel = _matrix(node.kernel[...])
        renewed.vector[...] = _unit(kernel @ _unit(node.vector[...] @ kernel))
        return renewed

    return jax.tree.map(refresh, model, is_leaf=lambda node: isinstance(node, SPECTRAL))


def _unit(v):
    return v / jnp.linalg.norm(v)
