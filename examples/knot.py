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
    """Points (N, 3) of a trefoil at parameters t (N,), and the speed (N,) with which it is run through."""
    ring = 2 + np.cos(3 * t)
    points = np.column_stack([ring * np.cos(2 * t), ring * np.sin(2 * t), np.sin(3 * t)])
    return points, np.sqrt(9 + 4 * ring**2)


random = np.random.default_rng(0)
points, _ = knot(random.vonmises(0.0, 0.7, 600))

# %%
# No codimension is given. The fit says which it found, and what form the manifold M has and why; the certificate says
# what M is as a whole.

config = im.FitConfig(likelihood=im.LikelihoodConfig(members=2, num_steps=300, pool_size=2000, kernel=False))
fit = im.fit(jax.random.key(0), points, None, config)
model = fit.model
certificate = im.topology(model.manifold)
print(fit.dimension)
print(fit.reason)
print(im.describe(certificate))
assert model.manifold.codimension == 2
assert certificate.settled
assert len(certificate.components) == 1
assert certificate.components[0].closed

# %%
# Fresh points of the knot are near to M, and the log-density there is nearly that of the truth: of t, less the log of
# the speed.

t = random.vonmises(0.0, 0.7, 2000)
fresh, speed = knot(t)
true = 0.7 * np.cos(t) - np.log(2 * np.pi * np.i0(0.7)) - np.log(speed)
scored = im.log_density(model, fresh)
missing = np.mean(true - scored.log_density)
print(f"fresh points to M: {scored.distance.mean():.4f} on average, {scored.distance.max():.3f} at most; tube radius 1")
print(f"log-density: {missing:.3f} nats less than the truth on average")
assert scored.distance.max() < 0.1
assert -0.05 < missing < 0.1

# %%
# Points drawn evenly from M by its length: a pool of points that stand for a known length each, resampled.

pool = im.draw_pool(jax.random.key(1), model.manifold, 20_000)
even = random.choice(len(pool.points), 4000, p=pool.weights / pool.weights.sum())
curve = model.scaling.restore(pool.points[even])
density = np.exp(im.log_density(model, curve).log_density)

figure, panels = plt.subplots(1, 2, figsize=(8, 4.6), subplot_kw={"projection": "3d"}, layout="constrained")
panels[0].scatter(*points.T, s=6, color="#d1495b", linewidths=0, depthshade=False)
drawn = panels[1].scatter(*curve.T, c=density, s=10, linewidths=0, vmin=0, depthshade=False)
for axes, title in zip(panels, ("points", "learned curve"), strict=True):
    axes.set(title=title, xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$", zticks=[-1, 0, 1])
    axes.set_box_aspect(np.ptp(curve, axis=0), zoom=0.9)
    axes.view_init(55, -60)
figure.colorbar(drawn, ax=panels, label="density (1 / unit of length)", location="bottom", shrink=0.6, aspect=40)
plt.show()
