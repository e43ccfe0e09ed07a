"""
A Klein bottle
==============

A Klein bottle is a closed surface with only one side, and it needs space of four dimensions. The zero set of two
independent functions there is orientable, so none is a Klein bottle; a ridge can be one. It is learned from 1,000
points, certified, and drawn by three coordinates, with the fourth as colour.
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

config = im.FitConfig(likelihood=im.LikelihoodConfig(members=2, num_steps=100, pool_size=1000, kernel=False))
fit = im.fit(jax.random.key(0), points, None, config)
model = fit.model
print(fit.dimension)
print(fit.reason)

# %%
# The certificate is read off charts of M. Its Betti numbers count parts, loops and enclosed spaces, by gudhi
# (``pip install 'implicit-manifolds[homology]'``). Modulo two they are 1, 2, 1 for a Klein bottle and for a torus.
# Modulo three the Klein bottle has 1, 1, 0, because it has one side.

certificate = im.topology(model.manifold)
print(im.describe(certificate))
assert certificate.settled
assert certificate.betti == (1, 2, 1)
assert certificate.components[0].betti_mod_3 == (1, 1, 0)
assert not certificate.components[0].orientable

# %%
# Points of M, drawn evenly by its area, lie on the true bottle. The first two coordinates tell u and cos v; the others,
# turned back by u / 2, sin v and zero.

pool = im.draw_pool(jax.random.key(1), model.manifold, 20_000)
even = np.random.default_rng(1).choice(len(pool.points), 5000, p=pool.weights / pool.weights.sum())
x = model.scaling.restore(pool.points[even])
half = np.arctan2(x[:, 1], x[:, 0]) / 2
sine = x[:, 2] * np.cos(half) + x[:, 3] * np.sin(half)
zero = x[:, 3] * np.cos(half) - x[:, 2] * np.sin(half)
off = np.hypot(np.hypot(np.hypot(x[:, 0], x[:, 1]) - 2, sine) - 1, zero)
print(f"M to the true bottle, whose tube has radius 1: {off.mean():.4f} on average, {off.max():.3f} at most")
assert off.mean() < 0.005

# %%
# The projection, from two sides. Where :math:`x_0` is least the tube is flat: two sheets lie on each other there that
# differ in the fourth coordinate.

figure, panels = plt.subplots(1, 2, figsize=(8, 4.2), subplot_kw={"projection": "3d"}, layout="constrained")
for axes, azimuth in zip(panels, (-70, 110), strict=True):
    drawn = axes.scatter(*x[:, :3].T, c=x[:, 3], s=4, linewidths=0, depthshade=False)
    axes.set(xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$", xticks=[-2, 0, 2], yticks=[-2, 0, 2], zticks=[-1, 0, 1])
    axes.zaxis.labelpad = -1
    axes.set_box_aspect((3, 3, 1), zoom=0.93)
    axes.view_init(40, azimuth)
figure.colorbar(drawn, ax=panels, label="$x_3$", location="bottom", shrink=0.6, aspect=40)
plt.show()
