"""
A Klein bottle
==============

A Klein bottle is a closed surface with one side only, and it needs four dimensions. The zero set of two functions in
space of four dimensions is orientable, so none is a Klein bottle. A ridge can be one. It is learned here from 1,000
points, and a certificate of what was learned is read off its charts by persistent homology, for which gudhi is needed:
``pip install 'implicit-manifolds[homology]'``.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im

# %%
# The points. While the angle u goes once round, the circle of the angle v is turned over in the last two coordinates:
# (u + 360°, v) is the point (u, -v).

u, v = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 1000))
ring = 2 + np.cos(v)
points = np.column_stack([ring * np.cos(u), ring * np.sin(u), np.sin(v) * np.cos(u / 2), np.sin(v) * np.sin(u / 2)])

# %%
# Neither the codimension nor the form of the manifold M is given.

config = im.FitConfig(likelihood=im.LikelihoodConfig(members=2, num_steps=200, pool_size=2000, kernel=False))
fit = im.fit(jax.random.key(0), points, None, config)
model = fit.model
print(fit.dimension)
print(fit.reason)

# %%
# Betti numbers count parts, loops and enclosed spaces. Counted with numbers modulo two a Klein bottle has one part, two
# loops and one space, as a torus has. What tells them apart is that it has no sides; modulo three it has 1, 1 and 0.

certificate = im.topology(model.manifold)
print(im.describe(certificate))
assert certificate.betti == (1, 2, 1)
assert certificate.settled
assert not certificate.components[0].orientable
assert certificate.components[0].betti_mod_3 == (1, 1, 0)

# %%
# Samples lie on the true bottle: by their own u they give back cos v and sin v, whose squares add up to one, and
# nothing across the turned circle.

x = im.sample(jax.random.key(1), model, 4000).points
half = np.arctan2(x[:, 1], x[:, 0]) / 2
along = x[:, 2] * np.cos(half) + x[:, 3] * np.sin(half)
across = x[:, 3] * np.cos(half) - x[:, 2] * np.sin(half)
off = np.hypot(np.hypot(np.hypot(x[:, 0], x[:, 1]) - 2, along) - 1, across)
print(f"distance of samples from the truth: {off.mean():.4f} on average, {off.max():.3f} at most")
assert off.mean() < 0.01

# %%
# A projection to three coordinates, from two sides. The surface seems to go through itself where in truth the fourth
# coordinate, the colour, differs.

figure, panels = plt.subplots(1, 2, figsize=(8, 4.2), subplot_kw={"projection": "3d"}, layout="constrained")
for axes, azimuth in zip(panels, (-60, 30), strict=True):
    drawn = axes.scatter(*x[:, :3].T, c=x[:, 3], s=4, linewidths=0, depthshade=False)
    axes.set(xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$", zticks=[-1, 0, 1])
    axes.set_box_aspect((3, 3, 1), zoom=1.1)
    axes.view_init(45, azimuth)
figure.colorbar(drawn, ax=panels, label="$x_3$", shrink=0.6)
plt.show()
