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
# Points of the unit sphere, most of them near (1, 0, 0) and (-1, 0, 0), and what is learned from them.

points = projected_normal_sphere(np.random.default_rng(0), 4000)
config = im.FitConfig(
    im.ManifoldConfig(restarts=2, warmup_steps=1000),
    likelihood=im.LikelihoodConfig(num_steps=600, kernel=False),
    manifold="zero-set",
)
sphere = im.fit(jax.random.key(0), points, 1, config).model

# %%
# ``translate`` moves manifold and density as one, and ``intersect`` has the constraints of both models. Two unit
# spheres, half a radius above and below the origin, meet in a circle of radius √0.75.

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
apart = np.abs(learned - true)[:-1].mean() * np.pi * np.sqrt(0.75)
print(f"total variation between the two: {apart:.3f}")
assert apart < 0.1

# %%
# Samples of both spheres in grey, and the circle in the colours of its density.

figure = plt.figure(figsize=(8, 4.8), layout="constrained")
space, plane = figure.add_subplot(1, 2, 1, projection="3d"), figure.add_subplot(1, 2, 2)
for model, grey in ((above, "0.65"), (below, "0.45")):
    space.scatter(*im.sample(jax.random.key(3), model, 1500).points.T, color=grey, s=2, linewidths=0)
image = space.scatter(*ring.T, c=learned, s=25, linewidths=0, vmin=0, depthshade=False)
space.set(xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$", xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[-1, 0, 1])
space.set_box_aspect((2, 2, 3), zoom=0.95)
space.view_init(20, -65)
figure.colorbar(image, ax=space, label="density (1 / unit of length)", location="bottom", shrink=0.7, pad=0.1)
plane.plot(np.degrees(angle), true, color="black", label="truth")
plane.plot(np.degrees(angle), learned, color="#21918c", linestyle="--", linewidth=2, label="learned")
plane.set(xlabel="angle along the circle (degrees)", ylabel="density (1 / unit of length)", ylim=(0, None))
plane.set(xticks=np.arange(-180, 181, 90), title="density along the circle")
plane.legend(frameon=False)
plt.show()
