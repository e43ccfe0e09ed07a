"""Networks of the patches of an image: products of matrices alone, one flat image (n,) at a time."""

import jax
import jax.numpy as jnp
from flax import nnx

from .._types import Array, Float, Scalar, Vector
from .images import LayerMaker


class PatchMixer(nnx.Module):
    """An image (n,) to another (n,), or to `outputs` numbers for each patch, all in one row.

    Each patch becomes `width` numbers; `depth` times a layer mixes patches, and a perceptron of twice the width the
    numbers of each, both added to what they are given: an MLP-Mixer (Tolstikhin et al. 2021) with SiLU, and without
    normalisation, so that zero sets are smooth.

    shape: of images, rows, columns and channels, the first two multiples of `patch`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        patch: int = 4,
        width: int = 64,
        depth: int = 3,
        outputs: int | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        rows, columns, channels = shape
        if rows % patch or columns % patch:
            raise ValueError(f"images of {rows} x {columns} are not made of patches of {patch} x {patch}")
        self.shape, self.patch, self.whole = shape, patch, outputs is None
        count, size, make = rows * columns // patch**2, patch**2 * channels, LayerMaker(rngs)
        self.first, self.places = make.dense(size, width), nnx.Param(make.uniform(width, (count, width)))
        self.across = nnx.List([make.dense(count, count) for _ in range(depth)])
        self.up = nnx.List([make.dense(width, 2 * width) for _ in range(depth)])
        self.down = nnx.List([make.dense(2 * width, width) for _ in range(depth)])
        self.last = make.dense(width, size if outputs is None else outputs)

    def __call__(self, x: Vector) -> Float[Array, " out"]:
        """One image (n,) to (n,), or to as many numbers as all patches have."""
        (rows, columns, channels), side = self.shape, self.patch
        grid = (rows // side, side, columns // side, side, channels)
        h = self.first(x.reshape(grid).swapaxes(1, 2).reshape(-1, side**2 * channels)) + self.places[...]
        for across, up, down in zip(self.across, self.up, self.down, strict=True):
            h += across(jax.nn.silu(h).T).T
            h += down(jax.nn.silu(up(h)))
        h = self.last(jax.nn.silu(h))
        if not self.whole:
            return h.ravel()
        return h.reshape(grid[0], grid[2], side, side, channels).swapaxes(1, 2).ravel()


class PatchEncoder(nnx.Module):
    """An image (n,) to a code (outputs,): a `PatchMixer` of a few numbers a patch, and a layer of all of them."""

    def __init__(self, shape: tuple[int, int, int], outputs: int, numbers: int = 8, *, rngs: nnx.Rngs, **sizes: int):
        self.network = PatchMixer(shape, outputs=numbers, rngs=rngs, **sizes)
        count = len(self.network.places[...])
        self.last = LayerMaker(rngs).dense(count * numbers, outputs)

    def __call__(self, x: Vector) -> Float[Array, " out"]:
        """One image (n,) to (outputs,)."""
        return self.last(jax.nn.silu(self.network(x)))


class PatchDecoder(nnx.Module):
    """A code (m,) to an image (n,): a linear one, and what a `PatchMixer` adds to it."""

    def __init__(self, shape: tuple[int, int, int], latent: int, *, rngs: nnx.Rngs, **sizes: int):
        rows, columns, channels = shape
        self.first = LayerMaker(rngs).dense(latent, rows * columns * channels)
        self.network = PatchMixer(shape, rngs=rngs, **sizes)

    def __call__(self, z: Float[Array, " m"]) -> Vector:
        """One code (m,) to (n,)."""
        canvas = self.first(z)
        return canvas + self.network(canvas)


class PatchEnergy(nnx.Module):
    """The sum over patches of a number each, by a `PatchMixer`: one image (n,) to ()."""

    def __init__(self, shape: tuple[int, int, int], *, rngs: nnx.Rngs, **sizes: int):
        self.network = PatchMixer(shape, outputs=1, rngs=rngs, **sizes)

    def __call__(self, x: Vector) -> Scalar:
        """One image, (n,) to ()."""
        return jnp.sum(self.network(x))
