"""
A knot
======

600 points of a trefoil knot in space. That the points lie on a curve, that it is closed, and where it runs are all
found from them. A knot has no edge and no sides, so it is learned as a ridge of codimension two.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im

# %%
# The points. They are denser where the angle t is near zero: t has a von Mises law.


def knot(t):
    """Points (N, 3) of a trefoil at parameters t (N,), and the speed (N,) with which it is run through."""
    ring = 2 + np.cos(3 * t)
    points = np.column_stack([ring * np.cos(2 * t), ring * np.sin(2 * t), np.sin(3 * t)])
    return points, np.sqrt(9 + 4 * ring**2)


random = np.random.default_rng(0)
points, _ = knot(random.vonmises(0.0, 0.7, 600))

# %%
# No codimension is given. The reason says why the manifold M has the form that it has, and the certificate what M is
# as a whole.

config = im.FitConfig(likelihood=im.LikelihoodConfig(members=2, num_steps=300, pool_size=2000, kernel=False))
fit = im.fit(jax.random.key(0), points, None, config)
model = fit.model
certificate = im.topology(model.manifold)
print(fit.dimension)
print(fit.reason)
print(im.describe(certificate))
assert model.manifold.codimension == 2
assert certificate.betti == (1, 1)
assert certificate.settled

# %%
# The true density by length is that of t over the speed. The learned one has its own total length and its own errors.

t = random.vonmises(0.0, 0.7, 2000)
fresh, speed = knot(t)
true = 0.7 * np.cos(t) - np.log(2 * np.pi * np.i0(0.7)) - np.log(speed)
scored = im.log_density(model, fresh)
print(f"distance of fresh points to M: {scored.distance.mean():.4f} on average, {scored.distance.max():.3f} at most")
print(f"log-density: {np.mean(true - scored.log_density):.3f} nats below the truth on average")
assert scored.distance.max() < 0.1
assert abs(np.mean(true - scored.log_density)) < 0.1

# %%
# The density along M, at points drawn evenly from it by its length: a pool with weights, resampled.

pool = im.draw_pool(jax.random.key(1), model.manifold, 4000)
even = pool.points[random.choice(len(pool.points), 2000, p=pool.weights / pool.weights.sum())]
curve = model.scaling.restore(even)
density = np.exp(im.log_density(model, curve).log_density)

figure = plt.figure(figsize=(6.4, 5), layout="constrained")
axes = figure.add_subplot(projection="3d", computed_zorder=False)
drawn = axes.scatter(*curve.T, c=density, s=12, linewidths=0, vmin=0, depthshade=False)
axes.scatter(*points.T, s=4, color="#d1495b", linewidths=0, depthshade=False)
axes.set(xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$")
axes.set_box_aspect(np.ptp(curve, axis=0))
axes.view_init(60, -60)
figure.colorbar(drawn, label="density (1 / unit of length)", shrink=0.7)
plt.show()
