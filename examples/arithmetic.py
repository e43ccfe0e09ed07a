"""
Intersection of two manifolds
=============================

A sphere and a density on it are learned once. Two copies, one moved up and one moved down, are intersected: the result
is a model of the circle where they meet, with the product of both densities on it, normalised, and nothing is trained
again.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.datasets.synthetic import projected_normal_sphere, projected_normal_sphere_density

# %%
# Points of the unit sphere, most of them to the right and to the left, and what is learned of them.

points = projected_normal_sphere(np.random.default_rng(0), 4000)
config = im.FitConfig(
    im.ManifoldConfig(restarts=2, warmup_steps=1000),
    likelihood=im.LikelihoodConfig(num_steps=600, kernel=False),
    manifold="zero-set",
)
sphere = im.fit(jax.random.key(0), points, 1, config).model

# %%
# `translate` moves manifold and density as one, and `intersect` has the constraints of both models. Two unit spheres,
# half a radius above and below the origin, meet in a circle of radius √0.75.

shift = np.array([0.0, 0.0, 0.5])
above, below = im.translate(sphere, shift), im.translate(sphere, -shift)
circle = im.intersect(jax.random.key(1), above, below)
drawn = im.sample(jax.random.key(2), circle, 1000).points
off = np.hypot(np.hypot(drawn[:, 0], drawn[:, 1]) - np.sqrt(0.75), drawn[:, 2])
print(im.describe(im.topology(circle.manifold)))
print(f"distance of samples from the true circle: {off.mean():.4f} on average, {off.max():.4f} at most")
assert circle.manifold.codimension == 2
assert off.max() < 0.02

# %%
# The density along the circle beside the truth, which is the product of the two known densities, normalised.

angle = np.linspace(-np.pi, np.pi, 181)
ring = np.sqrt(0.75) * np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
learned = np.exp(im.log_density(circle, ring).log_density)
true = projected_normal_sphere_density(ring - shift) * projected_normal_sphere_density(ring + shift)
true /= true[:-1].mean() * 2 * np.pi * np.sqrt(0.75)
print(f"total variation between both: {np.abs(learned - true)[:-1].mean() * np.pi * np.sqrt(0.75):.3f}")
assert np.abs(learned - true)[:-1].mean() * np.pi * np.sqrt(0.75) < 0.15

# %%
# Samples of both spheres in grey, the circle in the colours of its density.

figure = plt.figure(figsize=(8, 4), layout="constrained")
space = figure.add_subplot(1, 2, 1, projection="3d")
for model, grey in ((above, "0.6"), (below, "0.4")):
    space.scatter(*im.sample(jax.random.key(3), model, 1500).points.T, color=grey, s=1)
image = space.scatter(*ring.T, c=learned, s=15, vmin=0, depthshade=False)
space.set(xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$", aspect="equal")
plane = figure.add_subplot(1, 2, 2)
plane.plot(np.degrees(angle), true, color="black", label="truth")
plane.plot(np.degrees(angle), learned, color="#21918c", label="learned")
plane.set(xlabel="angle about the vertical axis (degrees)", ylabel="density (1 / unit of length)", ylim=(0, None))
plane.set_xticks(np.arange(-180, 181, 90))
plane.legend(frameon=False)
figure.colorbar(image, ax=space, label="density (1 / unit of length)", shrink=0.6, location="left")
plt.show()
