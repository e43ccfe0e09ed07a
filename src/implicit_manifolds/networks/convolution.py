"""Convolutions that are fast inside loops on any machine."""

import jax
import jax.numpy as jnp


def convolution(images, kernel, strides, padding, *, lhs_dilation, rhs_dilation, feature_group_count, **options):
    """`lax.conv_general_dilated` of images (batch, h, w, c) and a kernel (i, j, c, o); no strides, dilations, groups.

    On the CPU by one product of matrices, since XLA's own is slow there inside a loop (`benchmarks/convolution.py`).
    """
    assert {*strides, *lhs_dilation, *rhs_dilation, feature_group_count} == {1}, "strides, dilations, groups: not here"
    pads = padding
    if isinstance(padding, str):
        pads = jax.lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], (1, 1), padding)

    def whole(images, kernel):
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def by_slices(images, kernel):
        padded = jnp.pad(images, ((0, 0), *pads, (0, 0)))
        rows, columns = (padded.shape[axis] - kernel.shape[axis - 1] + 1 for axis in (1, 2))
        shifts = [(i, j) for i in range(kernel.shape[0]) for j in range(kernel.shape[1])]
        patches = jnp.concatenate([padded[:, i : i + rows, j : j + columns] for i, j in shifts], axis=-1)
        return patches @ kernel.reshape(-1, kernel.shape[-1])

    return jax.lax.platform_dependent(images, kernel, cpu=by_slices, default=whole)


def halved(x):
    """The greatest of each 2 x 2 pixels: (h, w, c) to (h // 2, w // 2, c)."""
    return _by_fours(x).max(axis=(1, 3))


def averaged(x):
    """The mean of each 2 x 2 pixels: (h, w, c) to (h // 2, w // 2, c)."""
    return _by_fours(x).mean(axis=(1, 3))


def _by_fours(x):
    rows, columns = len(x) // 2, x.shape[1] // 2
    return x[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, -1)


def unfolded(x):
    """Channels to pixels: (h, w, 4 c) to (2 h, 2 w, c), the four of each pixel to the 2 x 2 in its place."""
    rows, columns, channels = x.shape
    return x.reshape(rows, columns, 2, 2, channels // 4).swapaxes(1, 2).reshape(2 * rows, 2 * columns, -1)
