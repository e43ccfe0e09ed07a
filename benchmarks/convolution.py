"""CPU time of a convolution's gradient, XLA's and ours, in a loop and not: `python -m benchmarks.convolution`."""

import json
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from benchmarks.timing import seconds_of
from implicit_manifolds.networks.convolution import convolution

RESULT = Path(__file__).parent / "results" / "convolution.json"
REPEATS, STEPS = 7, 5
PLAIN = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "feature_group_count": 1}


def xla(images, kernel):
    """The convolution that XLA has."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=numbers)


def ours(images, kernel):
    """That of the networks."""
    return convolution(images, kernel, (1, 1), "SAME", **PLAIN)


def gradient(convolve, kernel, images):
    """Of a kernel (3, 3, 16, 16) on images (64, 28, 28, 16)."""
    return jax.grad(lambda kernel: jnp.sum(jnp.tanh(convolve(images, kernel)) ** 2))(kernel)


def loop(convolve, kernel, images):
    """STEPS of descent in a scan."""
    step = lambda kernel, _: (kernel - 1e-9 * gradient(convolve, kernel, images), None)
    return jax.lax.scan(step, kernel, None, length=STEPS)[0]


def main() -> None:
    """Print the table and write it as JSON."""
    images = jax.random.normal(jax.random.key(0), (64, 28, 28, 16))
    kernel = 0.05 * jax.random.normal(jax.random.key(1), (3, 3, 16, 16))
    found = {}
    print("convolution | CPU ms of a gradient outside a loop | inside")
    cpu_seconds = partial(seconds_of, repeats=REPEATS, clock=time.process_time)
    for convolve in (xla, ours):
        outside = cpu_seconds(jax.jit(partial(gradient, convolve)), kernel, images)
        inside = cpu_seconds(jax.jit(partial(loop, convolve)), kernel, images) / STEPS
        found[convolve.__name__] = {"outside": outside, "inside": inside}
        print(f"{convolve.__name__} | {1e3 * outside:.0f} | {1e3 * inside:.0f}")
    RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
