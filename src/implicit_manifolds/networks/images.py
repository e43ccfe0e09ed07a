"""Networks of images, one flat image (784,) at a time: the U-net that defines a manifold, encoder, decoder, energy.

Sizes are those of Ross et al. (2023, appendix B). Where they have ReLU and the greatest of four pixels, the U-net and
the encoder have SiLU and the mean: zero sets should be smooth, and scores need second derivatives.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._random import host_generator
from .._types import Array, Float, Scalar, Vector
from .convolution import averaged, convolution, unfolded
from .normalization import SpectralConv

SIDE = 28


class UNet(nnx.Module):
    """U-net from an image (784,) to constraints (768,), so that zero sets have 16 dimensions.

    Four halvings from `width` channels, each after two 3 x 3 convolutions with SiLU, and as many doublings, each pixel
    to 2 x 2 of its own, with crops of the maps from the way down beside them; a 1 x 1 convolution to 3 maps of
    16 x 16. spectral_norm: in every layer (Ronneberger et al. 2015; Ross et al. 2023, appendix B, where width is 16).
    """

    def __init__(self, width: int = 16, *, spectral_norm: bool = True, rngs: nnx.Rngs):
        make = LayerMaker(rngs, spectral_norm)
        sizes = [width * 2**level for level in range(5)]
        self.down = nnx.List([_Double(make, fan_in, size) for fan_in, size in zip([1, *sizes], sizes, strict=False)])
        self.rise = nnx.List([make.convolution(2 * size, 4 * size, 1) for size in sizes[-2::-1]])
        self.up = nnx.List([_Double(make, 2 * size, size) for size in sizes[-2::-1]])
        self.last = make.convolution(width, 3, 1)

    def __call__(self, x: Vector) -> Float[Array, " k"]:
        """One image (784,) to (768,)."""
        maps, x = [], x.reshape(SIDE, SIDE, 1)
        for block in self.down[:-1]:
            maps.append(block(x))
            x = averaged(maps[-1])
        x = self.down[-1](x)
        for rise, block, seen in zip(self.rise, self.up, reversed(maps), strict=True):
            x = unfolded(rise(x))
            x = block(jnp.concatenate([x, _cropped(seen, len(x))], axis=-1))
        return self.last(x).ravel()


class ImageEncoder(nnx.Module):
    """Convolutions without padding from an image (784,) to (outputs,) (Ross et al. 2023, appendix B).

    width is the number of channels of the first layer, 32 in the paper, where the layer before the last has 32 of that.
    """

    def __init__(self, outputs: int, width: int = 32, *, spectral_norm: bool = False, rngs: nnx.Rngs):
        make = LayerMaker(rngs, spectral_norm)
        sizes = [(1, width, 3), (width, 2 * width, 3), (2 * width, 2 * width, 3), (2 * width, 4 * width, 3)]
        sizes += [(4 * width, 32 * width, 4), (32 * width, outputs, 1)]
        self.layers = nnx.List([make.convolution(*size, padding="VALID") for size in sizes])

    def __call__(self, x: Vector) -> Float[Array, " out"]:
        """One image (784,) to (outputs,)."""
        x = x.reshape(SIDE, SIDE, 1)
        for index, layer in enumerate(self.layers[:-1]):
            x = jax.nn.silu(layer(x))
            if index in (1, 3):
                x = averaged(x)
        return self.layers[-1](x).ravel()


class ImageDecoder(nnx.Module):
    """Transposed convolutions and bilinear doublings, a code (m,) to an image (784,) (Ross et al. 2023, appendix B)."""

    def __init__(self, latent: int, width: int = 32, *, rngs: nnx.Rngs):
        make = LayerMaker(rngs)
        sizes = [(latent, 4 * width, 4), (4 * width, 2 * width, 3), (2 * width, 2 * width, 3)]
        sizes += [(2 * width, width, 3), (width, 1, 3)]
        # A transposed convolution at stride one is a convolution padded by all of its kernel.
        self.layers = nnx.List([make.convolution(a, b, side, padding=side - 1) for a, b, side in sizes])

    def __call__(self, z: Float[Array, " m"]) -> Vector:
        """One code (m,) to (784,)."""
        x = z.reshape(1, 1, -1)
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < len(self.layers) - 1:
                x = jax.nn.relu(x)
            if index in (0, 2):
                x = _doubled(x)
        return x.ravel()


class ImageEnergy(nnx.Module):
    """An `ImageEncoder` with one output, spectrally normalised, read as an energy: one image (784,) to ()."""

    def __init__(self, width: int = 32, *, rngs: nnx.Rngs):
        self.network = ImageEncoder(1, width, spectral_norm=True, rngs=rngs)

    def __call__(self, x: Vector) -> Scalar:
        """One image, (784,) to ()."""
        return self.network(x)[0]


class _Double(nnx.Module):
    """Two padded 3 x 3 convolutions, a SiLU after each."""

    def __init__(self, make: "LayerMaker", fan_in: int, size: int):
        self.first, self.second = make.convolution(fan_in, size, 3), make.convolution(size, size, 3)

    def __call__(self, x):
        return jax.nn.silu(self.second(jax.nn.silu(self.first(x))))


class LayerMaker:
    """Layers whose weights and biases start uniform in ±fan_in^-½, drawn on the host: no compilation for each."""

    def __init__(self, rngs: nnx.Rngs, spectral_norm: bool = False):
        self.rngs, self.spectral_norm = rngs, spectral_norm
        self.random = host_generator(rngs.params())

    def convolution(self, fan_in: int, fan_out: int, side: int, padding: str | int = "SAME") -> nnx.Conv:
        """A side x side convolution, (height, width, fan_in) to (height, width, fan_out)."""
        kind = SpectralConv if self.spectral_norm else nnx.Conv
        start = self._start(fan_in * side**2, (side, side, fan_in, fan_out))
        start |= {"padding": padding, "conv_general_dilated": convolution}
        return kind(fan_in, fan_out, (side, side), rngs=self.rngs, **start)

    def dense(self, fan_in: int, fan_out: int) -> nnx.Linear:
        """A linear layer, (..., fan_in) to (..., fan_out)."""
        return nnx.Linear(fan_in, fan_out, rngs=self.rngs, **self._start(fan_in, (fan_in, fan_out)))

    def uniform(self, fan: int, shape: tuple[int, ...]) -> jax.Array:
        """Numbers of ±fan^-½."""
        return jnp.asarray(self.random.uniform(-(fan**-0.5), fan**-0.5, shape), float)

    def _start(self, fan: int, shape: tuple[int, ...]) -> dict[str, Any]:
        kernel, bias = self.uniform(fan, shape), self.uniform(fan, shape[-1:])
        return {"kernel_init": lambda *_: kernel, "bias_init": lambda *_: bias}


def _cropped(x, side: int):
    start = (len(x) - side) // 2
    return x[start : start + side, start : start + side]


def _doubled(x):
    """Bilinear interpolation to twice the side, corners on corners."""
    side = len(x)
    place = np.linspace(0, side - 1, 2 * side)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(side)))
    matrix = jnp.asarray(weights, x.dtype)
    return jnp.einsum("ai,bj,ijc->abc", matrix, matrix, x)
