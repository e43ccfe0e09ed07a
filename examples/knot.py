"""
A knot
======

600 points of a trefoil knot in space. That they lie on a curve, that it is closed, and where it runs are all found from
the points. The figure shows them beside the learned curve, in the colours of its density.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im

# %%
# The points. Their parameter t has a von Mises law, so that they are denser where t is near zero.


def knot(t):
    """Points (N, 3) of a trefoil at parameters t (N,)."""
    ring = 2 + np.cos(3 * t)
    return np.column_stack([ring * np.cos(2 * t), ring * np.sin(2 * t), np.sin(3 * t)])


random = np.random.default_rng(0)
points = knot(random.vonmises(0.0, 0.7, 600))

# %%
# No codimension is given. The fit says which it found, and what form the manifold M has and why; the certificate says
# what M is as a whole.

config = im.FitConfig(likelihood=im.LikelihoodConfig(members=2, num_steps=300, pool_size=1000, kernel=False))
fit = im.fit(jax.random.key(0), points, None, config)
model = fit.model
certificate = im.topology(model.manifold)
print(fit.dimension)
print(fit.reason)
print(im.describe(certificate))
assert model.manifold.codimension == 2
assert certificate.settled
assert [part.closed for part in certificate.components] == [True]

# %%
# The density at a pool of points of M, each of which stands for a known length. A model's energy and normaliser are
# those of standardised points; ``log_volume_scale`` takes lengths back to the units of the data.

pool = im.draw_pool(jax.random.key(1), model.manifold, 20_000)
log_scale = im.log_volume_scale(model, pool.points)
curve, length = model.scaling.restore(pool.points), pool.weights * np.exp(log_scale)
density = np.exp(-jax.vmap(model.energy)(pool.points) - model.log_normalizer.value - log_scale)

# %%
# The truth at those points: their parameter t, the point of the knot there, and the density of t over the speed.

ring = np.hypot(curve[:, 0], curve[:, 1])
t = np.arctan2(curve[:, 2], ring - 2) - np.arctan2(curve[:, 1], curve[:, 0])
off = np.linalg.norm(curve - knot(t), axis=1)
true = np.exp(0.7 * np.cos(t)) / (2 * np.pi * np.i0(0.7)) / np.sqrt(9 + 4 * ring**2)
apart = np.sum(length * np.abs(density - true)) / 2
print(f"M to the knot, whose tube has radius 1: {off.mean():.4f} on average, {off.max():.3f} at most")
print(f"total variation between learned and true density: {apart:.3f}")
assert off.max() < 0.1
assert apart < 0.15

even = random.choice(len(curve), 4000, p=length / length.sum())
figure, panels = plt.subplots(1, 2, figsize=(8, 4.6), subplot_kw={"projection": "3d"}, layout="constrained")
panels[0].scatter(*points.T, s=6, color="#d1495b", linewidths=0, depthshade=False)
drawn = panels[1].scatter(*curve[even].T, c=density[even], s=10, linewidths=0, vmin=0, depthshade=False)
for axes, title in zip(panels, ("points", "learned curve"), strict=True):
    axes.set(title=title, xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$", zticks=[-1, 0, 1])
    axes.zaxis.labelpad = -1
    axes.set_box_aspect(np.ptp(curve, axis=0), zoom=0.82)
    axes.view_init(55, -60)
figure.colorbar(drawn, ax=panels, label="density (1 / unit of length)", location="bottom", shrink=0.6, aspect=40)
plt.show()
