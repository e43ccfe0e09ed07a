"""A manifold of images
====================

Handwritten digits fill few of the 784 dimensions of an image. A network that is loaded here learned them as a manifold
M of 16 dimensions, the zeros of 768 equations. Noisy digits are brought back to M, and digits are turned into others
along it. Run this in a clone of the repository, which holds the network and how it was trained.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from experiments.images.lenet import IMAGES
from experiments.images.networks import load_ebim
from experiments.images.scales import SETTINGS, TOLERANCE
from implicit_manifolds.datasets.images import load_images

# %%
# F takes an image to 768 numbers. ``project`` follows Gauss-Newton steps to a zero nearby; a handful will do.

mdf, _ = load_ebim(IMAGES / "mnist-ebim-reduced-seed0", SETTINGS["reduced"])
project = jax.jit(jax.vmap(lambda image: im.manifold.project(mdf, image, TOLERANCE)))
images, labels = load_images("mnist", "test")  # 784 pixels in [0, 1]; M has not seen these

# %%
# One digit of each kind, with normal noise of 0.3 in each pixel.

digits = images[[np.flatnonzero(labels == digit)[2] for digit in range(10)]]
noisy = digits + np.random.default_rng(0).normal(scale=0.3, size=digits.shape).astype(np.float32)
found = project(noisy)
assert found.converged.all()
before, after = (np.linalg.norm(x - digits, axis=1).mean() for x in (noisy, found.position))
clean = np.linalg.norm(project(digits).position - digits, axis=1).mean()
print(f"mean distance from the digits, in units of a pixel's range: {before:.2f} with noise, {after:.2f} on M")
print(f"the digits themselves are {clean:.2f} from M")
assert after < 0.4 * before


def show(rows, names, width):
    """Rows of images, (rows, columns, 784), each row with a name."""
    figure, axes = plt.subplots(*rows.shape[:2], figsize=(width, 0.8 * len(rows)), layout="constrained")
    for panel, image in zip(axes.flat, rows.reshape(-1, 28, 28), strict=True):
        panel.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
    for panel, name in zip(axes[:, 0], names, strict=True):
        panel.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


denoised = show(np.stack([digits, noisy, found.position]), ["test digit", "with noise", "on M"], 8)
plt.show()

# %%
# The straight line in pixels between two digits shows both at once. Its points are projected to M, and then again and
# again moved to the middle between their neighbours and projected, so that the path along M becomes short. On it
# strokes move, which in the straight line fade in and out. Not every image in between is a digit.

share = np.linspace(0, 1, 10)[:, None]
rows, names = [], []
for first, last in ((3, 8), (5, 8), (7, 9)):
    line = (1 - share) * found.position[first] + share * found.position[last]
    path = project(line).position
    for _ in range(60):
        path = path.at[1:-1].set(project((path[:-2] + path[2:]) / 2).position)
    length, straight = (np.linalg.norm(np.diff(walk, axis=0), axis=1).sum() for walk in (path, line))
    print(
        f"from {first} to {last}: {straight:.1f} in a straight line, {length:.1f} along M, in units of a pixel's range"
    )
    assert straight < length < 3 * straight
    assert np.linalg.norm(jax.vmap(mdf)(path), axis=1).max() < TOLERANCE
    rows += [line, path]
    names += ["straight line", "along M"]
walks = show(np.stack(rows), names, 8)
plt.show()
